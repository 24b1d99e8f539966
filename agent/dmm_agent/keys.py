"""Keys that mobile nodes and home agents share: mobility security associations (RFC 4285, 5.1)."""

from __future__ import annotations

from ipaddress import IPv6Address  # noqa: TC003 - pydantic looks it up
from typing import TYPE_CHECKING, Annotated

import yaml
from pydantic import BaseModel, ConfigDict, Field, StringConstraints, TypeAdapter, ValidationError

from dmm_agent.config import ConfigError, NetworkAccessIdentifier

if TYPE_CHECKING:
    from pathlib import Path

FIRST_SPI = 256
"""Those below are reserved (RFC 4285, 5.1)."""

Key = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{32}$")]
"""16 octets, in hexadecimal."""


class SecurityAssociation(BaseModel):
    """What a mobile node and one home agent share; the algorithm is HMAC-SHA1."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    mn_id: NetworkAccessIdentifier
    home_agent: IPv6Address
    spi: int = Field(FIRST_SPI, ge=FIRST_SPI, lt=1 << 32)
    """Security parameter index."""
    key: Key = Field(repr=False)

    @property
    def octets(self) -> bytes:
        """The key."""
        return bytes.fromhex(self.key)


class Keys:
    """The associations that a host has, at most one for each node and home agent."""

    def __init__(self, associations: tuple[SecurityAssociation, ...] = ()) -> None:
        self._by_ends = {(a.mn_id, a.home_agent): a for a in associations}

    def __len__(self) -> int:
        return len(self._by_ends)

    def between(self, mn_id: str, home_agent: IPv6Address) -> SecurityAssociation | None:
        """What a node and a home agent share, if this host knows it."""
        return self._by_ends.get((mn_id, home_agent))


def load_keys(path: Path) -> Keys:
    """Read a file of keys. What is wrong with it is said without what it says.

    Raises:
        ConfigError: the file cannot be read, is not YAML, or a field is wrong.
    """
    try:
        data = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: {error}") from error
    except yaml.YAMLError:
        raise ConfigError(f"{path}: expected YAML") from None
    try:
        return Keys(TypeAdapter(tuple[SecurityAssociation, ...]).validate_python(data))
    except ValidationError as error:
        lines = []
        for problem in error.errors(include_input=False, include_context=False):
            where = ".".join(str(part) for part in problem["loc"]) or "(top)"
            lines.append(f"{path}: {where}: {problem['msg']}")
        raise ConfigError("\n".join(lines)) from None
