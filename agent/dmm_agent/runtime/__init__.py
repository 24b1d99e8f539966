"""The real world of the functions: one asyncio loop, raw sockets, timers, control socket."""
