"""Tokens and workers that fail: what callers are told, what is tried again, and what never is."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from services.kernel.errors import DomainError, HsmOutcomeUnknown, HsmTimeout, HsmUnavailable
from services.kernel.values import DigestAlgorithm, KeyAlgorithm, SignatureScheme, SigningAlgorithm
from services.signer.hsm.hsm import Hsm, TokenGroupSettings
from services.signer.hsm.types import GeneratedKey, HsmKeyMissing, KeyLocator
from tests.support.nats_server import eventually
from tests.support.softhsm import SoftHsm, open_hsm, verify

ECDSA_SHA256 = SigningAlgorithm(SignatureScheme.ECDSA, DigestAlgorithm.SHA256)
PIN_REFUSED = "hsm: PIN refused"


@pytest.fixture
def softhsm(tmp_path: Path) -> SoftHsm:
    """A token of this test's own."""
    made = SoftHsm(tmp_path / "softhsm")
    made.create_token("documents")
    return made


async def sign(hsm: Hsm, key: GeneratedKey, count: int = 1) -> list[bytes | DomainError]:
    """Sign random digests and verify whatever signature comes."""
    asked = [os.urandom(32) for _ in range(count)]
    outcomes = await hsm.sign(key.locator, ECDSA_SHA256, asked)
    for digest, outcome in zip(asked, outcomes, strict=True):
        if isinstance(outcome, bytes):
            verify(key.spki, ECDSA_SHA256, digest, outcome)
    return outcomes


async def until_it_signs(hsm: Hsm, key: GeneratedKey) -> None:
    """Wait until a digest gets its signature."""

    async def signs() -> bool:
        return isinstance((await sign(hsm, key))[0], bytes)

    await eventually(signs, what="a signature")


def pids(hsm: Hsm) -> tuple[int, ...]:
    """Process ids of the workers."""
    return hsm.status()["documents"].pids


def gone(process: int) -> bool:
    """Tell whether a process has ended (a zombie that nobody has reaped counts as ended)."""
    try:
        return Path(f"/proc/{process}/stat").read_text().rsplit(")", 1)[1].split()[0] == "Z"
    except (FileNotFoundError, ProcessLookupError):
        return True


async def test_a_worker_killed_under_load_costs_only_what_it_had(softhsm: SoftHsm) -> None:
    async with open_hsm(documents=softhsm.group("documents")) as (hsm, telemetry):
        key = await hsm.generate("documents", KeyAlgorithm.ECDSA_P256)
        outcomes: list[bytes | DomainError] = []
        enough = asyncio.Event()

        async def call() -> None:
            while not enough.is_set():
                outcomes.extend(await sign(hsm, key, 4))

        callers = [asyncio.create_task(call()) for _ in range(8)]
        for _ in range(3):
            had = len(outcomes)
            victim = pids(hsm)[0]
            os.kill(victim, signal.SIGKILL)
            await eventually(lambda victim=victim: victim not in pids(hsm), what="the loss is noticed")
            await eventually(lambda: hsm.status()["documents"].ready_workers == 2, what="two workers again")
            await eventually(lambda had=had: len(outcomes) > had + 100, what="work goes on")
        enough.set()
        await asyncio.gather(*callers)
        failures = [outcome for outcome in outcomes if not isinstance(outcome, bytes)]
        assert all(isinstance(outcome, HsmOutcomeUnknown) for outcome in failures)
        assert len(failures) <= 3 * 8 * 4
        assert all(isinstance(outcome, bytes) for outcome in await sign(hsm, key, 10))
        labels = {"group": "documents", "reason": "worker_died"}
        assert telemetry.registry.get_sample_value("kyso_signer_hsm_failures_total", labels) == 3


