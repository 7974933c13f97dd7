"""Signing with a real SoftHSM2 token through worker processes; every signature is verified by OpenSSL."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest

from services.kernel.errors import CredentialHeld, DomainError, Overloaded
from services.kernel.values import DigestAlgorithm, KeyAlgorithm, SignatureScheme, SigningAlgorithm
from services.signer.hsm.hsm import Hsm
from services.signer.hsm.types import GeneratedKey, HsmKeyMismatch, HsmKeyMissing, HsmRefused
from tests.support.softhsm import SoftHsm, open_hsm, verify

Keys = Mapping[KeyAlgorithm, GeneratedKey]

RSA_SHA256 = SigningAlgorithm(SignatureScheme.RSA_PKCS1V15, DigestAlgorithm.SHA256)
PSS_SHA256 = SigningAlgorithm(SignatureScheme.RSA_PSS, DigestAlgorithm.SHA256)
ECDSA_SHA256 = SigningAlgorithm(SignatureScheme.ECDSA, DigestAlgorithm.SHA256)
ALGORITHMS = [
    (key, SigningAlgorithm(scheme, digest))
    for key in KeyAlgorithm
    for scheme in SignatureScheme
    for digest in DigestAlgorithm
    if key.family == scheme.family
]


@pytest.fixture(scope="module")
def token(tmp_path_factory: pytest.TempPathFactory) -> SoftHsm:
    """A token that the tests of this file share."""
    softhsm = SoftHsm(tmp_path_factory.mktemp("softhsm") / "documents")
    softhsm.create_token("documents")
    return softhsm


@pytest.fixture(scope="module")
def keys(token: SoftHsm) -> Keys:
    """One key of each kind, made in the token."""

    async def make() -> Keys:
        async with open_hsm(documents=token.group("documents")) as (hsm, _):
            return {algorithm: await hsm.generate("documents", algorithm) for algorithm in KeyAlgorithm}

    return asyncio.run(make())


def digests(count: int, size: int = 32) -> list[bytes]:
    """Random digests."""
    return [os.urandom(size) for _ in range(count)]


async def test_every_key_and_scheme_gives_signatures_that_openssl_accepts(token: SoftHsm, keys: Keys) -> None:
    async with open_hsm(documents=token.group("documents")) as (hsm, _):
        for key_algorithm, algorithm in ALGORITHMS:
            key = keys[key_algorithm]
            asked = digests(2, algorithm.digest.size)
            for digest, outcome in zip(asked, await hsm.sign(key.locator, algorithm, asked), strict=True):
                verify(key.spki, algorithm, digest, outcome)


async def test_each_key_passes_its_self_test_and_is_found_and_listed(token: SoftHsm, keys: Keys) -> None:
    async with open_hsm(documents=token.group("documents")) as (hsm, _):
        for key in keys.values():
            await hsm.self_test(key.locator)
            assert await hsm.find("documents", key.locator.cka_id) == key.spki
        assert {key.locator.cka_id for key in keys.values()} <= set(await hsm.list_ids("documents"))


async def test_a_thousand_digests_come_back_in_order(token: SoftHsm, keys: Keys) -> None:
    key = keys[KeyAlgorithm.ECDSA_P256]
    asked = digests(1000)
    async with open_hsm(documents=token.group("documents")) as (hsm, _):
        outcomes = await hsm.sign(key.locator, ECDSA_SHA256, asked)
    assert len(outcomes) == 1000
    for digest, outcome in zip(asked, outcomes, strict=True):
        verify(key.spki, ECDSA_SHA256, digest, outcome)


async def test_a_single_digest_does_not_wait_behind_a_thousand(token: SoftHsm, keys: Keys) -> None:
    key = keys[KeyAlgorithm.RSA_3072]
    async with open_hsm(documents=token.group("documents")) as (hsm, _):
        await hsm.sign(key.locator, RSA_SHA256, digests(4))
        large = asyncio.create_task(hsm.sign(key.locator, RSA_SHA256, digests(1000)))
        for _ in range(5):
            (outcome,) = await hsm.sign(key.locator, RSA_SHA256, digests(1))
            assert isinstance(outcome, bytes)
        assert not large.done()
        assert all(isinstance(outcome, bytes) for outcome in await large)


async def test_sixty_four_callers_with_three_mechanisms_for_five_seconds(token: SoftHsm, keys: Keys) -> None:
    mixes = [
        (keys[KeyAlgorithm.RSA_2048], RSA_SHA256),
        (keys[KeyAlgorithm.RSA_2048], PSS_SHA256),
        (keys[KeyAlgorithm.ECDSA_P256], ECDSA_SHA256),
    ]
    signed: list[tuple[GeneratedKey, SigningAlgorithm, bytes, bytes | DomainError]] = []

    async def call(hsm: Hsm, number: int, until: float) -> None:
        key, algorithm = mixes[number % len(mixes)]
        while time.monotonic() < until:
            asked = digests(1 + number % 4)
            outcomes = await hsm.sign(key.locator, algorithm, asked)
            signed.extend((key, algorithm, *pair) for pair in zip(asked, outcomes, strict=True))

    async with open_hsm(documents=token.group("documents")) as (hsm, _):
        before = hsm.status()["documents"].pids
        until = time.monotonic() + 5
        await asyncio.gather(*(call(hsm, number, until) for number in range(64)))
        assert hsm.status()["documents"].pids == before, "a worker was lost"
    assert len(signed) > 500
    for key, algorithm, digest, outcome in signed:
        verify(key.spki, algorithm, digest, outcome)


async def test_a_key_that_is_not_the_one_recorded_is_never_used(token: SoftHsm, keys: Keys) -> None:
    right = keys[KeyAlgorithm.ECDSA_P256]
    wrong = replace(right.locator, spki_sha256=keys[KeyAlgorithm.ECDSA_P384].locator.spki_sha256)
    async with open_hsm(documents=token.group("documents", workers=1)) as (hsm, _):
        for _ in range(2):
            (outcome,) = await hsm.sign(wrong, ECDSA_SHA256, digests(1))
            assert isinstance(outcome, HsmKeyMismatch)
            (outcome,) = await hsm.sign(right.locator, ECDSA_SHA256, digests(1))
            assert isinstance(outcome, bytes)
        with pytest.raises(HsmKeyMismatch):
            await hsm.self_test(wrong)


async def test_a_key_that_is_not_in_the_token_is_named_missing(token: SoftHsm, keys: Keys) -> None:
    absent = replace(keys[KeyAlgorithm.RSA_2048].locator, cka_id=os.urandom(16))
    async with open_hsm(documents=token.group("documents")) as (hsm, _):
        (outcome,) = await hsm.sign(absent, RSA_SHA256, digests(1))
        assert isinstance(outcome, HsmKeyMissing)
        with pytest.raises(HsmKeyMissing):
            await hsm.find("documents", absent.cka_id)
        assert await hsm.check() is None


async def test_a_scheme_that_does_not_fit_the_key_is_refused_and_the_worker_goes_on(
    token: SoftHsm, keys: Keys
) -> None:
    async with open_hsm(documents=token.group("documents", workers=1)) as (hsm, _):
        pids = hsm.status()["documents"].pids
        (outcome,) = await hsm.sign(keys[KeyAlgorithm.RSA_2048].locator, ECDSA_SHA256, digests(1))
        assert isinstance(outcome, HsmRefused)
        await hsm.self_test(keys[KeyAlgorithm.RSA_2048].locator)
        assert hsm.status()["documents"].pids == pids


@pytest.mark.parametrize("length", [0, 31, 33, 48])
async def test_a_digest_of_wrong_length_never_leaves_the_process(
    token: SoftHsm, keys: Keys, length: int
) -> None:
    async with open_hsm(documents=token.group("documents", workers=1)) as (hsm, _):
        with pytest.raises(ValueError, match="32 bytes"):
            await hsm.sign(keys[KeyAlgorithm.RSA_2048].locator, RSA_SHA256, [bytes(32), bytes(length)])
        assert await hsm.sign(keys[KeyAlgorithm.RSA_2048].locator, RSA_SHA256, []) == []


async def test_the_door_is_asked_before_each_part_of_a_call(token: SoftHsm, keys: Keys) -> None:
    key = keys[KeyAlgorithm.RSA_2048]
    asked = digests(300)
    admitted = 0

    def admit() -> None:
        nonlocal admitted
        if admitted == 5:
            raise CredentialHeld("the credential is on hold")
        admitted += 1

    async with open_hsm(documents=token.group("documents")) as (hsm, _):
        outcomes = await hsm.sign(key.locator, RSA_SHA256, asked, admit=admit)
        (first,) = await hsm.sign(key.locator, RSA_SHA256, asked[:1], admit=admit)
    signed = sum(isinstance(outcome, bytes) for outcome in outcomes)
    assert 5 <= signed < 300
    for digest, outcome in zip(asked[:signed], outcomes, strict=False):
        verify(key.spki, RSA_SHA256, digest, outcome)
    assert all(isinstance(outcome, CredentialHeld) for outcome in [*outcomes[signed:], first])


async def test_a_fault_of_the_door_check_reaches_its_caller_and_nobody_else(
    token: SoftHsm, keys: Keys
) -> None:
    key = keys[KeyAlgorithm.ECDSA_P256]

    def admit() -> None:
        raise ZeroDivisionError

    async with open_hsm(documents=token.group("documents", workers=1)) as (hsm, _):
        bad = hsm.sign(key.locator, ECDSA_SHA256, digests(3), admit=admit)
        good = hsm.sign(key.locator, ECDSA_SHA256, digests(3))
        failed, signed = await asyncio.gather(bad, good, return_exceptions=True)
        assert isinstance(failed, ZeroDivisionError)
        assert isinstance(signed, list)
        assert all(isinstance(outcome, bytes) for outcome in signed)
        assert hsm.status()["documents"].queue_length == 0


async def test_more_digests_than_may_wait_are_refused_and_the_queue_stays_whole(
    token: SoftHsm, keys: Keys
) -> None:
    key = keys[KeyAlgorithm.RSA_2048]
    async with open_hsm(documents=token.group("documents", queue_limit=100)) as (hsm, _):
        outcomes = await hsm.sign(key.locator, RSA_SHA256, digests(101))
        assert all(isinstance(outcome, Overloaded) for outcome in outcomes)
        assert all(
            isinstance(outcome, bytes) for outcome in await hsm.sign(key.locator, RSA_SHA256, digests(100))
        )


async def test_a_caller_that_gives_up_leaves_the_queue(token: SoftHsm, keys: Keys) -> None:
    key = keys[KeyAlgorithm.RSA_3072]
    async with open_hsm(documents=token.group("documents", workers=1)) as (hsm, _):
        large = asyncio.create_task(hsm.sign(key.locator, RSA_SHA256, digests(1000)))
        (outcome,) = await hsm.sign(key.locator, RSA_SHA256, digests(1))
        assert isinstance(outcome, bytes)
        large.cancel()
        (outcome,) = await hsm.sign(key.locator, RSA_SHA256, digests(1))
        assert isinstance(outcome, bytes)
        assert hsm.status()["documents"].queue_length == 0
        with pytest.raises(asyncio.CancelledError):
            await large


async def test_threads_of_one_worker_sign_while_keys_are_made(token: SoftHsm, keys: Keys) -> None:
    key = keys[KeyAlgorithm.ECDSA_P256]
    settings = token.group("documents", workers=1, sessions_per_worker=4)
    async with open_hsm(documents=settings) as (hsm, _):

        async def sign() -> None:
            for _ in range(40):
                (digest,) = digests(1)
                (outcome,) = await hsm.sign(key.locator, ECDSA_SHA256, [digest])
                verify(key.spki, ECDSA_SHA256, digest, outcome)

        async def generate() -> None:
            for _ in range(5):
                made = await hsm.generate("documents", KeyAlgorithm.ECDSA_P256)
                await hsm.self_test(made.locator)

        pids = hsm.status()["documents"].pids
        await asyncio.gather(generate(), *(sign() for _ in range(8)))
        assert hsm.status()["documents"].pids == pids


async def test_two_token_groups_are_apart(tmp_path: Path) -> None:
    documents, authority = SoftHsm(tmp_path / "documents"), SoftHsm(tmp_path / "authority")
    documents.create_token("documents")
    authority.create_token("authority")
    groups = {"documents": documents.group("documents"), "authority": authority.group("authority", workers=1)}
    async with open_hsm(**groups) as (hsm, _):
        key = await hsm.generate("authority", KeyAlgorithm.ECDSA_P384)
        await hsm.self_test(key.locator)
        assert await hsm.list_ids("documents") == []
        elsewhere = replace(key.locator, token_group="documents")
        (outcome,) = await hsm.sign(elsewhere, ECDSA_SHA256, digests(1))
        assert isinstance(outcome, HsmKeyMissing)


async def test_what_the_pool_does_can_be_measured(token: SoftHsm, keys: Keys) -> None:
    key = keys[KeyAlgorithm.RSA_2048]
    async with open_hsm(documents=token.group("documents")) as (hsm, telemetry):
        await hsm.sign(key.locator, RSA_SHA256, digests(20))
        await hsm.sign(key.locator, ECDSA_SHA256, digests(1))
        read = telemetry.registry.get_sample_value
        group = {"group": "documents"}
        labels = group | {"operation": "sign", "mechanism": "CKM_RSA_PKCS"}
        assert read("kyso_signer_hsm_operation_seconds_count", labels) == 20
        assert (read("kyso_signer_hsm_operation_seconds_sum", labels) or 0) > 0
        assert (read("kyso_signer_hsm_token_seconds_total", group) or 0) > 0
        assert read("kyso_signer_hsm_pool_workers", group) == 2
        assert read("kyso_signer_hsm_pool_busy", group) == 0
        assert read("kyso_signer_hsm_queue", group) == 0
        assert read("kyso_signer_hsm_failures_total", group | {"reason": "refused"}) == 1


def run_python(code: str, **environment: str) -> str:
    """Run code in a Python process of its own; return its standard output."""
    root = Path(__file__).resolve().parents[3]
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=os.environ | {"PYTHONPATH": str(root)} | environment,
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    return done.stdout


def test_a_private_key_is_sensitive_and_cannot_leave_the_token(token: SoftHsm, keys: Keys) -> None:
    settings = token.group("documents")
    hello = {
        "module": str(settings.module),
        "token_label": "documents",
        "token_serial": None,
        "pin_file": str(settings.pin_file),
        "sessions": 1,
    }
    code = f"""
