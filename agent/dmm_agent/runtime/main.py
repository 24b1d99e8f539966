"""The command `dmm-agent`."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from dmm_agent.runtime import CONTROL_SOCKET

if TYPE_CHECKING:
    from collections.abc import Sequence

    from dmm_agent.config import AgentConfig
    from dmm_agent.functions.node import Node

DEFAULT_CONFIG = Path("/etc/dmm/agent.yml")
DEFAULT_KEYS = Path("/etc/dmm/keys.yml")
DEFAULT_STORE = Path("/var/lib/dmm/agent.db")
DEFAULT_ADOPTION_GRACE_S = 90.0
"""One and a half binding lifetimes: whoever is still served has been refreshed by then."""

EXIT_FAILED, EXIT_CONFIG, EXIT_PERMISSION = 1, 2, 77

CAPABILITIES = {"NET_ADMIN": 12, "NET_RAW": 13}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the agent; returns the exit status.

    0: stopped as asked, or done; 1: the host does not allow what is needed; 2: the configuration
    or command line is wrong; 77: no permission.
    """
    options = _parser().parse_args(arguments)
    if options.flush:
        return _need_capabilities() or _flush(options.socket)
    return _run(options)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="dmm-agent", description="The mobility agent of one host."
    )
    parser.add_argument("--config", type=Path, default=DEFAULT_CONFIG, metavar="FILE")
    parser.add_argument(
        "--keys",
        type=Path,
        default=DEFAULT_KEYS,
        metavar="FILE",
        help="what mobile nodes and home agents share, where functions need it (%(default)s)",
    )
    parser.add_argument("--check", action="store_true", help="check the configuration and exit")
    parser.add_argument(
        "--flush",
        action="store_true",
        help="take every rule, route and table of the agent out of the kernel and exit",
    )
    parser.add_argument(
        "--log-level", choices=("debug", "info", "warning", "error"), default="info"
    )
    parser.add_argument(
        "--state",
        type=Path,
        default=DEFAULT_STORE,
        metavar="FILE",
        help="where functions keep what outlasts the agent, if they do (%(default)s)",
    )
    parser.add_argument("--record", type=Path, metavar="FILE", help="write every input to a file")
    parser.add_argument(
        "--adoption-grace-s",
        type=float,
        default=DEFAULT_ADOPTION_GRACE_S,
        metavar="SECONDS",
        help="how long routes of an earlier agent stay without being asked for (%(default)s)",
    )
    parser.add_argument(
        "--socket", type=Path, default=CONTROL_SOCKET, help="control socket (%(default)s)"
    )
    return parser


def _run(options: argparse.Namespace) -> int:
    import random

    from dmm_agent.config import ConfigError, load
    from dmm_agent.functions.node import build_node
    from dmm_agent.keys import load_keys

    try:
        config = load(options.config)
        _require_own_network(config, options.config)
        node = build_node(config, random.Random())
        if node.authenticates:
            node = build_node(config, random.Random(), keys=load_keys(options.keys))
    except ConfigError as error:
        print(error, file=sys.stderr)
        return EXIT_CONFIG
    if options.check:
        print(f"{options.config}: good: {config.host} runs {', '.join(sorted(config.functions))}")
        return 0
    return _need_capabilities(steers=node.steers) or _serve(options, config, node)


def _require_own_network(config: AgentConfig, source: Path) -> None:
    from dmm_agent.config import ConfigError

    known = [entry.network for entry in config.directory.networks]
    if config.network not in known:
        raise ConfigError(
            f"{source}: network: expected one of directory.networks ({', '.join(known)}), "
            f"got {config.network!r}"
        )


def _serve(options: argparse.Namespace, config: AgentConfig, node: Node) -> int:
    import asyncio

    from dmm_agent.dataplane.netlink import NetlinkError
    from dmm_agent.dataplane.nflog import NflogError
    from dmm_agent.dataplane.nft import NftablesError
    from dmm_agent.dataplane.tunnels import DataplaneError
    from dmm_agent.runtime import logs
    from dmm_agent.runtime.agent import AddressError, Agent
    from dmm_agent.runtime.control import AlreadyRunningError
    from dmm_agent.store.store import StoreError

    logs.configure(options.log_level)
    agent = Agent(
        config,
        node,
        control_path=options.socket,
        adoption_grace_s=options.adoption_grace_s,
        store_path=options.state,
        record_path=options.record,
    )
    try:
        asyncio.run(agent.run())
    except AddressError as error:
        return _fail(f"{options.config}: {error}", EXIT_CONFIG)
    except (
        AlreadyRunningError,
        DataplaneError,
        NetlinkError,
        NflogError,
        NftablesError,
        OSError,
        StoreError,
    ) as error:
        return _fail(str(error), EXIT_FAILED)
    return 0


def _flush(socket_path: Path) -> int:
    from dmm_agent.dataplane.lifecycle import take_down
    from dmm_agent.dataplane.netlink import Netlink, NetlinkError
    from dmm_agent.dataplane.nft import NftablesError
    from dmm_agent.dataplane.tunnels import DataplaneError
    from dmm_agent.runtime.control import is_answered

    if is_answered(socket_path):
        return _fail(f"the agent runs ({socket_path} answers): stop it first", EXIT_FAILED)
    try:
        with Netlink() as netlink:
            take_down(netlink)
    except (DataplaneError, NetlinkError, NftablesError, OSError) as error:
        return _fail(str(error), EXIT_FAILED)
    return 0


def _need_capabilities(*, steers: bool = True) -> int:
    """0, or the exit status if the process may not do what it has to.

    Whoever steers no packets need not configure the network.
    """
    status = Path("/proc/self/status").read_text(encoding="ascii")
    effective = next(line for line in status.splitlines() if line.startswith("CapEff:"))
    bits = int(effective.split()[1], 16)
    needed = CAPABILITIES if steers else {"NET_RAW": CAPABILITIES["NET_RAW"]}
    missing = [name for name, bit in needed.items() if not bits >> bit & 1]
    if not missing:
        return 0
    return _fail(
        f"run it as root: it needs {' and '.join(missing)} to "
        f"{'configure forwarding and to ' if steers else ''}open raw sockets",
        EXIT_PERMISSION,
    )


def _fail(reason: str, status: int) -> int:
    print(f"dmm-agent: {reason}", file=sys.stderr)
    return status


if __name__ == "__main__":
    sys.exit(main())