async def test_a_stopped_worker_is_given_up_at_the_deadline_and_replaced(softhsm: SoftHsm) -> None:
    async with open_hsm(documents=softhsm.group("documents", workers=1, timeout_seconds=1)) as (hsm, _):
        key = await hsm.generate("documents", KeyAlgorithm.ECDSA_P256)
        (stopped,) = pids(hsm)
        os.kill(stopped, signal.SIGSTOP)
        started = asyncio.get_running_loop().time()
        (outcome,) = await sign(hsm, key)
        waited = asyncio.get_running_loop().time() - started
        assert isinstance(outcome, HsmOutcomeUnknown)
        assert 0.9 < waited < 10
        await until_it_signs(hsm, key)
        assert gone(stopped)


async def test_what_hangs_in_the_token_is_unknown_and_what_waited_behind_it_is_not(softhsm: SoftHsm) -> None:
    shimmed = softhsm.behind_shim("documents", workers=1, timeout_seconds=1)
    async with open_hsm(documents=shimmed.settings) as (hsm, _):
        key = await hsm.generate("documents", KeyAlgorithm.ECDSA_P256)
        await sign(hsm, key, 5)
        shimmed.misbehave("C_Sign hang")
        results = await asyncio.gather(*(sign(hsm, key, 500) for _ in range(4)))
        shimmed.misbehave()
        outcomes = [outcome for result in results for outcome in result]
        unknown = [outcome for outcome in outcomes if isinstance(outcome, HsmOutcomeUnknown)]
        waited = [outcome for outcome in outcomes if isinstance(outcome, HsmTimeout | HsmUnavailable)]
        assert unknown
        assert waited
        assert len(unknown) + len(waited) == 2000
        await until_it_signs(hsm, key)


async def test_a_module_that_crashes_takes_one_worker_along_and_not_the_process(softhsm: SoftHsm) -> None:
    shimmed = softhsm.behind_shim("documents")
    async with open_hsm(documents=shimmed.settings) as (hsm, _):
        key = await hsm.generate("documents", KeyAlgorithm.ECDSA_P256)
        await sign(hsm, key, 5)
        shimmed.misbehave("C_Sign crash")
        (outcome,) = await sign(hsm, key)
        assert isinstance(outcome, HsmOutcomeUnknown)
        shimmed.misbehave()
        await until_it_signs(hsm, key)
        await eventually(lambda: hsm.status()["documents"].ready_workers == 2, what="two workers again")


@pytest.mark.parametrize(
    ("told", "kind"),
    [
        ("C_Sign error 0x30 1", HsmOutcomeUnknown),  # DEVICE_ERROR
        ("C_Sign error 0x5 1", HsmOutcomeUnknown),  # GENERAL_ERROR
        ("C_Sign error 0xB3 1", HsmUnavailable),  # SESSION_HANDLE_INVALID: it did not begin
        ("C_SignInit error 0x30 1", HsmUnavailable),
        ("C_SignInit error 0xE0 1", HsmUnavailable),  # TOKEN_NOT_PRESENT
        ("C_SignInit error 0x101 1", HsmUnavailable),  # USER_NOT_LOGGED_IN
    ],
)
async def test_a_doubtful_session_is_opened_again_in_the_same_worker(
    softhsm: SoftHsm, told: str, kind: type[DomainError]
) -> None:
    shimmed = softhsm.behind_shim("documents", workers=1)
    async with open_hsm(documents=shimmed.settings) as (hsm, _):
        key = await hsm.generate("documents", KeyAlgorithm.ECDSA_P256)
        await sign(hsm, key)
        before, sessions = pids(hsm), len(shimmed.calls("C_OpenSession"))
        shimmed.misbehave(told)
        first, *rest = await sign(hsm, key, 3)
        assert type(first) is kind
        # What was in the worker by then comes back unsigned; what was not yet is signed in the new session.
        assert all(isinstance(outcome, bytes) or type(outcome) is HsmUnavailable for outcome in rest)
        await until_it_signs(hsm, key)
        assert pids(hsm) == before
        assert len(shimmed.calls("C_OpenSession")) == sessions + 1
        assert len(shimmed.calls("C_Login")) == 1


