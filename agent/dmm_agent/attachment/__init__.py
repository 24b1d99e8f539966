"""How an access router learns that a mobile node came, left or is still there, and talks to it.

Packets are read and written whole on the access links, so that routers which all show one address
(RFC 6543) never depend on the kernel's neighbour table.
"""
