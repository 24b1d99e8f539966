"""The store of one agent: a file that holds what was promised, whatever becomes of the agent."""

from __future__ import annotations

import json
import os
import sqlite3
from collections.abc import Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from dmm_agent.functions.effects import Remember

if TYPE_CHECKING:
    from pathlib import Path

SCHEMA = 1
"""Version of the tables below. A change of them raises it, and brings older stores up to it."""
APPLICATION_ID = 0x646D6D73
"""Says in the file's header whose it is: "dmms"."""
LARGEST_WAL = 4 << 20
"""Octets that the write-ahead log keeps on disk between checkpoints."""

Changes = Mapping[tuple[str, str, str], Mapping[str, Any] | None]
"""By owner, table and key of a row its fields, or None if it is to go."""

_TABLES = """
CREATE TABLE memory (
    owner TEXT NOT NULL,
    "table" TEXT NOT NULL,
    key TEXT NOT NULL,
    fields TEXT NOT NULL,
    PRIMARY KEY (owner, "table", key)
) STRICT, WITHOUT ROWID;
CREATE TABLE clock (newest_s REAL NOT NULL) STRICT;
INSERT INTO clock VALUES (0);
"""
_PUT = "INSERT OR REPLACE INTO memory VALUES (?, ?, ?, ?)"
_DROP = 'DELETE FROM memory WHERE (owner, "table", key) = (?, ?, ?)'


class StoreError(Exception):
    """The store cannot be used; the text names the file and says what to do."""


class Store:
    """Rows by owner, table and key in an SQLite file.

    A commit is on the disk when `write` returns (write-ahead log, synchronous FULL), and after a
    crash at any moment the file holds all of a commit or nothing of it. The file is locked for as
    long as it is open: one agent at a time.
    """

    def __init__(self, path: Path) -> None:
        """Open the store, or make it if it is not there.

        Raises:
            StoreError: it cannot be opened, is damaged, is another agent's or a newer one's.
        """
        self.path = path
        try:
            _make_private(path)
            # No transactions but ours; whoever else has it open keeps it.
            self._connection = sqlite3.connect(path, timeout=0, isolation_level=None)
        except (OSError, sqlite3.Error) as error:
            reason = error.strerror if isinstance(error, OSError) else error
            raise StoreError(
                f"{path}: the store cannot be opened ({reason}): expected a file that the agent "
                "may write, in a directory that is there; --state names another"
            ) from error
        try:
            self._open()
        except BaseException:
            self._connection.close()
            raise

    def _open(self) -> None:
        try:
            self._configure()
            schema = self._number("PRAGMA user_version")
            if schema > SCHEMA:
                raise StoreError(
                    f"{self.path}: the store was written by a newer agent (schema {schema}, this "
                    f"one knows {SCHEMA}): run that one again, or move the file away and lose the "
                    "leases and bindings in it"
                )
            if schema == 0:
                self._make_tables()
            self._check()
        except sqlite3.OperationalError as error:
            if _code(error) in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
                raise StoreError(
                    f"{self.path}: another agent has the store open: stop that one first"
                ) from error
            raise self._unwritable(error) from error
        except sqlite3.DatabaseError as error:
            raise self._damaged(str(error)) from error

    def _configure(self) -> None:
        for setting in (
            "locking_mode = EXCLUSIVE",
            "journal_mode = WAL",
            "synchronous = FULL",
            f"journal_size_limit = {LARGEST_WAL}",
        ):
            self._connection.execute(f"PRAGMA {setting}").fetchall()

    def _make_tables(self) -> None:
        if self._number("SELECT count(*) FROM sqlite_schema"):
            raise StoreError(
                f"{self.path}: expected a store of dmm-agent, got another program's database; "
                "--state names another file"
            )
        self._connection.executescript(
            f"BEGIN; {_TABLES} PRAGMA application_id = {APPLICATION_ID}; "
            f"PRAGMA user_version = {SCHEMA}; COMMIT;"
        )

    def _check(self) -> None:
        if self._number("PRAGMA application_id") != APPLICATION_ID:
            raise self._damaged("its header is not a store's")
        (found,) = self._connection.execute("PRAGMA quick_check(1)").fetchone()
        if found != "ok":
            raise self._damaged(str(found))

    def _number(self, statement: str) -> int:
        (number,) = self._connection.execute(statement).fetchone()
        return int(number)

    def read(self) -> tuple[Remember, ...]:
        """All rows, by owner, table and key.

        Raises:
            StoreError: it is damaged.
        """
        try:
            rows = self._connection.execute("SELECT * FROM memory").fetchall()
            return tuple(Remember(o, t, key, json.loads(fields)) for o, t, key, fields in rows)
        except (sqlite3.Error, ValueError) as error:
            raise self._damaged(str(error)) from error

    @property
    def newest_s(self) -> float:
        """The agent's time at the last commit, in seconds since 1970; 0 in a new store.

        Raises:
            StoreError: it is damaged.
        """
        try:
            (newest_s,) = self._connection.execute("SELECT newest_s FROM clock").fetchone()
        except (sqlite3.Error, TypeError) as error:
            raise self._damaged(str(error)) from error
        return float(newest_s)

    def write(self, changes: Changes, now: float) -> None:
        """Commit changes, all in one; they are on the disk when this returns.

        Raises:
            StoreError: they are not, none of them.
        """
        puts = [(*at, _json(fields)) for at, fields in changes.items() if fields is not None]
        drops = [at for at, fields in changes.items() if fields is None]
        try:
            self._connection.execute("BEGIN IMMEDIATE")
            self._connection.executemany(_PUT, puts)
            self._connection.executemany(_DROP, drops)
            self._connection.execute("UPDATE clock SET newest_s = ?", (now,))
            self._connection.execute("COMMIT")
        except sqlite3.Error as error:
            with suppress(sqlite3.Error):
                self._connection.execute("ROLLBACK")
            raise self._unwritable(error) from error

    def close(self) -> None:
        """Close the file."""
        self._connection.close()

    def _damaged(self, reason: str) -> StoreError:
        return StoreError(
            f"{self.path}: the store is damaged ({reason}): move it away together with "
            f"{self.path.name}-wal; without them the agent starts with no leases and bindings"
        )

    def _unwritable(self, error: sqlite3.Error) -> StoreError:
        what = "make room" if _code(error) == sqlite3.SQLITE_FULL else "see to the disk"
        return StoreError(
            f"{self.path}: the store cannot be written ({error}): {what}; nothing that the agent "
            "would have to remember is answered until it can"
        )


def _make_private(path: Path) -> None:
    """Make the file, for its owner's eyes alone: it says which node is where."""
    if path.exists():
        return
    os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600))
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(folder)  # its name, too, outlasts a loss of power
    finally:
        os.close(folder)


def _json(fields: Mapping[str, Any]) -> str:
    return json.dumps(dict(fields), separators=(",", ":"))


def _code(error: sqlite3.Error) -> int:
    """SQLite's primary result code."""
    return getattr(error, "sqlite_errorcode", 0) & 0xFF