async def test_what_a_new_session_does_not_cure_is_initialised_again_then_replaced(softhsm: SoftHsm) -> None:
    shimmed = softhsm.behind_shim("documents", workers=1)
    async with open_hsm(documents=shimmed.settings) as (hsm, _):
        key = await hsm.generate("documents", KeyAlgorithm.ECDSA_P256)
        (before,) = pids(hsm)
        shimmed.misbehave("C_SignInit error 0x30 2")
        await until_it_signs(hsm, key)
        assert pids(hsm) == (before,)
        assert shimmed.calls("C_Initialize") == [before, before]
        shimmed.misbehave("C_SignInit error 0x30 3")
        await eventually(lambda: signs_elsewhere(hsm, key, before), what="another worker signs")
        assert set(shimmed.calls("C_Login")) == {before, *pids(hsm)}


async def signs_elsewhere(hsm: Hsm, key: GeneratedKey, former: int) -> bool:
    """Try a signature; tell whether a worker other than the former one is there."""
    await sign(hsm, key)
    return pids(hsm) not in ((), (former,))


async def test_a_stale_handle_is_looked_up_again_without_a_word(softhsm: SoftHsm) -> None:
    shimmed = softhsm.behind_shim("documents", workers=1)
    async with open_hsm(documents=shimmed.settings) as (hsm, _):
        key = await hsm.generate("documents", KeyAlgorithm.ECDSA_P256)
        for code in ("0x60", "0x82"):
            shimmed.misbehave(f"C_SignInit error {code} 1")
            assert all(isinstance(outcome, bytes) for outcome in await sign(hsm, key, 3))


async def test_a_failed_key_generation_names_what_may_be_left_behind(softhsm: SoftHsm) -> None:
    shimmed = softhsm.behind_shim("documents", workers=1, generate_timeout_seconds=1)
    async with open_hsm(documents=shimmed.settings) as (hsm, _):
        shimmed.misbehave("C_GenerateKeyPair hang")
        with pytest.raises(HsmOutcomeUnknown) as caught:
            await hsm.generate("documents", KeyAlgorithm.ECDSA_P256)
        shimmed.misbehave()
        cka_id = bytes.fromhex(str(caught.value.data["cka_id"]))
        await eventually(lambda: hsm.status()["documents"].ready_workers == 1, what="a worker again")
        assert cka_id not in await hsm.list_ids("documents")
        with pytest.raises(HsmKeyMissing):
            await hsm.find("documents", cka_id)


async def test_a_wrong_pin_is_tried_exactly_once(softhsm: SoftHsm) -> None:
    shimmed = softhsm.behind_shim("documents", workers=3)
    softhsm.pins["documents"].write_text("0000wrong\n")
    async with open_hsm(documents=shimmed.settings) as (hsm, _):
        status = hsm.status()["documents"]
        assert status.reason == PIN_REFUSED
        assert await hsm.check() == PIN_REFUSED
        assert status.ready_workers == 0
        for _ in range(3):
            (outcome,) = await hsm.sign(_some_locator(), ECDSA_SHA256, [bytes(32)])
            assert isinstance(outcome, HsmUnavailable)
            assert outcome.data["reason"] == PIN_REFUSED
        with pytest.raises(HsmUnavailable):
            await hsm.generate("documents", KeyAlgorithm.ECDSA_P256)
        await eventually(lambda: pids(hsm) == (), what="no worker is left")
    assert len(shimmed.calls("C_Login")) == 1


async def test_a_pin_that_is_refused_later_stops_the_pool_at_once(softhsm: SoftHsm) -> None:
    shimmed = softhsm.behind_shim("documents", workers=2)
    async with open_hsm(documents=shimmed.settings) as (hsm, _):
        key = await hsm.generate("documents", KeyAlgorithm.ECDSA_P256)
        logins = len(shimmed.calls("C_Login"))
        assert logins == 2
        shimmed.misbehave("C_Login error 0xA4")  # PIN_LOCKED
        os.kill(pids(hsm)[0], signal.SIGKILL)
        await eventually(lambda: hsm.status()["documents"].reason == PIN_REFUSED, what="the PIN is refused")
        outcomes = await sign(hsm, key, 5)
        assert all(isinstance(outcome, HsmUnavailable) for outcome in outcomes)
        shimmed.misbehave()
        await eventually(lambda: pids(hsm) == (), what="the other worker is stopped too")
        assert len(shimmed.calls("C_Login")) == logins + 1


