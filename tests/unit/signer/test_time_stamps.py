"""Time-stamps of other authorities: what is asked, and every answer that is not taken."""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable
from datetime import timedelta

import pytest
from asn1crypto import tsp
from cryptography import x509
from cryptography.hazmat.primitives.serialization import load_der_public_key
from cryptography.x509.oid import ExtendedKeyUsageOID
from prometheus_client import CollectorRegistry

from services.kernel.errors import DeadlineExceeded, DomainError, NotFound, TimeStampUnavailable
from services.kernel.values import Digest, DigestAlgorithm, KeyAlgorithm
from services.signer.time_stamps import TimeStampService
from services.signer.tsa import structures, token
from services.signer.tsa.check import MAX_RESPONSE_BYTES, OFF_BY, check_token
from services.signer.tsa.metrics import TsaMetrics
from services.signer.tsa.request import read_request
from services.signer.tsa.serials import Moment
from tests.support.tsa_world import STAMPING, RsaHsm, TsaWorld, tsa_world, unit_certificate

DIGEST = Digest(DigestAlgorithm.SHA384, os.urandom(48))
Answer = Callable[[TsaWorld, bytes], Awaitable[bytes]]


class Outside:
    """An authority that another world runs, behind what a test puts between."""

    def __init__(self, world: TsaWorld, answer: Answer) -> None:
        self.world, self._answer = world, answer
        self.asked: list[tuple[str, bytes]] = []
        self.registry = CollectorRegistry()
        metrics = TsaMetrics.register(self.registry)
        self.service = TimeStampService(None, self._ask, metrics, lambda: world.clock() - world.clock.moved)

    async def _ask(self, authority: str, request: bytes) -> bytes:
        self.asked.append((authority, request))
        return await self._answer(self.world, request)

    def outcome(self, name: str) -> float:
        labels = {"outcome": name}
        return self.registry.get_sample_value("kyso_signer_outside_time_stamps_total", labels) or 0.0


async def honest(world: TsaWorld, request: bytes) -> bytes:
    return await world.authority.respond(request)


@pytest.mark.parametrize(
    "algorithm", [KeyAlgorithm.ECDSA_P256, KeyAlgorithm.ECDSA_P384, KeyAlgorithm.RSA_2048]
)
async def test_the_token_of_another_authority_is_taken_when_it_fits(algorithm: KeyAlgorithm) -> None:
    outside = Outside(await tsa_world(algorithm=algorithm, hsm=RsaHsm()), honest)
    taken = await outside.service.stamp("national", DIGEST)
    ((name, request),) = outside.asked
    assert name == "national"
    asked = tsp.TimeStampReq.load(request, strict=True)
    assert asked["cert_req"].native is True
    assert asked["nonce"].native > 0
    assert asked["message_imprint"]["hashed_message"].native == DIGEST.value
    assert check_token(taken, DIGEST, asked["nonce"].native).certificate == outside.world.chain[0]
    assert outside.outcome("granted") == 1


async def test_each_question_has_a_nonce_of_its_own() -> None:
    outside = Outside(await tsa_world(), honest)
    for _ in range(3):
        await outside.service.stamp("national", DIGEST)
    assert len({tsp.TimeStampReq.load(request)["nonce"].native for _, request in outside.asked}) == 3


async def garbage(_world: TsaWorld, _request: bytes) -> bytes:
    return b"<html>busy</html>"


async def nothing(_world: TsaWorld, _request: bytes) -> bytes:
    return b""


async def huge(world: TsaWorld, request: bytes) -> bytes:
    return await honest(world, request) + b"\x00" * MAX_RESPONSE_BYTES


async def followed(world: TsaWorld, request: bytes) -> bytes:
    return await honest(world, request) + b"\x05\x00"


async def rejection(world: TsaWorld, _request: bytes) -> bytes:
    return await honest(world, b"not a request")


async def granted_without_token(_world: TsaWorld, _request: bytes) -> bytes:
    return b"\x30\x05\x30\x03\x02\x01\x00"


async def replayed(world: TsaWorld, request: bytes) -> bytes:
    asked = tsp.TimeStampReq.load(request)
    asked["nonce"] = 4711
    return await honest(world, asked.dump(force=True))


async def without_nonce(world: TsaWorld, request: bytes) -> bytes:
    asked = tsp.TimeStampReq.load(request)
    again = {name: asked[name].native for name in ("version", "cert_req")}
    return await honest(
        world, tsp.TimeStampReq({**again, "message_imprint": asked["message_imprint"]}).dump()
    )


async def of_another_digest(world: TsaWorld, request: bytes) -> bytes:
    return await honest(world, request.replace(DIGEST.value, os.urandom(48)))


async def without_certificate(world: TsaWorld, request: bytes) -> bytes:
    asked = tsp.TimeStampReq.load(request)
    asked["cert_req"] = False
    return await honest(world, asked.dump(force=True))


