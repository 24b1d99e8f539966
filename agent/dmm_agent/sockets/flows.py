"""Flows for which a policy declines mobility support (RFC 7333, REQ2)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

if TYPE_CHECKING:
    from dmm_agent.sockets.sock_diag import Socket

MAX_PORTS = 64


class DeclinedFlows(BaseModel):
    """Sessions of a mobile node that are let go when it moves: no address is kept for them."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    protocol: Literal["tcp", "udp", "udplite"] = Field(description='"tcp", "udp" or "udplite"')
    remote_ports: tuple[Annotated[int, Field(ge=1, le=65535)], ...] = Field(
        min_length=1, max_length=MAX_PORTS, description=f"1 to {MAX_PORTS} ports, 1 to 65535"
    )
    """Ports at the correspondent, which say what kind of service it is."""

    def match(self, found: Socket) -> bool:
        """Whether a socket's session is one of them."""
        return found.protocol == self.protocol and found.remote_port in self.remote_ports
