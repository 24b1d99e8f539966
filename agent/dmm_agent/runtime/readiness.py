"""Tells the service manager that the agent is ready (sd_notify(3)), if one wants to know."""

from __future__ import annotations

import logging
import os
import socket

log = logging.getLogger(__name__)

NOTIFY_SOCKET = "NOTIFY_SOCKET"
"""Environment variable with the path of the service manager's datagram socket."""


def tell_ready(summary: str) -> None:
    """Say that the agent is ready, with a line for `systemctl status`.

    A service manager that cannot be told is logged, no more: it knows what to do with a service
    that does not say it is ready.
    """
    path = os.environ.get(NOTIFY_SOCKET, "")
    if not path:
        return
    if path.startswith("@"):
        path = "\0" + path[1:]  # the abstract namespace, which no file system shows
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as manager:
        try:
            manager.sendto(f"READY=1\nSTATUS={summary}".encode(), path)
        except OSError as error:
            fields = {"socket": path, "reason": str(error)}
            log.warning("the service manager cannot be told", extra={"fields": fields})
