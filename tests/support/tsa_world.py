"""A time-stamp authority with a key in memory, under a CA of its own, for tests of tokens and serial numbers."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import structlog
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed
from cryptography.hazmat.primitives.serialization import Encoding, load_der_public_key
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from prometheus_client import CollectorRegistry

from services.kernel.errors import DomainError
from services.kernel.values import KeyAlgorithm, SigningAlgorithm
from services.signer.hsm.types import KeyLocator
from services.signer.ports import AuthorityKey
from services.signer.tsa.authority import TimeStampAuthority, TsaParts
from services.signer.tsa.metrics import TsaMetrics
from services.signer.tsa.serials import Block, Serials, SerialStore
from services.signer.tsa.unit import UnitKeeper, UnitRule
from tests.unit.signer.memory import MemoryKeys, SoftwareHsm

POLICY = "2.25.276143064756067490626061319986090920208.10"
CA_KEY = ec.generate_private_key(ec.SECP256R1())
CA_NAME = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Test CA")])
STAMPING = (x509.ExtendedKeyUsage([ExtendedKeyUsageOID.TIME_STAMPING]), True)
ACCURACY = timedelta(seconds=1)


def ca_certificate() -> x509.Certificate:
    """Make the CA's certificate."""
    return _certificate(
        CA_NAME,
        CA_KEY.public_key(),
        datetime.now(UTC),
        ((x509.BasicConstraints(ca=True, path_length=None), True),),
    )


def unit_certificate(
    public: Any,
    begin: datetime,
    extensions: tuple[tuple[x509.ExtensionType, bool], ...] = (STAMPING,),
    life: timedelta = timedelta(days=365),
) -> bytes:
    """Make the certificate of a time-stamp unit, DER."""
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Test TSU")])
    return _certificate(name, public, begin, extensions, life).public_bytes(Encoding.DER)


def _certificate(
    name: x509.Name,
    public: Any,
    begin: datetime,
    extensions: tuple[tuple[x509.ExtensionType, bool], ...],
    life: timedelta = timedelta(days=365),
) -> x509.Certificate:
    builder = (
        x509.CertificateBuilder()
        .issuer_name(CA_NAME)
        .subject_name(name)
        .public_key(public)
        .serial_number(x509.random_serial_number())
        .not_valid_before(begin - timedelta(hours=1))
        .not_valid_after(begin - timedelta(hours=1) + life)
    )
    for extension, critical in extensions:
        builder = builder.add_extension(extension, critical=critical)
    return builder.sign(CA_KEY, hashes.SHA256())


class RsaHsm(SoftwareHsm):
    """Signs with RSA keys too."""

    def _one(self, locator: KeyLocator, algorithm: SigningAlgorithm, digest: bytes) -> bytes | DomainError:
        private = self.private[locator.cka_id]
        if not isinstance(private, rsa.RSAPrivateKey):
            return super()._one(locator, algorithm, digest)
        self.signed += 1
        return private.sign(digest, padding.PKCS1v15(), Prehashed(hashes.SHA256()))


class MemorySerials:
    """The SerialStore port."""

    def __init__(self) -> None:
        self.next, self.newest = 1, datetime.min.replace(tzinfo=UTC)
        self.asked: list[int] = []

    async def allocate(self, authority: str, count: int, now: datetime) -> Block:
        self.asked.append(count)
        self.newest = max(self.newest, now)
        self.next += count
        return Block(self.next - count, count, self.newest)


class Clock:
    """Real time, moved by what a test wants."""

    def __init__(self) -> None:
        self.moved = timedelta()

    def __call__(self) -> datetime:
        return datetime.now(UTC) + self.moved


@dataclass
class TsaWorld:
    """An authority and what it stands on."""

    authority: TimeStampAuthority
    units: UnitKeeper
    keys: MemoryKeys
    hsm: SoftwareHsm
    key: AuthorityKey
    clock: Clock
    metrics: TsaMetrics
    registry: CollectorRegistry
    chain: list[bytes]
    """What the registry answers next."""
    fetched: list[str] = field(default_factory=list)

    def outcome(self, name: str) -> float:
        """Return how often an outcome was counted."""
        labels = {"outcome": name}
        return self.registry.get_sample_value("kyso_signer_time_stamps_total", labels) or 0.0


async def tsa_world(
    store: SerialStore | None = None,
    algorithm: KeyAlgorithm = KeyAlgorithm.ECDSA_P256,
    block: int = 1000,
    hsm: SoftwareHsm | None = None,
) -> TsaWorld:
    """Make an authority; its certificate is there."""
    keys, clock, registry = MemoryKeys(), Clock(), CollectorRegistry()
    hsm = hsm or SoftwareHsm()
    made = await hsm.generate("authority", algorithm)
    key = AuthorityKey(
        "tsa", algorithm, "authority", made.locator.cka_id, made.spki, made.locator.spki_sha256, None
    )
    keys.authorities["tsa"] = key
    chain = [unit_certificate(load_der_public_key(made.spki), clock())]
    metrics, log = TsaMetrics.register(registry), structlog.get_logger()
    fetched: list[str] = []

    async def fetch(name: str) -> list[bytes]:
        fetched.append(name)
        return list(chain)

    units = UnitKeeper(UnitRule("tsa", POLICY, ACCURACY), keys, fetch, clock, metrics, log)
    serials = Serials(store or MemorySerials(), "tsa", block, ACCURACY, clock)
    authority = TimeStampAuthority(TsaParts(units, serials, hsm, metrics, log))
    return TsaWorld(authority, units, keys, hsm, key, clock, metrics, registry, chain, fetched)


def openssl_query(folder: Path, *arguments: str, data: bytes = b"tai lieu") -> bytes:
    """Let openssl make a request over data."""
    (folder / "data").write_bytes(data)
    return _openssl(folder, "-query", "-data", "data", *arguments)


def openssl_verify(folder: Path, query: bytes, response: bytes, anchor: bytes, *more: str) -> str:
    """Let openssl check an answer against the request; return what it says, raise where it refuses."""
    (folder / "query.tsq").write_bytes(query)
    (folder / "response.tsr").write_bytes(response)
    (folder / "ca.pem").write_bytes(anchor)
    verified = ("-verify", "-queryfile", "query.tsq", "-in", "response.tsr", "-CAfile", "ca.pem", *more)
    return _openssl(folder, *verified).decode()


def openssl_text(folder: Path, response: bytes) -> str:
    """Let openssl say what an answer holds."""
    (folder / "response.tsr").write_bytes(response)
    return _openssl(folder, "-reply", "-in", "response.tsr", "-text").decode()


def _openssl(folder: Path, *arguments: str) -> bytes:
    done = subprocess.run(
        ["openssl", "ts", *arguments], cwd=folder, capture_output=True, timeout=60, check=False
    )
    if done.returncode:
        raise AssertionError(f"openssl ts {' '.join(arguments)}: {(done.stdout + done.stderr).decode()}")
    return done.stdout
