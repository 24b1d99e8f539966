"""Writes every input of the functions to a file, one JSON line each, to replay a run later."""

from __future__ import annotations

import json
import logging
from dataclasses import fields
from typing import TYPE_CHECKING, Any

from dmm_agent.attachment.icmpv6 import ROUTER_LINK_LOCAL
from dmm_agent.functions.events import HeardOnLink, Received
from dmm_agent.wire import EncodeError, encode

if TYPE_CHECKING:
    from ipaddress import IPv6Address
    from pathlib import Path

    from dmm_agent.functions.events import Event

log = logging.getLogger(__name__)

LARGEST_FILE = 64 << 20
"""Octets after which the recorder stops."""


class Recorder:
    """Appends inputs to a file; a `Received` message is written as its octets in hexadecimal."""

    def __init__(self, path: Path, address: IPv6Address) -> None:
        """Open the file.

        Raises:
            OSError: the file cannot be written.
        """
        self._file = path.open("a", encoding="utf-8", buffering=1)
        self._address = address

    def record(self, at_s: float, event: Event) -> None:
        """Write one input; what cannot be written is logged and left out."""
        if self._file.tell() > LARGEST_FILE:
            return
        try:
            line = {"at_s": at_s, "input": type(event).__name__, **self._fields(event)}
            self._file.write(json.dumps(line, default=str) + "\n")
        except (EncodeError, OSError) as error:
            log.warning("an input was not recorded", extra={"fields": {"reason": str(error)}})

    def _fields(self, event: Event) -> dict[str, Any]:
        if isinstance(event, Received):
            octets = event.octets or encode(event.message, event.source, self._address)
            home = {} if event.home_address is None else {"home_address": str(event.home_address)}
            return {"source": str(event.source), **home, "message": octets.hex()}
        if isinstance(event, HeardOnLink):
            octets = encode(event.message, event.source, ROUTER_LINK_LOCAL)
            sender = {"link": event.link, "link_layer": event.link_layer}
            return {**sender, "source": str(event.source), "message": octets.hex()}
        return {field.name: getattr(event, field.name) for field in fields(event)}

    def close(self) -> None:
        """Close the file."""
        self._file.close()
