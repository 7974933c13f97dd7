"""Our time-stamp authority: every refusal with the failInfo that RFC 3161 section 2.4.2 names, and what it never releases."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from datetime import timedelta

import pytest
from asn1crypto import algos, core, tsp
from cryptography import x509
from cryptography.hazmat.primitives.serialization import load_der_public_key
from cryptography.x509.oid import ExtendedKeyUsageOID

from services.kernel.errors import HsmUnavailable, NotFound, ServiceUnavailable, TimeStampUnavailable
from services.kernel.values import Digest, DigestAlgorithm
from services.signer.tsa.check import TokenRefused, check_token
from services.signer.tsa.request import MAX_REQUEST_BYTES
from services.signer.tsa.serials import BLOCK_SECONDS, Block, Serials
from services.signer.tsa.structures import FailInfo, Refusal
from tests.support.nats_server import eventually
from tests.support.tsa_world import (
    ACCURACY,
    POLICY,
    STAMPING,
    Clock,
    MemorySerials,
    TsaWorld,
    tsa_world,
    unit_certificate,
)

Make = Callable[[], bytes]


def request(
    algorithm: str = "2.16.840.1.101.3.4.2.1",
    imprint: bytes = b"i" * 32,
    *,
    version: int = 1,
    policy: str | None = None,
    nonce: int | None = 5,
    certificates: bool = True,
    parameters: object = None,
    extensions: bool = False,
) -> bytes:
    """Build a TimeStampReq with another library than ours."""
    identifier: dict[str, object] = {"algorithm": algorithm}
    if parameters is not None:
        identifier["parameters"] = parameters
    asked: dict[str, object] = {
        "version": version,
        "message_imprint": {
            "hash_algorithm": algos.DigestAlgorithm(identifier),
            "hashed_message": imprint,
        },
        "cert_req": certificates,
    }
    if policy is not None:
        asked["req_policy"] = policy
    if nonce is not None:
        asked["nonce"] = nonce
    if extensions:
        one = {"extn_id": "1.2.3.4", "extn_value": core.OctetString(b"\x05\x00")}
        asked["extensions"] = [one]
    return bytes(tsp.TimeStampReq(asked).dump())


def read(response: bytes) -> tsp.TimeStampResp:
    return tsp.TimeStampResp.load(response, strict=True)


def failure(response: bytes) -> str:
    # The library takes the token for required: so the status is read alone.
    (only,) = core.SequenceOf.load(response, strict=True, spec=core.Any)
    status = tsp.PKIStatusInfo.load(only.dump(), strict=True)
    assert status["status"].native == "rejection"
    # DER: no trailing zero bits in a list of named bits (X.690 section 11.2.2).
    bits = status["fail_info"].contents
    assert bits[-1] & 1 << bits[0]
    (name,) = status["fail_info"].native
    assert status["status_string"].native[0]
    return str(name)


def _explicit_false() -> bytes:
    good = bytearray(request())
    at = bytes(good).rindex(b"\x01\x01\xff")
    good[at + 2] = 0
    return bytes(good)


def _long_length() -> bytes:
    good = request()
    return b"\x30\x81" + good[1:]


def _indefinite() -> bytes:
    return b"\x30\x80" + request()[2:] + b"\x00\x00"


def _strange_parameters() -> bytes:
    return request(parameters=core.Null()).replace(b"\x05\x00", b"\x04\x00", 1)


REFUSED: list[tuple[str, Make, str]] = [
    ("empty", lambda: b"", "bad_data_format"),
    ("no ASN.1", lambda: b"garbage", "bad_data_format"),
    ("extra bytes", lambda: request() + b"\x00", "bad_data_format"),
    ("cut off", lambda: request()[:-1], "bad_data_format"),
    ("another structure", lambda: b"\x30\x03\x02\x01\x01", "bad_data_format"),
    ("a length that is not minimal", _long_length, "bad_data_format"),
    ("an indefinite length", _indefinite, "bad_data_format"),
    ("a default written out", _explicit_false, "bad_data_format"),
    ("too large", lambda: request(imprint=b"i" * MAX_REQUEST_BYTES), "bad_data_format"),
    ("an imprint too short", lambda: request(imprint=b"i" * 31), "bad_data_format"),
    ("an imprint too long", lambda: request(imprint=b"i" * 33), "bad_data_format"),
    ("no imprint", lambda: request(imprint=b""), "bad_data_format"),
    ("SHA-512 of 32 bytes", lambda: request("2.16.840.1.101.3.4.2.3"), "bad_data_format"),
    ("version 2", lambda: request(version=2), "bad_request"),
    ("version 0", lambda: request(version=0), "bad_request"),
    ("a huge nonce", lambda: request(nonce=1 << 160), "bad_request"),
    ("SHA-1", lambda: request("1.3.14.3.2.26", b"i" * 20), "bad_alg"),
    ("MD5", lambda: request("1.2.840.113549.2.5", b"i" * 16), "bad_alg"),
    ("SHA-224", lambda: request("2.16.840.1.101.3.4.2.4", b"i" * 28), "bad_alg"),
    ("an unknown algorithm", lambda: request("1.2.3.4"), "bad_alg"),
    ("parameters that are not NULL", _strange_parameters, "bad_alg"),
    ("another policy", lambda: request(policy="1.2.3.4"), "unaccepted_policy"),
    ("an extension", lambda: request(extensions=True), "unaccepted_extensions"),
]


@pytest.mark.parametrize(("make", "expected"), [row[1:] for row in REFUSED], ids=[row[0] for row in REFUSED])
async def test_a_bad_request_gets_the_fail_info_for_it(make: Make, expected: str) -> None:
    world = await tsa_world()
    assert failure(await world.authority.respond(make())) == expected
    assert world.hsm.signed == 0
    assert sum(world.outcome(one.label) for one in FailInfo) == 1


GRANTED: list[tuple[str, Make]] = [
    ("parameters absent", request),
    ("parameters NULL", lambda: request(parameters=core.Null())),
    ("our policy", lambda: request(policy=POLICY)),
    ("no nonce", lambda: request(nonce=None)),
    ("a negative nonce", lambda: request(nonce=-5)),
    ("the longest nonce", lambda: request(nonce=(1 << 160) - 1)),
    ("SHA-384", lambda: request("2.16.840.1.101.3.4.2.2", b"i" * 48)),
    ("SHA-512", lambda: request("2.16.840.1.101.3.4.2.3", b"i" * 64)),
    ("no certificate", lambda: request(certificates=False)),
]


@pytest.mark.parametrize("make", [row[1] for row in GRANTED], ids=[row[0] for row in GRANTED])
async def test_a_good_request_gets_a_token_that_repeats_it(make: Make) -> None:
    world = await tsa_world()
    asked = tsp.TimeStampReq.load(make())
    response = read(await world.authority.respond(make()))
    assert response["status"]["status"].native == "granted"
    signed = response["time_stamp_token"]["content"]
    info = signed["encap_content_info"]["content"].parsed
    assert info["message_imprint"].dump() == asked["message_imprint"].dump()
    assert info["nonce"].native == asked["nonce"].native
    assert info["policy"].native == POLICY
    assert bool(signed["certificates"]) is asked["cert_req"].native
    assert world.outcome("granted") == 1


async def test_what_is_missing_behind_is_a_system_failure_that_tells_nothing() -> None:
    async def hsm(world: TsaWorld) -> None:
        world.hsm.plan = lambda _: HsmUnavailable("the PIN of token 4711 was refused")

    async def certificate(world: TsaWorld) -> None:
        world.chain.clear()

    async def key(world: TsaWorld) -> None:
        world.keys.authorities.clear()

    async def wrong_signature(world: TsaWorld) -> None:
        world.hsm.plan = lambda _: os.urandom(70)

    for fault in (hsm, certificate, key, wrong_signature):
        world = await tsa_world()
        await fault(world)
        response = await world.authority.respond(request())
        assert failure(response) == "system_failure"
        assert b"4711" not in response
        assert world.outcome("systemFailure") == 1
        with pytest.raises(TimeStampUnavailable):
            await world.authority.token(b"i" * 32, DigestAlgorithm.SHA256)


async def test_a_signature_by_another_key_never_leaves() -> None:
    world, other = await tsa_world(), await tsa_world()
    world.hsm.private[world.key.cka_id] = other.hsm.private[other.key.cka_id]
    assert failure(await world.authority.respond(request())) == "system_failure"


async def test_a_clock_that_ran_back_gets_no_token_until_it_is_there_again() -> None:
    world = await tsa_world()
    assert read(await world.authority.respond(request()))["status"]["status"].native == "granted"
    world.clock.moved = -ACCURACY - timedelta(seconds=1)
    assert failure(await world.authority.respond(request())) == "time_not_available"
    with pytest.raises(TimeStampUnavailable):
        await world.authority.token(b"i" * 32, DigestAlgorithm.SHA256)
    # Within the accuracy the clock may be set right.
    world.clock.moved = -ACCURACY / 2
    assert read(await world.authority.respond(request()))["status"]["status"].native == "granted"


async def test_a_clock_that_ran_back_is_found_after_a_restart_and_on_another_replica() -> None:
    store = MemorySerials()
    first = await tsa_world(store)
    await first.authority.respond(request())
    other = await tsa_world(store)
    other.clock.moved = -timedelta(minutes=5)
    assert failure(await other.authority.respond(request())) == "time_not_available"


async def test_the_newest_time_is_durable_after_a_stop() -> None:
    store, clock = MemorySerials(), Clock()
    serials = Serials(store, "tsa", 10, ACCURACY, clock)
    await serials.settle()
    assert not store.asked
    await serials.take()
    clock.moved = timedelta(seconds=5)
    last = await serials.take()
    await serials.settle()
    assert store.newest >= last.time
    assert store.asked == [10, 0]


async def test_a_block_ends_with_its_numbers_or_with_its_time() -> None:
    store, now = MemorySerials(), [0.0]
    serials = Serials(store, "tsa", 3, ACCURACY, Clock(), lambda: now[0])
    numbers = [(await serials.take()).serial >> 64 for _ in range(4)]
    assert (numbers, len(store.asked), serials.left) == ([1, 2, 3, 4], 2, 2)
    now[0] = BLOCK_SECONDS
    assert (await serials.take()).serial >> 64 == 7
    assert serials.blocks == len(store.asked) == 3


async def test_many_at_once_share_a_block_and_no_number_comes_twice() -> None:
    class Slow(MemorySerials):
        async def allocate(self, authority: str, count: int, now: object) -> Block:
            await asyncio.sleep(0)
            return await super().allocate(authority, count, now)  # type: ignore[arg-type]

    store = Slow()
    serials = Serials(store, "tsa", 100, ACCURACY, Clock())
    taken = await asyncio.gather(*(serials.take() for _ in range(950)))
    assert len({one.serial >> 64 for one in taken}) == 950
    assert len(store.asked) == 10
    assert all(one.serial.bit_length() <= 127 for one in taken)


async def test_a_database_that_is_away_is_not_asked_by_everyone() -> None:
    class Away(MemorySerials):
        async def allocate(self, authority: str, count: int, now: object) -> Block:
            self.asked.append(count)
            raise ServiceUnavailable("the database cannot be reached")

    store = Away()
    serials = Serials(store, "tsa", 100, ACCURACY, Clock())
    results = await asyncio.gather(*(serials.take() for _ in range(50)), return_exceptions=True)
    assert {type(one) for one in results} == {ServiceUnavailable}
    assert len(store.asked) == 1


async def test_numbers_restored_from_an_old_back_up_still_give_new_serials() -> None:
    store = MemorySerials()
    before = {(await Serials(store, "tsa", 10, ACCURACY, Clock()).take()).serial for _ in range(10)}
    store.next = 1
    after = {(await Serials(store, "tsa", 10, ACCURACY, Clock()).take()).serial for _ in range(10)}
    assert not before & after


CERTIFICATES: list[tuple[str, tuple[tuple[x509.ExtensionType, bool], ...]]] = [
    ("not critical", ((STAMPING[0], False),)),
    ("no purpose", ()),
    (
        "another purpose besides",
        (
            (
                x509.ExtendedKeyUsage([ExtendedKeyUsageOID.TIME_STAMPING, ExtendedKeyUsageOID.CLIENT_AUTH]),
                True,
            ),
        ),
    ),
    ("another purpose", ((x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH]), True),)),
]


@pytest.mark.parametrize("extensions", [row[1] for row in CERTIFICATES], ids=[row[0] for row in CERTIFICATES])
async def test_no_token_with_a_certificate_for_something_else(
    extensions: tuple[tuple[x509.ExtensionType, bool], ...],
) -> None:
    world = await tsa_world()
    world.chain[0] = unit_certificate(load_der_public_key(world.key.spki), world.clock(), extensions)
    assert failure(await world.authority.respond(request())) == "system_failure"
    assert world.hsm.signed == 0


async def test_no_token_with_a_certificate_for_another_key_or_another_time() -> None:
    other = await tsa_world()
    public = load_der_public_key(other.key.spki)
    now = other.clock()
    for chain in (
        list(other.chain),
        [unit_certificate(public, now + timedelta(days=2))],
        [unit_certificate(public, now - timedelta(days=400))],
        [b"garbage"],
        [other.chain[0]] * 9,
    ):
        world = await tsa_world()
        world.chain[:] = chain
        assert failure(await world.authority.respond(request())) == "system_failure"


async def test_the_certificate_is_asked_for_once_and_again_after_its_end() -> None:
    world = await tsa_world()
    await asyncio.gather(*(world.authority.respond(request()) for _ in range(20)))
    assert world.fetched == ["tsa"]
    world.clock.moved = timedelta(days=400)
    world.chain[0] = unit_certificate(load_der_public_key(world.key.spki), world.clock())
    assert (await world.units.get()).chain == tuple(world.chain)
    end = world.registry.get_sample_value("kyso_signer_time_stamp_certificate_end_seconds")
    assert end == (await world.units.get()).not_after.timestamp()
    assert len(world.fetched) == 2


async def test_the_keeper_takes_a_newer_certificate_and_keeps_the_old_one_while_the_registry_is_away() -> (
    None
):
    world = await tsa_world()
    first = await world.units.get()
    world.chain[0] = unit_certificate(load_der_public_key(world.key.spki), world.clock())
    assert await world.units.get() is first
    looking = asyncio.create_task(world.units.run())
    await eventually(lambda: len(world.fetched) == 2, what="the second question")
    looking.cancel()
    await asyncio.gather(looking, return_exceptions=True)
    assert (await world.units.get()).chain == tuple(world.chain)
    kept = await world.units.get()
    world.chain.clear()
    assert await world.units.get() is kept


async def test_a_registry_without_a_certificate_is_not_asked_for_each_request() -> None:
    world = await tsa_world()
    world.chain.clear()
    for _ in range(5):
        with pytest.raises(TimeStampUnavailable):
            await world.units.get()
    assert len(world.fetched) == 1


async def test_the_reason_of_the_registry_is_in_the_error() -> None:
    world = await tsa_world()

    async def fetch(name: str) -> list[bytes]:
        raise NotFound("no certificate for time-stamping has been issued for this key yet")

    world.units._fetch = fetch
    with pytest.raises(TimeStampUnavailable, match="has been issued"):
        await world.units.get()


async def test_our_own_check_finds_every_change_of_a_token() -> None:
    world = await tsa_world()
    digest = os.urandom(32)
    token = await world.authority.token(digest, DigestAlgorithm.SHA256)
    asked = Digest(DigestAlgorithm.SHA256, digest)
    check_token(token, asked, None)
    passed = 0
    for at in range(len(token)):
        changed = bytearray(token)
        changed[at] ^= 0x04
        try:
            check_token(bytes(changed), asked, None)
        except TokenRefused:
            continue
        passed += 1
    # What nothing vouches for: the version of SignedData, and its set of digests.
    assert passed <= 15
    for wrong in (Digest(DigestAlgorithm.SHA256, b"w" * 32), Digest(DigestAlgorithm.SHA512, b"w" * 64)):
        with pytest.raises(TokenRefused):
            check_token(token, wrong, None)
    with pytest.raises(TokenRefused):
        check_token(token, asked, 7)


def test_a_refusal_has_its_text() -> None:
    assert Refusal(FailInfo.BAD_ALG, "why").text == "why"
