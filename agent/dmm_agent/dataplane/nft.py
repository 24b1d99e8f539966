"""What the kernel is told, and asked, of nftables by the command `nft`."""

from __future__ import annotations

import json
import subprocess
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

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


def fill_table(table: str, content: str, sets: Mapping[str, str]) -> None:
    """Give a table of IPv6 other content, all rules in one transaction, without losing packets.

    Base chains stay, and get other rules at once. The rules of one that is deleted are in force for
    a moment longer than the elements of its sets, and new rules, on newer kernels, a moment before
    those of new sets: whatever drops what is not in a set needs one that is there all the time.

    Args:
        table: its name; it need not be there.
        content: chains and the rest; a base chain that hooks in elsewhere needs another name.
        sets: sets and maps, by their names, which are made before and stay as they are, with their
            elements, if they are there.

    Raises:
        NftablesError: `nft` is not there or refuses.
    """
    load(f"table ip6 {table} {{\n{''.join(sets.values())}}}\n")
    gone = "".join(
        f"delete {kind} ip6 {table} {name}\n"
        for kind, name, hooks in _objects(table)
        if name not in sets and not (hooks and f"chain {name} {{" in content)
    )
    empty = f"table ip6 {table}\nflush table ip6 {table}\n{gone}"
    load(f"{empty}table ip6 {table} {{\n{content}}}\n")


def _objects(table: str) -> Iterator[tuple[str, str, bool]]:
    """What is in a table but rules: kind, name, and whether it is a base chain."""
    for item in listed("--terse", "list", "table", "ip6", table):
        for kind, described in item.items():
            if kind not in {"metainfo", "table", "rule"}:
                yield kind, described["name"], "hook" in described


def listed(*arguments: str) -> list[dict[str, Any]]:
    """What `nft` lists, an item each; nothing if that is not there.

    Raises:
        NftablesError: `nft` is not there.
        ValueError: it does not answer in JSON.
    """
    answer = run("--json", *arguments)
    return list(json.loads(answer.stdout)["nftables"]) if answer.returncode == 0 else []


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