import json
from pkcs11 import Attribute, exceptions
from services.signer.hsm.token import Token
token = Token({hello!r})
session = token.sessions[0]
facts = []
for cka_id in {[key.locator.cka_id.hex() for key in keys.values()]!r}:
    key, _ = session.find(bytes.fromhex(cka_id))
    names = ["SENSITIVE", "ALWAYS_SENSITIVE", "EXTRACTABLE", "NEVER_EXTRACTABLE", "DECRYPT", "UNWRAP", "DERIVE"]
    facts.append([key[Attribute[name]] for name in names])
    try:
        key[Attribute.PRIVATE_EXPONENT if key.key_type.name == "RSA" else Attribute.VALUE]
        facts[-1].append("read")
    except exceptions.AttributeSensitive:
        facts[-1].append("refused")
print(json.dumps(facts))
"""
    facts = json.loads(run_python(code, **token.environment))
    assert facts == [[True, True, False, True, False, False, False, "refused"]] * len(keys)


def test_a_worker_loads_no_parser_of_documents_and_no_network() -> None:
    code = "import services.signer.hsm.worker, sys; print('\\n'.join(sys.modules))"
    loaded = {name.partition(".")[0] for name in run_python(code).split()}
    assert not loaded & {
        "grpc",
        "google",
        "nats",
        "sqlalchemy",
        "pyhanko",
        "lxml",
        "pydantic",
        "structlog",
        "asyncio",
    }
