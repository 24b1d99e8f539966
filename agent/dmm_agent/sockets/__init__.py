"""The host's own sockets, and which of its addresses they need to keep."""
