"""The real world of the functions: one asyncio loop, raw sockets, timers, control socket."""

from pathlib import Path

CONTROL_SOCKET = Path("/run/dmm/agent.sock")
"""Where the agent is asked, unless its command line says otherwise."""
