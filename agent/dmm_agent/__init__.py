"""The agent of the DMM testbed: one process a host, functions chosen by configuration."""
