"""What may be asked of dmm-traffic, at most."""

PORT = 8642
"""TCP and UDP port of the server."""

MIN_PAYLOAD_BYTES = 38
"""A UDP packet's header and a client's offer in it (`udp`)."""

MAX_PAYLOAD_BYTES = 1200
"""Fits the smallest IPv6 MTU (1280) with its UDP and IPv6 headers."""

MAX_UDP_RATE_PER_S = 5000.0
MAX_TCP_RATE_BYTES_PER_S = 10_000_000
