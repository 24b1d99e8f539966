"""Which updates an LM looks at: the checks of RFC 5213, 5.3.1, in its order."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dmm_agent.functions.proxy_messages import node_of, prefixes_of
from dmm_agent.wire import (
    AccessTechnologyType,
    BindingStatus,
    BindingUpdateFlag,
    HandoffIndicator,
    Timestamp,
)

if TYPE_CHECKING:
    from ipaddress import IPv6Address

    from dmm_agent.config import Directory
    from dmm_agent.functions.base import Context
    from dmm_agent.wire import BindingUpdate


def refusal(
    context: Context, source: IPv6Address, update: BindingUpdate, now: float, window_s: float
) -> BindingStatus | None:
    """Why an update is refused before its prefixes are looked at; None when it is not.

    Args:
        context: Whose update it would be.
        source: Who sent it.
        update: What came.
        now: Seconds since 1970.
        window_s: How far the sender's clock may be off (TimestampValidityWindow, 9.1).
    """
    mn_id = node_of(update)
    time = update.first(Timestamp)
    checks = (
        (bool(mn_id), BindingStatus.MISSING_MN_IDENTIFIER_OPTION),
        (
            is_infrastructure(context.directory, source),
            BindingStatus.MAG_NOT_AUTHORIZED_FOR_PROXY_REG,
        ),
        (
            BindingUpdateFlag.PROXY in update.flags and context.mobile_nodes.offered_to(mn_id),
            BindingStatus.PROXY_REG_NOT_ENABLED,
        ),
        (
            time is not None and abs(time.seconds - now) <= window_s,
            BindingStatus.TIMESTAMP_MISMATCH,
        ),
        (bool(prefixes_of(update)), BindingStatus.MISSING_HOME_NETWORK_PREFIX_OPTION),
        (
            update.first(HandoffIndicator) is not None,
            BindingStatus.MISSING_HANDOFF_INDICATOR_OPTION,
        ),
        (
            update.first(AccessTechnologyType) is not None,
            BindingStatus.MISSING_ACCESS_TECH_TYPE_OPTION,
        ),
    )
    return next((status for holds, status in checks if not holds), None)


def is_infrastructure(directory: Directory, address: IPv6Address) -> bool:
    """Whether an address can be a router's: of a network in the directory, on no access link."""
    owner = directory.owner_of(address)
    if owner is None or address in owner.mobile_pool:
        return False
    return owner.plain is None or address not in owner.plain
