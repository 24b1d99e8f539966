"""Fuzz the decoder: PYTHONPATH=agent python tests/fuzz/fuzz_wire.py -max_total_time=60 CORPUS."""

from __future__ import annotations

import sys
from ipaddress import IPv6Address

try:
    import atheris
except ImportError:
    sys.exit("fuzz_wire needs atheris: install it with `pip install atheris` (Linux, x86-64)")

with atheris.instrument_imports(include=["dmm_agent.wire"]):
    from dmm_agent import wire

SOURCE, DESTINATION = IPv6Address("2001:db8::1"), IPv6Address("2001:db8::2")


def decode_one(octets: bytes) -> None:
    """What decodes must encode again, and to something that decodes to the same."""
    try:
        message = wire.decode(octets)
    except wire.DecodeError:
        return
    try:
        encoded = wire.encode(message, SOURCE, DESTINATION)
    except wire.EncodeError:
        if len(octets) < wire.LARGEST_OCTETS // 2:
            raise
        return  # aligned, its options may need more room than there is
    if wire.decode(encoded) != message:
        raise AssertionError(f"{octets.hex()} reads as {message}, but does not come back as that")


def decode_packet_one(octets: bytes) -> None:
    """Extension headers are refused or read, like everything else."""
    try:
        wire.decode_packet(octets[0], octets[1:])
    except wire.DecodeError:
        return


def fuzz_one(octets: bytes) -> None:
    """The fuzzer's entry point."""
    decode_one(octets)
    if octets:
        decode_packet_one(octets)


if __name__ == "__main__":
    atheris.Setup(sys.argv, fuzz_one)
    atheris.Fuzz()
