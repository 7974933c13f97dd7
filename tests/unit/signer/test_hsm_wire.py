"""The frames between signer and worker, and the DER that the worker writes, against hostile and awkward input."""

from __future__ import annotations

import os
from collections.abc import Callable

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from services.signer.hsm import der, wire
from services.signer.hsm.types import KeyLocator
from services.signer.hsm.wire import FrameError, FrameKind, FrameReader, Status


def test_frames_come_out_whole_however_the_stream_is_cut() -> None:
    bodies = [b"", b"a", os.urandom(300), os.urandom(5000)]
    stream = b"".join(wire.frame(number, FrameKind.SIGN, body) for number, body in enumerate(bodies))
    for step in (1, 2, 8, 9, 10, 301, len(stream)):
        reader = FrameReader()
        got = [item for at in range(0, len(stream), step) for item in reader.feed(stream[at : at + step])]
        assert got == [(number, FrameKind.SIGN, body) for number, body in enumerate(bodies)]


@pytest.mark.parametrize("length", [0, 4, wire.MAX_FRAME_BYTES + 1, 0xFFFFFFFF])
def test_a_frame_of_impossible_length_is_refused_before_it_is_read(length: int) -> None:
    with pytest.raises(FrameError, match="bytes"):
        list(FrameReader().feed(wire.HEADER.pack(length, 1, FrameKind.SIGNED)))


def test_jobs_come_out_of_a_frame_in_order() -> None:
    jobs = [
        (os.urandom(16), os.urandom(32), 1, 1, 12_345_678_901, [os.urandom(32) for _ in range(3)]),
        (os.urandom(16), os.urandom(32), 2, 3, wire.NO_DEADLINE, [os.urandom(64)]),
    ]
    body = b"".join(
        wire.KEY.pack(cka_id, spki, scheme, digest)
        + wire.JOB.pack(len(digests), deadline)
        + b"".join(digests)
        for cka_id, spki, scheme, digest, deadline, digests in jobs
    )
    assert list(wire.read_sign_body(body)) == jobs


@pytest.mark.parametrize(
    ("limit", "nanoseconds"),
    [
        (None, wire.NO_DEADLINE),
        (float("inf"), wire.NO_DEADLINE),
        (1e30, wire.NO_DEADLINE),
        (0.5, 500_000_000),
        (0.0, 0),
        (-3.0, 0),
    ],
)
def test_any_moment_fits_into_a_job(limit: float | None, nanoseconds: int) -> None:
    assert wire.deadline_ns(limit) == nanoseconds
    wire.JOB.pack(1, wire.deadline_ns(limit))


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"\0",
        wire.SIGNED.pack(0, 0, 1),
        wire.SIGNED.pack(0, 0, 2) + wire.ITEM.pack(0, 1, 2) + b"ab",
        wire.SIGNED.pack(0, 0, 1) + wire.ITEM.pack(len(Status), 1, 0),
    ],
)
def test_an_answer_that_is_cut_short_or_says_nonsense_is_refused(body: bytes) -> None:
    with pytest.raises(FrameError):
        wire.read_signed_body(body)


@pytest.mark.parametrize(
    "body", [b"", b"[]", b"{}", b'{"status": 99, "doubtful": false}', b'{"status": 0}', b"\xff"]
)
def test_a_command_answer_that_cannot_be_read_is_refused(body: bytes) -> None:
    with pytest.raises(FrameError):
        wire.read_answer(body)


@pytest.mark.parametrize("bits", [2048, 3072])
def test_rsa_public_keys_are_encoded_as_other_libraries_do(bits: int) -> None:
    public = rsa.generate_private_key(65537, bits).public_key()
    numbers = public.public_numbers()
    ours = der.rsa_spki(numbers.n.to_bytes(bits // 8, "big"), b"\0\1\0\1")
    assert ours == public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


@pytest.mark.parametrize(("curve", "params"), [(ec.SECP256R1(), der.P256), (ec.SECP384R1(), der.P384)])
@pytest.mark.parametrize("wrap", [lambda point: der.tlv(4, point), lambda point: point])
def test_ec_public_keys_are_encoded_whether_the_token_wraps_the_point_or_not(
    curve: ec.EllipticCurve, params: bytes, wrap: Callable[[bytes], bytes]
) -> None:
    public = ec.generate_private_key(curve).public_key()
    point = public.public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
    expected = public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    assert der.ec_spki(params, wrap(point)) == expected


@pytest.mark.parametrize(
    ("params", "point"),
    [
        (bytes.fromhex("06052b8104000a"), b"\x04" + bytes(64)),
        (der.P256, b""),
        (der.P256, b"\x02" + bytes(32)),
        (der.P256, b"\x04" + bytes(63)),
        (der.P256, b"\x05" + bytes(64)),
    ],
)
def test_a_public_point_that_is_not_one_of_ours_is_refused(params: bytes, point: bytes) -> None:
    with pytest.raises(ValueError, match=r"curve|P-256"):
        der.ec_spki(params, point)


@pytest.mark.parametrize(
    ("r", "s"), [(1, 1), (0x7F, 0x80), (1 << 255, (1 << 256) - 1), (0x80 << 240, 3), (255, 256)]
)
def test_ecdsa_signatures_get_minimal_integers(r: int, s: int) -> None:
    raw = r.to_bytes(32, "big") + s.to_bytes(32, "big")
    assert der.ecdsa_signature(raw) == encode_dss_signature(r, s)


@pytest.mark.parametrize(
    ("cka_id", "spki"), [(b"", bytes(32)), (bytes(16), bytes(31)), (bytes(17), bytes(32))]
)
def test_a_locator_of_wrong_lengths_cannot_be_made(cka_id: bytes, spki: bytes) -> None:
    with pytest.raises(ValueError, match="locator"):
        KeyLocator("documents", cka_id, spki)