async def damaged(world: TsaWorld, request: bytes) -> bytes:
    answer = bytearray(await honest(world, request))
    answer[-5] ^= 1
    return bytes(answer)


async def from_tomorrow(world: TsaWorld, request: bytes) -> bytes:
    world.clock.moved = OFF_BY + timedelta(seconds=10)
    return await honest(world, request)


async def in_the_past(world: TsaWorld, request: bytes) -> bytes:
    world.clock.moved = -OFF_BY - timedelta(seconds=10)
    return await honest(world, request)


WRONG: list[Answer] = [
    garbage,
    nothing,
    huge,
    followed,
    rejection,
    granted_without_token,
    replayed,
    without_nonce,
    of_another_digest,
    without_certificate,
    damaged,
    from_tomorrow,
    in_the_past,
]


@pytest.mark.parametrize("answer", WRONG, ids=lambda answer: answer.__name__)
async def test_what_is_not_what_was_asked_for_is_not_taken(answer: Answer) -> None:
    outside = Outside(await tsa_world(), answer)
    with pytest.raises(TimeStampUnavailable, match="national"):
        await outside.service.stamp("national", DIGEST)
    assert (outside.outcome("wrong"), outside.outcome("granted")) == (1, 0)


PURPOSES: list[tuple[tuple[x509.ExtensionType, bool], ...]] = [
    (),
    ((STAMPING[0], False),),
    ((x509.ExtendedKeyUsage([ExtendedKeyUsageOID.EMAIL_PROTECTION]), True),),
    ((x509.ExtendedKeyUsage([ExtendedKeyUsageOID.TIME_STAMPING, ExtendedKeyUsageOID.CODE_SIGNING]), True),),
]


@pytest.mark.parametrize("extensions", PURPOSES)
async def test_a_certificate_that_is_not_for_time_stamping_alone_is_not_taken(
    extensions: tuple[tuple[x509.ExtensionType, bool], ...],
) -> None:
    """The answer is right but for the certificate in it: made by the true code with the check looking away."""
    world = await tsa_world()
    good = await world.units.get()
    wrong = unit_certificate(load_der_public_key(world.key.spki), world.clock(), extensions)

    async def answer(_: TsaWorld, request: bytes) -> bytes:
        query, moment = read_request(request, good.parts.policy.dotted_string), Moment(1, world.clock())
        parts = token.token_parts((wrong,), good.algorithm, "1.2.3", timedelta(seconds=1))
        content = token.tst_info(parts, query, moment)
        attributes = token.signed_attributes(parts, content, moment.time)
        (signature,) = await world.hsm.sign(
            good.locator, good.algorithm, [good.algorithm.digest.digest(attributes)]
        )
        assert isinstance(signature, bytes)
        made = token.assemble(parts, content, attributes, signature, certificates=True)
        return structures.granted(made)

    outside = Outside(world, answer)
    with pytest.raises(TimeStampUnavailable, match="not for time-stamping"):
        await outside.service.stamp("national", DIGEST)


@pytest.mark.parametrize(
    "error", [DeadlineExceeded("late"), NotFound("no such authority"), TimeStampUnavailable("x")]
)
async def test_an_authority_that_does_not_answer_is_one_error(error: DomainError) -> None:
    async def away(_world: TsaWorld, _request: bytes) -> bytes:
        raise error

    outside = Outside(await tsa_world(), away)
    with pytest.raises(TimeStampUnavailable):
        await outside.service.stamp("national", DIGEST)
    assert outside.outcome("unavailable") == 1


async def test_without_settings_there_is_neither_our_own_authority_nor_another() -> None:
    metrics = TsaMetrics.register(CollectorRegistry())
    service = TimeStampService(None, None, metrics, (await tsa_world()).clock)
    for authority in ("", "national"):
        with pytest.raises(TimeStampUnavailable):
            await service.stamp(authority, DIGEST)
    with pytest.raises(TimeStampUnavailable):
        await service.respond(b"")


async def test_our_own_authority_is_named_by_nothing() -> None:
    world = await tsa_world()
    service = TimeStampService(world.authority, None, world.metrics, world.clock)
    own = await service.stamp("", DIGEST)
    assert check_token(own, DIGEST, None).certificate == world.chain[0]


async def test_certificates_in_any_order_are_taken() -> None:
    """DER sorts the set of certificates; other authorities do not always."""
    world = await tsa_world()
    world.chain.append(unit_certificate(load_der_public_key(world.key.spki), world.clock(), ()))

    async def turned_round(world: TsaWorld, request: bytes) -> bytes:
        answer = await honest(world, request)
        ordered = sorted(world.chain, key=answer.index)
        assert b"".join(ordered) in answer
        return answer.replace(b"".join(ordered), b"".join(reversed(ordered)))

    outside = Outside(world, turned_round)
    taken = await outside.service.stamp("national", DIGEST)
    assert all(der in taken for der in world.chain)