def _some_locator() -> KeyLocator:
    return KeyLocator("documents", bytes(16), bytes(32))


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"module": Path("/nonexistent/module.so")}, "hsm: MODULE_UNLOADABLE"),
        ({"token_label": "another"}, "hsm: NO_SUCH_TOKEN"),
        ({"pin_file": Path("/nonexistent/pin")}, "hsm: PIN_FILE_UNREADABLE"),
    ],
)
async def test_a_group_that_cannot_start_says_why_and_refuses_at_once(
    softhsm: SoftHsm, changes: dict[str, object], reason: str
) -> None:
    async with open_hsm(documents=softhsm.group("documents", **changes)) as (hsm, _):
        assert hsm.status()["documents"].reason == reason
        (outcome,) = await hsm.sign(_some_locator(), ECDSA_SHA256, [bytes(32)])
        assert isinstance(outcome, HsmUnavailable)
        assert outcome.data["reason"] == reason


async def test_a_token_that_comes_back_is_used_again(softhsm: SoftHsm) -> None:
    shimmed = softhsm.behind_shim("documents", workers=1)
    shimmed.misbehave("C_Initialize error 0x30")
    async with open_hsm(documents=shimmed.settings) as (hsm, _):
        assert hsm.status()["documents"].reason == "hsm: DEVICE_ERROR"
        shimmed.misbehave()
        await eventually(lambda: hsm.status()["documents"].reason is None, what="the group is ready")
        await hsm.self_test((await hsm.generate("documents", KeyAlgorithm.ECDSA_P256)).locator)


async def test_closing_settles_everything_and_leaves_no_process(softhsm: SoftHsm) -> None:
    async with open_hsm(documents=softhsm.group("documents")) as (hsm, _):
        key = await hsm.generate("documents", KeyAlgorithm.RSA_3072)
        algorithm = SigningAlgorithm(SignatureScheme.RSA_PKCS1V15, DigestAlgorithm.SHA256)
        calls = [
            asyncio.create_task(hsm.sign(key.locator, algorithm, [os.urandom(32) for _ in range(500)]))
            for _ in range(3)
        ]
        await eventually(lambda: hsm.status()["documents"].queue_length > 0, what="work waits")
        workers = pids(hsm)
    settled = [outcome for call in calls for outcome in await call]
    assert len(settled) == 1500
    assert all(isinstance(outcome, bytes | HsmUnavailable | HsmOutcomeUnknown) for outcome in settled)
    assert all(gone(worker) for worker in workers)


_PARENT = """
import asyncio, sys
from pathlib import Path
from services.signer.hsm.hsm import TokenGroupSettings
from tests.support.softhsm import open_hsm

async def main():
    settings = TokenGroupSettings.model_validate_json(sys.stdin.readline())
    async with open_hsm(documents=settings) as (hsm, _):
        print(*hsm.status()["documents"].pids, flush=True)
        await asyncio.Event().wait()

asyncio.run(main())
"""


async def test_workers_die_with_their_parent_and_their_command_line_names_no_pin(softhsm: SoftHsm) -> None:
    with _parent(softhsm.group("documents")) as parent:
        assert parent.stdout is not None
        workers = [int(word) for word in parent.stdout.readline().split()]
        assert len(workers) == 2
        for worker in workers:
            command = Path(f"/proc/{worker}/cmdline").read_bytes()
            assert softhsm.pins["documents"].read_bytes().strip() not in command
        parent.kill()
    await eventually(lambda: all(gone(worker) for worker in workers), what="the workers end")


def _parent(settings: TokenGroupSettings) -> subprocess.Popen[str]:
    root = Path(__file__).resolve().parents[3]
    parent = subprocess.Popen(
        [sys.executable, "-c", _PARENT],
        env=os.environ | {"PYTHONPATH": str(root)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert parent.stdin is not None
    parent.stdin.write(settings.model_dump_json() + "\n")
    parent.stdin.close()
    parent.stdin = None
    return parent
