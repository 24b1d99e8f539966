"""The store keeps what was committed, and says in one sentence what is wrong with it."""

from __future__ import annotations

import os
import sqlite3
import stat
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest

from dmm_agent.functions.effects import Remember
from dmm_agent.store.store import SCHEMA, Store, StoreError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

ROW = ("lm", "bindings", "2001:db8:1:8100::/64")
NOW = 1_700_000_000.0


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "agent.db"


@pytest.fixture
def reopen(path: Path) -> Iterator[Callable[[], Store]]:
    """Close the store, if it is open, and open it."""
    opened: list[Store] = []

    def again() -> Store:
        for store in opened:
            store.close()
        opened.append(Store(path))
        return opened[-1]

    yield again
    for store in opened:
        store.close()


def test_what_was_committed_is_there_when_it_is_opened_again(reopen: Callable[[], Store]) -> None:
    fields = {"location": "2001:db8:3::1", "expires_at_s": NOW + 0.123456789, "home_lm": None}
    reopen().write({ROW: fields}, NOW)
    store = reopen()
    assert store.read() == (Remember(*ROW, fields=fields),)
    assert store.newest_s == NOW


def test_a_row_takes_the_place_of_the_one_with_the_same_key_and_can_go(
    reopen: Callable[[], Store],
) -> None:
    store = reopen()
    other = ("allocator", "prefixes", ROW[2])
    store.write({ROW: {"a": 1}, other: {"b": 2}}, NOW)
    store.write({ROW: {"a": 3}}, NOW + 1)
    assert store.read() == (Remember(*other, fields={"b": 2}), Remember(*ROW, fields={"a": 3}))
    store.write({other: None, ("lm", "bindings", "never there"): None}, NOW + 2)
    assert reopen().read() == (Remember(*ROW, fields={"a": 3}),)


def test_a_new_store_is_empty_and_for_its_owner_alone(
    path: Path, reopen: Callable[[], Store]
) -> None:
    store = reopen()
    assert (store.read(), store.newest_s) == ((), 0.0)
    store.write({ROW: {}}, NOW)
    modes = {file.name: stat.S_IMODE(file.stat().st_mode) for file in path.parent.iterdir()}
    assert modes == {"agent.db": 0o600, "agent.db-wal": 0o600}


def test_commits_wait_for_the_disk(reopen: Callable[[], Store]) -> None:
    """What makes a commit a promise: SQLite's own words for it."""
    connection = reopen()._connection
    settings = [
        connection.execute(f"PRAGMA {s}").fetchone() for s in ("journal_mode", "synchronous")
    ]
    assert settings == [("wal",), (2,)], "2 is FULL"


def test_only_one_agent_has_it_open(path: Path, reopen: Callable[[], Store]) -> None:
    reopen()
    program = (
        "import pathlib, sys; from dmm_agent.store.store import Store; "
        "Store(pathlib.Path(sys.argv[1]))"
    )
    other = subprocess.run(
        [sys.executable, "-c", program, str(path)], capture_output=True, text=True, check=False
    )
    assert other.returncode == 1
    assert f"{path}: another agent has the store open: stop that one first" in other.stderr


def edit(path: Path, statement: str) -> None:
    with sqlite3.connect(path) as connection:
        connection.execute(statement)
    connection.close()


def overwrite(path: Path, at: int, octets: bytes) -> None:
    with path.open("r+b") as file:
        file.seek(at)
        file.write(octets)


@pytest.mark.parametrize(
    ("damage", "sentence"),
    [
        (
            lambda p: edit(p, f"PRAGMA user_version = {SCHEMA + 1}"),
            "was written by a newer agent (sch",
        ),
        (lambda p: overwrite(p, 0, b"nonsense" * 20), "is damaged (file is not a database)"),
        (lambda p: overwrite(p, 4096, os.urandom(8192)), "is damaged ("),
        (lambda p: os.truncate(p, 5000), "is damaged ("),
        (lambda p: edit(p, "UPDATE memory SET fields = '{'"), "is damaged (Expecting"),
        (lambda p: edit(p, "DROP TABLE memory"), "is damaged (no such table: memory)"),
    ],
)
def test_a_store_that_cannot_be_used_is_named_with_what_to_do(
    path: Path, reopen: Callable[[], Store], damage: Callable[[Path], Any], sentence: str
) -> None:
    store = reopen()
    store.write({("lm", "bindings", str(i)): {"x": "y" * 50} for i in range(500)}, NOW)
    store.close()
    damage(path)
    with pytest.raises(StoreError) as raised:
        reopen().read()
    assert str(raised.value).startswith(f"{path}: the store {sentence}")
    assert "move" in str(raised.value)


def test_another_programs_database_is_left_alone(path: Path, reopen: Callable[[], Store]) -> None:
    edit(path, "CREATE TABLE recipes (name TEXT)")
    with pytest.raises(StoreError, match="got another program's database"):
        reopen()


def test_a_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(StoreError) as raised:
        Store(tmp_path / "none" / "agent.db")
    assert "agent.db: the store cannot be opened (No such file or directory)" in str(raised.value)


def test_a_full_disk_refuses_a_commit_as_a_whole_and_takes_it_when_there_is_room(
    reopen: Callable[[], Store],
) -> None:
    store = reopen()
    store.write({ROW: {"a": 1}}, NOW)
    used = store._number("PRAGMA page_count")
    store._connection.execute(f"PRAGMA max_page_count = {used}")
    large = {("lm", "bindings", str(i)): {"x": "y" * 100} for i in range(1000)}
    with pytest.raises(StoreError, match=r"agent\.db: .* cannot be written .* full\): make room"):
        store.write({**large, ROW: None}, NOW + 1)
    assert store.read() == (Remember(*ROW, fields={"a": 1}),)
    store._connection.execute("PRAGMA max_page_count = 100000")
    store.write({**large, ROW: None}, NOW + 2)
    assert len(reopen().read()) == len(large)
