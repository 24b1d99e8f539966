"""The agent's configuration file, and the directory in it."""

from __future__ import annotations

from ipaddress import IPv6Address, IPv6Network
from typing import TYPE_CHECKING

import pytest
import yaml
from steps import PLAN

from dmm_agent.config import ConfigError, load

if TYPE_CHECKING:
    from pathlib import Path

DIRECTORY = PLAN.directory


def as_file(**changes: object) -> str:
    config = PLAN.config(PLAN.routers["gw1"], {})
    return yaml.safe_dump(config.model_dump(mode="json", by_alias=True) | changes)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "agent.yml"


def test_a_file_says_what_the_configuration_is(file: Path) -> None:
    file.write_text(as_file())
    expected = PLAN.config(PLAN.routers["gw1"], {})
    assert load(file).model_dump(mode="json") == expected.model_dump(mode="json")


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"adress": "::1"}, "adress: Extra inputs are not permitted, got '::1'"),
        ({"address": "gw1"}, "address: Input is not a valid IPv6 address, got 'gw1'"),
        ({"schema": 2}, "schema: Input should be 1, got 2"),
        (
            {"uplinks": ["a name that is too long"]},
            "uplinks.0: String should match pattern '^[A-Za-z0-9][A-Za-z0-9_.-]{0,14}$', "
            "got 'a name that is too long'",
        ),
    ],
)
def test_a_mistake_is_said_with_file_and_field(
    file: Path, changes: dict[str, object], sentence: str
) -> None:
    file.write_text(as_file(**changes))
    with pytest.raises(ConfigError) as refusal:
        load(file)
    assert str(refusal.value) == f"{file}: {sentence}"


def test_a_pool_outside_its_network_is_a_mistake(file: Path) -> None:
    row = DIRECTORY.networks[0].model_dump(mode="json") | {"mobile_pool": "2001:db8:7::/49"}
    file.write_text(as_file(directory={"networks": [row]}))
    with pytest.raises(ConfigError) as refusal:
        load(file)
    expected = "expected mobile_pool 2001:db8:7::/49 to be a part of prefix 2001:db8:1::/48"
    assert f"{file}: directory.networks.0: Value error, {expected}" in str(refusal.value)


def test_several_mistakes_are_a_line_each(file: Path) -> None:
    file.write_text(as_file(host=1, network=2))
    with pytest.raises(ConfigError) as refusal:
        load(file)
    assert len(str(refusal.value).splitlines()) == 2


@pytest.mark.parametrize("text", ["", "a: [", "- 1", b"\xff\xfe"])
def test_what_is_no_configuration_is_refused(file: Path, text: str | bytes) -> None:
    file.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(ConfigError, match=str(file)):
        load(file)


def test_a_missing_file_is_named(file: Path) -> None:
    with pytest.raises(ConfigError, match=str(file)):
        load(file)


@pytest.mark.parametrize(
    ("where", "owner", "home"),
    [
        ("2001:db8:2::1", "net2", None),
        ("2001:db8:2:8000::", "net2", "net2"),
        ("2001:db8:2:ffff:ffff:ffff:ffff:ffff", "net2", "net2"),
        ("2001:db8:9::1", None, None),
    ],
)
def test_the_directory_knows_whose_an_address_is(
    where: str, owner: str | None, home: str | None
) -> None:
    for asked in (IPv6Address(where), IPv6Network(where)):
        found = DIRECTORY.owner_of(asked), DIRECTORY.home_of(asked)
        assert tuple(entry and entry.network for entry in found) == (owner, home)


def test_the_directory_has_networks_by_name() -> None:
    assert DIRECTORY.named("net2").mr == PLAN.routers["gw2"].address
    with pytest.raises(KeyError):
        DIRECTORY.named("net9")


def test_the_policy_knows_nodes_by_identifier_and_by_mac() -> None:
    policy = PLAN.mobile_nodes
    first = policy.nodes[0]
    assert policy.named(first.id) == policy.by_link_layer(first.link_layer) == first
    assert policy.named("nobody") is policy.by_link_layer("02:00:00:00:00:99") is None
