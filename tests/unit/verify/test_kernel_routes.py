"""Routes as iproute2 prints them, with the ends of their tunnels."""

from __future__ import annotations

import json

import pytest

from dmm_testbed.verify.kernel_routes import read_routes

BY_ROUTE = (
    '[{"dst":"2001:db8:1:8100::/64","encap":"seg6","mode":"encap.red","segs":["2001:db8:3::1"],'
    '"dev":"dmm0","protocol":"77","metric":20,"flags":[],"pref":"medium"}]'
)
BY_DEVICE = (
    '[{"dst":"default","encap":"ip6","id":0,"src":"2001:db8:1::1","dst":"2001:db8:3::1",'
    '"hoplimit":64,"tc":0,"gateway":"fe80::1","dev":"dmm-tnl0","table":"640","protocol":"77",'
    '"metric":1024,"flags":[],"pref":"medium"}]'
)
"""As iproute2 6.1 prints it: `dst` is there twice."""
DECAPSULATING = (
    '[{"dst":"2001:db8:1::1","encap":"seg6local","action":"End.DT6","table":"unspec",'
    '"dev":"dmm0","table":"605","protocol":"77","metric":1024,"flags":[],"pref":"medium"}]'
)


@pytest.mark.parametrize(
    ("printed", "prefix"), [(BY_ROUTE, "2001:db8:1:8100::/64"), (BY_DEVICE, "default")]
)
def test_an_encapsulating_route_has_its_prefix_and_its_endpoint(printed: str, prefix: str) -> None:
    (route,) = read_routes(printed)

    assert (route["dst"], route["endpoint"]) == (prefix, "2001:db8:3::1")


def test_the_table_of_a_decapsulating_route_is_the_one_it_is_in() -> None:
    (route,) = read_routes(DECAPSULATING)

    assert (route["dst"], route["table"]) == ("2001:db8:1::1", "605")
    assert "endpoint" not in route


def test_other_routes_have_no_endpoint() -> None:
    plain = {"dst": "2001:db8::/32", "gateway": "fe80::5", "dev": "gw1", "flags": []}

    assert read_routes(json.dumps([plain])) == [plain]
    assert read_routes("") == []
