"""The HSM floor's only door: keys are made and used through `Hsm`, and through nothing else.

The PKCS#11 module is loaded in worker processes (`worker.py`), never here: a module that crashes or hangs costs one
worker, and the PIN is in none of this process's memory.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa, utils
from cryptography.hazmat.primitives.serialization import load_der_public_key
from pydantic import Field

from services.kernel.errors import DomainError
from services.kernel.runtime.config import Settings
from services.kernel.runtime.telemetry import Telemetry
from services.kernel.values import DigestAlgorithm, KeyAlgorithm, SignatureScheme, SigningAlgorithm
from services.signer.hsm import wire
from services.signer.hsm.calls import Admit, GroupPlan
from services.signer.hsm.group import TokenGroup
from services.signer.hsm.metrics import GroupMetrics, HsmMetrics
from services.signer.hsm.types import (
    CKA_ID_BYTES,
    GeneratedKey,
    GroupStatus,
    HsmKeyMismatch,
    ItemOutcome,
    KeyLocator,
)
from services.signer.hsm.wire import FrameKind, Scheme

_SCHEMES = {
    SignatureScheme.RSA_PKCS1V15: (Scheme.PKCS1V15, "CKM_RSA_PKCS"),
    SignatureScheme.RSA_PSS: (Scheme.PSS, "CKM_RSA_PKCS_PSS"),
    SignatureScheme.ECDSA: (Scheme.ECDSA, "CKM_ECDSA"),
}
_DIGESTS = {DigestAlgorithm.SHA256: 1, DigestAlgorithm.SHA384: 2, DigestAlgorithm.SHA512: 3}


class TokenGroupSettings(Settings):
    """One PKCS#11 token and the workers that use it."""

    module: Path
    """The vendor's PKCS#11 module."""
    token_label: str = Field(min_length=1, max_length=32)
    token_serial: str | None = Field(default=None, min_length=1, max_length=16)
    """Needed only where several tokens have the same label."""
    pin_file: Path
    """File with the user PIN; only the workers read it."""
    workers: int = Field(default=2, ge=1, le=64)
    sessions_per_worker: int = Field(default=1, ge=1, le=64)
    """More than 1 only for modules whose time is the network's: their calls then run in threads of one process."""
    timeout_seconds: float = Field(default=10.0, gt=0, le=300)
    """How long one frame of work may take in the token, and how long a call waits for a free worker."""
    generate_timeout_seconds: float = Field(default=60.0, gt=0, le=600)
    start_timeout_seconds: float = Field(default=30.0, gt=0, le=300)
    """How long loading the module and logging in may take."""
    queue_limit: int = Field(default=20_000, ge=1)
    """Digests that may wait; more are refused with OVERLOADED."""
    environment: dict[str, str] = Field(default_factory=dict)
    """What the module needs in its environment, such as SOFTHSM2_CONF. Never a secret."""


