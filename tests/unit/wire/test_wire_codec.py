"""What the decoder takes and refuses, and what the encoder will not write."""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import IPv6Address, IPv6Network
from typing import ClassVar

import pytest

from dmm_agent.wire import (
    AlternateCareOfAddress,
    AnswerStatus,
    BindingAckFlag,
    BindingAcknowledgement,
    BindingAuthorizationData,
    BindingRefreshRequest,
    BindingStatus,
    BindingUpdate,
    BindingUpdateFlag,
    ContextRequest,
    DecodeError,
    EncodeError,
    HandoffIndicator,
    HomeNetworkPrefix,
    HomeTestInit,
    LmaAddress,
    LocationAnswer,
    LocationQuery,
    MagAddress,
    Message,
    MobileNodeIdentifier,
    MobileNodeLinkLayerIdentifier,
    Option,
    PreviousMaar,
    RequestedContext,
    Timestamp,
    UnknownExperiment,
    UnknownMessageType,
    UnknownOption,
    VendorSpecific,
    decode,
    encode,
    round_lifetime,
    verify_checksum,
)
from dmm_agent.wire.layout import Layout
from dmm_agent.wire.message import mobility_message
from dmm_agent.wire.option import mobility_option

SOURCE, DESTINATION = IPv6Address("2001:db8:1::1"), IPv6Address("2001:db8:ff::1")
PREFIX = HomeNetworkPrefix(IPv6Network("2001:db8:1:8100::/64"))
UPDATE = BindingUpdate(1, BindingUpdateFlag.ACKNOWLEDGE, 60)


def octets(message: Message) -> bytearray:
    return bytearray(encode(message, SOURCE, DESTINATION))


