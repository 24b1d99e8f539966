"""Which packages are sent to a host that may lack some."""

from __future__ import annotations

from dmm_testbed.machines.packages import Package, to_send

BIRD = """\
Package: bird2
Version: 2.0.12-7
Priority: optional
Pre-Depends: init-system-helpers (>= 1.54~)
Depends: libc6 (>= 2.34), libreadline8 (>= 6.0),
 adduser | systemd-sysusers
Description: a routing daemon
 Depends: on nothing, says this line of prose.
"""


def package(name: str, *depends: str, required: bool = False, provides: str = "") -> Package:
    return Package(
        name,
        required,
        frozenset(provides.split()),
        tuple(tuple(alternatives.split("|")) for alternatives in depends),
    )


def test_a_package_is_read_from_its_own_description() -> None:
    bird = Package.parse(BIRD)
    assert (bird.name, bird.required) == ("bird2", False)
    assert bird.depends == (
        ("init-system-helpers",),
        ("libc6",),
        ("libreadline8",),
        ("adduser", "systemd-sysusers"),
    )


def test_all_that_a_wanted_package_needs_is_sent_too() -> None:
    packages = [package("bird2", "libssh"), package("libssh", "libgcrypt"), package("libgcrypt")]
    assert to_send(packages, ["bird2"]) == {"bird2", "libssh", "libgcrypt"}


def test_what_is_not_needed_stays() -> None:
    assert to_send([package("bird2"), package("doom")], ["bird2"]) == {"bird2"}


def test_the_basic_system_is_there_already_with_what_it_needs() -> None:
    basic = [package("dpkg", "libc6", required=True), package("libc6")]
    assert to_send([package("bird2", "libc6", "dpkg"), *basic], ["bird2"]) == {"bird2"}


def test_what_the_basic_system_could_use_instead_of_something_else_may_be_missing() -> None:
    basic = [package("debconf", "perl|debconf-english", required=True), package("perl")]
    assert to_send([package("ndisc6", "perl"), *basic], ["ndisc6"]) == {"ndisc6", "perl"}


def test_a_wanted_package_is_sent_even_if_it_is_basic() -> None:
    assert to_send([package("procps", required=True)], ["procps"]) == {"procps"}


def test_a_package_that_stands_for_another_is_found_by_that_name() -> None:
    packages = [package("nft", "json-c"), package("libjson-c5", provides="json-c")]
    assert to_send(packages, ["nft"]) == {"nft", "libjson-c5"}


def test_packages_that_need_each_other_come_to_an_end() -> None:
    assert to_send([package("a", "b"), package("b", "a")], ["a"]) == {"a", "b"}