class Hsm:
    """All token groups of this process. Signs what it is told: policy, status and quota are the callers' steps."""

    def __init__(self, groups: Mapping[str, TokenGroup], metrics: Mapping[str, GroupMetrics]) -> None:
        """Use `Hsm.open`."""
        self._groups, self._metrics = groups, metrics

    @classmethod
    @asynccontextmanager
    async def open(cls, groups: Mapping[str, TokenGroupSettings], telemetry: Telemetry) -> AsyncIterator[Hsm]:
        """Start the workers of every group; leave when each group is up or its first start has failed.

        A group that does not come up is not an error here: it is retried with back-off (never where the token refused
        the PIN), `check` names the reason, and its callers get HSM_UNAVAILABLE.
        """
        metrics = HsmMetrics.register(telemetry.registry)
        parts = {name: metrics.of(name) for name in groups}
        opened = {name: TokenGroup(_plan(name, groups[name]), parts[name], telemetry.log) for name in groups}
        async with AsyncExitStack() as stack:
            for group in opened.values():
                stack.push_async_callback(group.close)
            await asyncio.gather(*(group.open() for group in opened.values()))
            yield cls(opened, parts)

    async def sign(
        self,
        locator: KeyLocator,
        algorithm: SigningAlgorithm,
        digests: Sequence[bytes],
        *,
        admit: Admit | None = None,
    ) -> list[ItemOutcome]:
        """Sign digests under one key; return one outcome for each, in order. No DomainError is raised.

        A signature is as long as the modulus for RSA, a DER ECDSA-Sig-Value for ECDSA. An outcome is HsmUnavailable,
        HsmTimeout or Overloaded where the digest never reached the token (asking again is safe), and
        HsmOutcomeUnknown where it may have and no answer came: the token may have signed it. `admit` is called just
        before each part of the call is handed over; the DomainError that it raises is the outcome of all that is left.
        No C_Sign of the part begins after the `time.monotonic()` moment that it returns (None: no limit): what was not
        begun by then is admitted and handed over once more.
        Raises ValueError for a digest of the wrong length and KeyError for an unknown token group.
        """
        group = self._groups[locator.token_group]
        size = algorithm.digest.size
        for digest in digests:
            if len(digest) != size:
                raise ValueError(f"{algorithm.digest.label} digests have {size} bytes, got {len(digest)}")
        if not digests:
            return []
        scheme, mechanism = _SCHEMES[algorithm.scheme]
        head = wire.KEY.pack(locator.cka_id, locator.spki_sha256, scheme, _DIGESTS[algorithm.digest])
        return await group.sign(head, mechanism, digests, admit)

    async def generate(self, group: str, algorithm: KeyAlgorithm) -> GeneratedKey:
        """Make a key pair in the token, which can only sign and never leave it.

        Raises DomainError. Where its outcome is unknown, the error's `cka_id` names the pair that may be there.
        """
        cka_id = os.urandom(CKA_ID_BYTES)
        fields = {"cka_id": cka_id.hex(), "algorithm": algorithm.name}
        try:
            answer = await self._groups[group].command(FrameKind.GENERATE, fields, alone=True)
        except DomainError as error:
            error.data["cka_id"] = cka_id.hex()
            raise
        mechanism = "CKM_RSA_PKCS_KEY_PAIR_GEN" if algorithm.family == "RSA" else "CKM_EC_KEY_PAIR_GEN"
        self._metrics[group].operation("generate", mechanism)(answer["micros"] / 1e6)
        spki = bytes.fromhex(answer["spki"])
        return GeneratedKey(KeyLocator(group, cka_id, hashlib.sha256(spki).digest()), algorithm, spki)

    async def find(self, group: str, cka_id: bytes) -> bytes:
        """Return the DER SubjectPublicKeyInfo of the pair with this CKA_ID; raise HsmKeyMissing or HsmUnavailable."""
        fields = {"cka_id": cka_id.hex()}
        answer = await self._groups[group].command(FrameKind.FIND, fields, alone=False)
        self._metrics[group].operation("find", "")(answer["micros"] / 1e6)
        return bytes.fromhex(answer["spki"])

    async def list_ids(self, group: str) -> list[bytes]:
        """Return the CKA_IDs of all keys of ours in the token, for finding orphans of an interrupted generation."""
        answer = await self._groups[group].command(FrameKind.LIST, {}, alone=False)
        self._metrics[group].operation("list", "")(answer["micros"] / 1e6)
        return [bytes.fromhex(cka_id) for cka_id in answer["cka_ids"]]

    async def self_test(self, locator: KeyLocator) -> None:
        """Sign random data with the key and verify it with the public key in the token; raise DomainError."""
        spki = await self.find(locator.token_group, locator.cka_id)
        if hashlib.sha256(spki).digest() != locator.spki_sha256:
            raise HsmKeyMismatch("the key in the token is not the one recorded: it is not used")
        public = load_der_public_key(spki)
        is_rsa = isinstance(public, rsa.RSAPublicKey)
        scheme = SignatureScheme.RSA_PKCS1V15 if is_rsa else SignatureScheme.ECDSA
        digest = os.urandom(DigestAlgorithm.SHA256.size)
        (outcome,) = await self.sign(locator, SigningAlgorithm(scheme, DigestAlgorithm.SHA256), [digest])
        if isinstance(outcome, DomainError):
            raise outcome
        prehashed = utils.Prehashed(hashes.SHA256())
        try:
            if isinstance(public, rsa.RSAPublicKey):
                public.verify(outcome, digest, padding.PKCS1v15(), prehashed)
            elif isinstance(public, ec.EllipticCurvePublicKey):
                public.verify(outcome, digest, ec.ECDSA(prehashed))
        except InvalidSignature:
            raise HsmKeyMismatch(
                "the private key in the token does not fit its public key: it is not used"
            ) from None

    def status(self) -> dict[str, GroupStatus]:
        """Say how each group is."""
        return {name: group.status() for name, group in self._groups.items()}

    async def check(self) -> str | None:
        """Return why signing is not possible, None where every group is ready (for `Health.register`)."""
        reasons = [status.reason for status in self.status().values() if status.reason is not None]
        return reasons[0] if reasons else None


def _plan(name: str, settings: TokenGroupSettings) -> GroupPlan:
    hello = {
        "module": str(settings.module),
        "token_label": settings.token_label,
        "token_serial": settings.token_serial,
        "pin_file": str(settings.pin_file),
        "sessions": settings.sessions_per_worker,
    }
    return GroupPlan(
        name=name,
        hello=hello,
        environment=settings.environment,
        workers=settings.workers,
        sessions=settings.sessions_per_worker,
        timeout=settings.timeout_seconds,
        generate_timeout=settings.generate_timeout_seconds,
        start_timeout=settings.start_timeout_seconds,
        queue_limit=settings.queue_limit,
    )
