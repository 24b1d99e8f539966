"""The agent of the DMM testbed: one process a host, its mobility functions chosen by configuration."""