def update_with(options: str) -> bytes:
    """A Binding Update with these octets in the place of its options, in hex."""
    tail = bytes.fromhex(options)
    assert len(tail) % 8 == 4
    return bytes([59, (12 + len(tail)) // 8 - 1, 5, 0, 0, 0, 0, 1, 0x80, 0, 0, 15]) + tail


def update_of(*options: Option) -> Message:
    return BindingUpdate(1, BindingUpdateFlag.ACKNOWLEDGE, 60, options)


# --- what the decoder takes


def test_a_memoryview_is_as_good_as_bytes() -> None:
    assert decode(memoryview(octets(UPDATE))) == UPDATE


def test_octets_after_the_message_are_ignored() -> None:
    sent = bytes(octets(UPDATE)) + b"surplus"
    assert decode(sent) == UPDATE
    assert verify_checksum(sent, SOURCE, DESTINATION)


def test_reserved_bits_and_octets_are_ignored() -> None:
    received = octets(update_of(PREFIX))
    received[3] = 0xFF
    received[9] |= 0x0F
    received[14] = 0xFF
    assert decode(received) == update_of(PREFIX)


@pytest.mark.parametrize(
    "options",
    [
        "17020003 18020004",
        "00000000 17020003 00 18020004 000000",
        "0100 17020003 1802ff04 0100",
        "0103ffffff 17020003 00 0100 18020004 0102ffff",
    ],
)
def test_padding_is_taken_wherever_and_however_it_comes(options: str) -> None:
    hexed = options.replace(" ", "")
    hexed += "00" * (-(len(hexed) // 2 - 4) % 8)
    handoff, access = decode(update_with(hexed)).options
    assert isinstance(handoff, HandoffIndicator)
    assert handoff.value == 3
    assert access.option_type == 24


def test_an_option_is_taken_at_an_offset_it_should_not_have() -> None:
    pad1 = "00"
    option = "16120040" + "20010db8000181000000000000000000"
    assert decode(update_with(pad1 + option + "01050000000000")).options == (PREFIX,)


def test_unknown_options_are_kept_and_written_back() -> None:
    message = update_of(UnknownOption(200, b"\x01\x02\x03"), PREFIX, UnknownOption(201, b""))
    assert decode(octets(message)) == message


def test_the_ipv4_form_of_an_option_is_kept_as_unknown() -> None:
    ipv4 = "2906 0200 c0000201".replace(" ", "")
    assert decode(update_with(ipv4 + "01020000")).options == (
        UnknownOption(41, bytes.fromhex("0200c0000201")),
    )


def test_unnamed_values_stay_numbers() -> None:
    message = BindingAcknowledgement(250, BindingAckFlag.PROXY, 1, 0, (HandoffIndicator(77),))
    assert decode(octets(message)) == message


def test_named_values_come_back_with_their_names() -> None:
    decoded = decode(octets(BindingAcknowledgement(128, BindingAckFlag(0), 1, 0)))
    assert isinstance(decoded, BindingAcknowledgement)
    assert decoded.status is BindingStatus.REASON_UNSPECIFIED


@pytest.mark.parametrize("prefix", ["40" + "00" * 16, "ff" + "00" * 16, "08" + "00ff" * 8])
def test_an_all_zero_prefix_asks_for_any_whatever_its_length(prefix: str) -> None:
    assert decode(update_with("161200" + prefix)).options == (
        HomeNetworkPrefix(IPv6Network("::/0")),
    )


def test_bits_past_the_prefix_length_do_not_count() -> None:
    assert decode(update_with("16120040" + "20010db800018100" + "ff" * 8)).options == (PREFIX,)


def test_options_are_found_by_class() -> None:
    other = HomeNetworkPrefix(IPv6Network("2001:db8:2:8100::/64"))
    message = update_of(PREFIX, HandoffIndicator(1), other)
    assert message.first(HomeNetworkPrefix) == PREFIX
    assert message.every(HomeNetworkPrefix) == (PREFIX, other)
    assert message.first(Timestamp) is None
    assert message.every(Timestamp) == ()


# --- what the decoder refuses


@pytest.mark.parametrize("size", range(8))
def test_less_than_eight_octets_are_refused(size: int) -> None:
    with pytest.raises(DecodeError, match="at least 8 octets"):
        decode(bytes(octets(UPDATE))[:size])


def test_a_message_cut_short_is_refused() -> None:
    with pytest.raises(DecodeError, match="Header Len says 16 octets, got 15") as caught:
        decode(octets(UPDATE)[:-1])
    assert caught.value.offset == 1
    assert not verify_checksum(octets(UPDATE)[:-1], SOURCE, DESTINATION)


def test_an_unknown_message_type_is_told_before_any_other_fault() -> None:
    with pytest.raises(UnknownMessageType) as caught:
        decode(bytes([0, 0, 99, 0, 0, 0, 0, 0]))
    assert (caught.value.mh_type, caught.value.offset) == (99, 2)


def test_another_payload_protocol_is_pointed_at() -> None:
    received = octets(UPDATE)
    received[0] = 41
    with pytest.raises(DecodeError, match="Payload Proto: expected 59, got 41") as caught:
        decode(received)
    assert caught.value.offset == 0


def test_a_header_length_below_the_minimum_of_the_type_is_pointed_at() -> None:
    with pytest.raises(DecodeError, match="too small for a BindingUpdate") as caught:
        decode(bytes([59, 0, 5, 0, 0, 0, 0, 1]))
    assert caught.value.offset == 1


@pytest.mark.parametrize(
    ("options", "reason", "offset"),
    [
        ("08ff0161", "option 8 runs past the end", 13),
        ("00000008", "option 8 has no length octet", 15),
        ("17010000", r"option 23 \(HandoffIndicator\): expected 2 octets, got 1", 12),
        ("0800" + "0102" + "00" * 8, "expected at least 1 octets, got 0", 12),
        ("16120081" + "20" * 16, r"option 22 \(HomeNetworkPrefix\)", 12),
        ("33120040" + "20" * 16, "expected octet 128, got 64", 12),
        ("2806000016050000" + "01020000", "request at octet 0 of the list runs past", 12),
    ],
)
def test_a_malformed_option_is_named_and_located(options: str, reason: str, offset: int) -> None:
    with pytest.raises(DecodeError, match=reason) as caught:
        decode(update_with(options))
    assert caught.value.offset == offset


def test_an_experiment_of_others_is_told_from_ours() -> None:
    with pytest.raises(UnknownExperiment) as caught:
        decode(bytes([59, 0, 11, 0, 0, 0, 42, 0]))
    assert caught.value.kind == 42


def test_an_answer_of_unknown_status_is_refused() -> None:
    received = octets(LocationAnswer(AnswerStatus.AWAY, 1, 30))
    received[7] = 77
    with pytest.raises(DecodeError, match="LocationAnswer: 77 is not a valid AnswerStatus"):
        decode(received)


def test_a_revocation_of_no_known_kind_is_refused() -> None:
    with pytest.raises(DecodeError, match="type 16 has no message of kind 3"):
        decode(bytes([59, 1, 16, 0, 0, 0, 3, 0]) + bytes(8))


# --- what the encoder writes


def test_a_message_is_a_multiple_of_eight_octets_and_says_so() -> None:
    for size in range(20):
        sent = octets(update_of(MobileNodeIdentifier(1, bytes(size))))
        assert len(sent) % 8 == 0
        assert sent[1] == len(sent) // 8 - 1


@pytest.mark.parametrize("before", range(9))
def test_padding_brings_an_option_to_its_alignment(before: int) -> None:
    first = UnknownOption(200, b"x" * before)
    sent = octets(update_of(first, PREFIX))
    end_of_first = 14 + before
    start = sent.index(b"\x16\x12", end_of_first)
    assert start % 8 == 4
    gap = start - end_of_first
    padded = {0: b"", 1: b"\0"}.get(gap, b"\1" + bytes([max(0, gap - 2)]) + bytes(max(0, gap - 2)))
    assert sent[end_of_first:start] == padded
    assert gap < 8


@pytest.mark.parametrize(("size", "multiple"), [(4, 4), (5, 1), (6, 2), (8, 8), (16, 8)])
def test_a_link_layer_identifier_is_aligned_by_its_size(size: int, multiple: int) -> None:
    identifier = b"\xaa" * size
    sent = octets(
        update_of(
            HandoffIndicator(1), UnknownOption(200, b""), MobileNodeLinkLayerIdentifier(identifier)
        )
    )
    assert sent.index(identifier) % multiple == 0


@pytest.mark.parametrize(
    ("message", "complaint"),
    [
        (BindingUpdate(-1, UPDATE.flags, 4), "BindingUpdate.sequence: expected from 0 to 65535"),
        (BindingUpdate(65536, UPDATE.flags, 4), "got 65536"),
        (BindingUpdate(1, UPDATE.flags, 6), "lifetime_s: expected a multiple of 4 from 0 to 26214"),
        (BindingUpdate(1, UPDATE.flags, 262144), "lifetime_s"),
        (BindingUpdate(1, BindingUpdateFlag(1), 4), "flags: expected bits out of 0xfff0"),
        (HomeTestInit(b"short"), "HomeTestInit.cookie: expected 8 octets"),
        (update_of(UnknownOption(200, bytes(256))), "at most 255 octets, got 256"),
        (update_of(UnknownOption(1, b"")), "UnknownOption.type: expected 2 to 255, got 1"),
        (update_of(ContextRequest((RequestedContext(300),))), "ContextRequest.requests"),
        (update_of(*(VendorSpecific(1, 1, bytes(200)) for _ in range(10))), "at most 2048 octets"),
    ],
)
def test_what_does_not_fit_is_refused_by_name(message: Message, complaint: str) -> None:
    with pytest.raises(EncodeError, match=complaint):
        encode(message, SOURCE, DESTINATION)


@pytest.mark.parametrize(
    ("wanted", "granted"),
    [(0, 0), (0.1, 4), (4, 4), (4.5, 8), (60, 60), (262140, 262140), (1e9, 262140), (-3, 0)],
)
def test_lifetimes_round_up_to_what_can_be_sent(wanted: float, granted: int) -> None:
    assert round_lifetime(wanted) == granted
    encode(BindingUpdate(1, UPDATE.flags, round_lifetime(wanted)), SOURCE, DESTINATION)


def test_the_checksum_covers_both_addresses() -> None:
    sent = octets(UPDATE)
    assert verify_checksum(sent, SOURCE, DESTINATION)
    assert not verify_checksum(sent, IPv6Address("2001:db8:1::2"), DESTINATION)
    assert not verify_checksum(sent, SOURCE, IPv6Address("2001:db8:ff::2"))


def test_a_checksum_of_zero_is_sent_as_zero() -> None:
    bare = BindingRefreshRequest()
    rest = int.from_bytes(octets(bare)[4:6])
    source = IPv6Address(int(SOURCE) + (rest << 64))
    sent = encode(bare, source, DESTINATION)
    assert sent[4:6] == b"\x00\x00"
    assert verify_checksum(sent, source, DESTINATION)


# --- values


def test_an_nai_reads_as_text_and_anything_else_as_hex() -> None:
    assert MobileNodeIdentifier.nai("mn11@dmm.example").text == "mn11@dmm.example"
    assert MobileNodeIdentifier(1, b"\xff").text == "\\xff"
    assert MobileNodeIdentifier(5, bytes.fromhex("020000000101")).text == "020000000101"


def test_a_timestamp_keeps_every_bit() -> None:
    assert Timestamp.at(1700000000.5).units == 1700000000 << 16 | 0x8000
    assert Timestamp.at(1700000000.5).seconds == 1700000000.5
    latest = Timestamp(2**64 - 1)
    assert decode(octets(update_of(latest))).options == (latest,)


def test_a_query_and_its_answer_arrive() -> None:
    query = LocationQuery(7, (PREFIX,))
    answer = LocationAnswer(AnswerStatus.AWAY, 7, 30, (PREFIX, MagAddress(SOURCE)))
    assert decode(octets(query)) == query
    assert decode(octets(answer)) == answer


# --- the registries


def test_a_number_is_given_out_once() -> None:
    @dataclass(frozen=True, slots=True)
    class Intruder(Option):
        option_type: ClassVar[int] = 22
        layout: ClassVar[Layout] = Layout()

    with pytest.raises(ValueError, match=r"mobility option 22 \(Intruder\) is already taken"):
        mobility_option(Intruder)

    @dataclass(frozen=True, slots=True)
    class Usurper(Message):
        options: tuple[Option, ...] = ()
        mh_type: ClassVar[int] = 5
        body: ClassVar[Layout] = Layout()

    with pytest.raises(ValueError, match=r"Mobility Header type 5 \(Usurper\) is already taken"):
        mobility_message(Usurper)


def test_options_with_two_addresses_keep_them_apart() -> None:
    before = PreviousMaar(SOURCE, PREFIX.prefix)
    anchor = LmaAddress(DESTINATION)
    message = update_of(before, anchor, AlternateCareOfAddress(SOURCE))
    assert decode(octets(message)) == message


def test_an_authenticator_ends_the_message_without_padding() -> None:
    sent = octets(update_of(PREFIX, BindingAuthorizationData(b"authenticate")))
    assert sent.endswith(b"authenticate")
