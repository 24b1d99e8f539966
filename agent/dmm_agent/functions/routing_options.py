"""What a profile chooses for mobility routing: the options of `mr` (draft, 7)."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, model_validator

from dmm_agent.functions.base import Options


class RoutingOptions(Options):
    """Options of `mr`; see the draft's section 7 for what they choose between."""

    interception: Literal["gateway", "access", "anycast"] = "gateway"
    """RS1: where packets meet the MR: at the gateway of their sender's network, at its access
    router, or at the nearest of all MRs, each of which announces all mobile pools."""
    resolution: Literal["query", "push", "none"] = "query"
    """RS2: how the MR learns of a location: it asks, it is told when it sends packets to a home
    network in vain, or not at all."""
    ask_first: Literal["home-lm", "own-lm"] = "home-lm"
    """Which LM it asks: the one that serves the prefix, or that of its own network, which refers
    it, unless that is beside it."""
    while_resolving: Literal["triangle", "hold"] = "triangle"
    """What happens to packets meanwhile: they go by the home network, or wait for the answer."""
    forwarding: Literal["encapsulate", "rewrite"] = "encapsulate"
    """How packets get to another network: IPv6 in IPv6 (RFC 2473), or under locators."""
    resolve_after_s: float = Field(0.0, ge=0, le=10)
    """Ask for a destination once it has been in use for this long, not for a stray packet."""
    hold_s: float = Field(1.0, gt=0, le=10)
    """Packets wait for so long at most, then they go by the home network."""
    hold_packets: int = Field(1024, ge=1)
    hold_octets: int = Field(1 << 20, ge=1280)
    """At most so many wait, of all destinations together; others are dropped and counted."""
    max_cache: int = Field(65_536, ge=1)

    @model_validator(mode="after")
    def _who_holds_asks_at_once(self) -> Self:
        if self.while_resolving == "hold" and (self.resolution != "query" or self.resolve_after_s):
            raise ValueError(
                "while_resolving: hold needs resolution: query and resolve_after_s: 0, "
                f"got {self.resolution} and {self.resolve_after_s:g}"
            )
        return self

    @model_validator(mode="after")
    def _who_rewrites_knows_the_senders(self) -> Self:
        if self.forwarding == "rewrite" and (
            self.interception != "gateway" or self.resolution == "push"
        ):
            raise ValueError(
                "forwarding: rewrite needs interception: gateway and resolution: query or none, "
                f"got {self.interception} and {self.resolution}"
            )
        return self
