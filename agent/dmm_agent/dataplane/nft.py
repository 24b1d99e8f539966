"""What the kernel is told, and asked, of nftables by the command `nft`."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

COMMAND_TIMEOUT_S = 30


def chain(name: str, *rules: str) -> str:
    """A chain as nftables' files have it; of a base chain the first line says where it hooks in."""
    return f"  chain {name} {{\n" + "".join(f"    {rule}\n" for rule in rules) + "  }\n"


def elements(values: Iterable[object]) -> str:
    """What a set or map has."""
    return "{ " + ", ".join(str(value) for value in values) + " }"


class NftablesError(Exception):
    """`nft` is missing or refused our rules."""


def load(text: str) -> None:
    """Do what a file of nftables says, in one transaction.

    Raises:
        NftablesError: `nft` is not there or refuses.
    """
    done = run("-f", "-", text=text)
    if done.returncode:
        raise NftablesError(f"nft refused the agent's rules: {done.stderr.strip()}")


def has_counter(table: str, counter: str) -> bool:
    """Whether the kernel has a table of IPv6 with such a counter.

    Raises:
        NftablesError: `nft` is not there.
    """
    return run("list", "counter", "ip6", table, counter).returncode == 0


def delete_table(table: str) -> None:
    """Take a table of IPv6 out; fine if it is not there.

    Raises:
        NftablesError: `nft` is not there or refuses.
    """
    load(f"table ip6 {table}\ndelete table ip6 {table}\n")


def run(*arguments: str, text: str = "") -> subprocess.CompletedProcess[str]:
    """Run `nft`, which may fail.

    Raises:
        NftablesError: it is not there, or does not end.
    """
    try:
        return subprocess.run(
            ["nft", *arguments],
            input=text,
            capture_output=True,
            text=True,
            check=False,
            timeout=COMMAND_TIMEOUT_S,
        )
    except FileNotFoundError:
        raise NftablesError("nft is not installed: install Debian's package nftables") from None
    except subprocess.TimeoutExpired:
        raise NftablesError(f"nft did not finish within {COMMAND_TIMEOUT_S} s") from None
