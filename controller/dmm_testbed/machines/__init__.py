"""Machines made of Linux namespaces on the user's own computer, for one lab or several.

A machine has its own network, processes, host name, `/etc`, `/run`, `/tmp` and `/dev` over an
overlay of the user's root file system; nothing of it shows in the user's own namespaces. See
docs/machines.md.
"""

from dmm_testbed.machines.errors import MachineError

__all__ = ["MachineError"]
