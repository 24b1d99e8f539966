"""The location database of one LM: which home network prefix is reached where."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from ipaddress import IPv6Address, IPv6Network
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping


@dataclass(slots=True)
class Binding:
    """One entry: a mobile node's prefix and the next node that knows how to reach it."""

    hnp: IPv6Network
    mn_id: str
    location: IPv6Address
    """Another network's MR, an access router of this network, or a node's care-of address."""
    home_lm: IPv6Address | None
    """For a prefix that visits this network: the LM that points here (draft, section 6)."""
    expires_at: float
    home_expires_at: float
    """Until when the home LM points here; equals `expires_at` for this network's own prefixes."""
    leaving: bool = False
    """The access router said that the node left; it may yet show up elsewhere."""
    by_node: bool = False
    """The node itself registered it: `location` is its care-of address (RFC 6275)."""
    leased_until: float | None = None
    """For a prefix that visits this network: until when its home leased it, if it said so."""

    def fields(self) -> dict[str, Any]:
        """All but the prefix, as JSON has it."""
        return {
            "mn_id": self.mn_id,
            "location": str(self.location),
            "home_lm": None if self.home_lm is None else str(self.home_lm),
            "expires_at_s": self.expires_at,
            "home_expires_at_s": self.home_expires_at,
            "leaving": self.leaving,
            "by_node": self.by_node,
            "leased_until_s": self.leased_until,
        }

    @classmethod
    def of_fields(cls, hnp: IPv6Network, fields: Mapping[str, Any]) -> Binding:
        """The binding that had these fields."""
        home_lm = fields["home_lm"]
        return cls(
            hnp,
            fields["mn_id"],
            IPv6Address(fields["location"]),
            None if home_lm is None else IPv6Address(home_lm),
            fields["expires_at_s"],
            fields["home_expires_at_s"],
            fields["leaving"],
            fields["by_node"],
            fields.get("leased_until_s"),
        )


class BindingTable:
    """Bindings by prefix and by node, with the newest registration time seen of each prefix.

    The time outlives the binding, so that a late copy of an older message changes nothing
    (RFC 5213, 5.5).
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._by_hnp: dict[IPv6Network, Binding] = {}
        self._by_node: dict[str, set[IPv6Network]] = {}
        self._newest: OrderedDict[IPv6Network, int] = OrderedDict()

    def __len__(self) -> int:
        return len(self._by_hnp)

    def __iter__(self) -> Iterator[Binding]:
        return iter(tuple(self._by_hnp.values()))

    def get(self, hnp: IPv6Network) -> Binding | None:
        """The binding of a prefix."""
        return self._by_hnp.get(hnp)

    def of_node(self, mn_id: str) -> list[Binding]:
        """All bindings of a mobile node, in the order of their prefixes."""
        return [self._by_hnp[hnp] for hnp in sorted(self._by_node.get(mn_id, ()))]

    def has_room(self, hnp: IPv6Network) -> bool:
        """Whether a binding of this prefix can be put."""
        return hnp in self._by_hnp or len(self._by_hnp) < self._limit

    def put(self, binding: Binding) -> None:
        """Add or replace a binding."""
        self.drop(binding.hnp)
        self._by_hnp[binding.hnp] = binding
        self._by_node.setdefault(binding.mn_id, set()).add(binding.hnp)

    def drop(self, hnp: IPv6Network) -> Binding | None:
        """Take a binding out and return it."""
        binding = self._by_hnp.pop(hnp, None)
        if binding is not None:
            prefixes = self._by_node[binding.mn_id]
            prefixes.discard(hnp)
            if not prefixes:
                del self._by_node[binding.mn_id]
        return binding

    def newest(self, hnp: IPv6Network) -> int:
        """The newest registration time accepted for a prefix (1/65536 s since 1970), 0 if none."""
        return self._newest.get(hnp, 0)

    def accept(self, hnp: IPv6Network, time_units: int) -> list[IPv6Network]:
        """Note that a registration of this time was accepted; returns of which none is any more."""
        self._newest[hnp] = time_units
        self._newest.move_to_end(hnp)
        too_many = range(len(self._newest) - 2 * self._limit)
        return [self._newest.popitem(last=False)[0] for _ in too_many]
