"""Keys in memory and a throw-away CA for tests of document formats, and the foreign tools that judge the results."""

from __future__ import annotations

import itertools
import re
import subprocess
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import TYPE_CHECKING, Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa, utils
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from services.kernel.values import DigestAlgorithm, KeyAlgorithm, SignatureScheme, SigningAlgorithm
from services.signer.formats.parameters import Envelope, FormatName, SignatureParameters
from tests.support.key_usage import AUTHORITY, SIGNER, key_usage

if TYPE_CHECKING:
    from pathlib import Path

    from services.signer.formats.format import SignatureFormat

SIGNING_TIME = datetime(2026, 11, 22, 3, 4, 5, tzinfo=UTC)
HASHES: dict[DigestAlgorithm, hashes.HashAlgorithm] = {
    DigestAlgorithm.SHA256: hashes.SHA256(),
    DigestAlgorithm.SHA384: hashes.SHA384(),
    DigestAlgorithm.SHA512: hashes.SHA512(),
}
RSA_SHA256 = SigningAlgorithm(SignatureScheme.RSA_PKCS1V15, DigestAlgorithm.SHA256)

ALGORITHMS = [
    (key, SigningAlgorithm(scheme, digest))
    for key, scheme, digest in itertools.product(KeyAlgorithm, SignatureScheme, DigestAlgorithm)
    if key.family == scheme.family
]
"""Every key type with every scheme and digest that fits it."""


@dataclass(frozen=True)
class TestSigner:
    """A private key in memory with its certificate and the CA's."""

    __test__ = False
    key: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey
    chain: tuple[bytes, ...]

    def parameters(
        self, algorithm: SigningAlgorithm = RSA_SHA256, form: FormatName = "PADES", **options: Any
    ) -> SignatureParameters:
        """Return parameters that name this signer; the options are the envelope's."""
        return SignatureParameters(self.chain, algorithm, SIGNING_TIME, Envelope(form, **options))

    def sign(self, digest: bytes, algorithm: SigningAlgorithm = RSA_SHA256) -> bytes:
        """Sign a digest as a token would."""
        chosen = HASHES[algorithm.digest]
        prehashed = utils.Prehashed(chosen)
        if isinstance(self.key, ec.EllipticCurvePrivateKey):
            return self.key.sign(digest, ec.ECDSA(prehashed))
        if algorithm.scheme is SignatureScheme.RSA_PSS:
            return self.key.sign(digest, padding.PSS(padding.MGF1(chosen), chosen.digest_size), prehashed)
        return self.key.sign(digest, padding.PKCS1v15(), prehashed)


@cache
def authority() -> tuple[ec.EllipticCurvePrivateKey, x509.Certificate]:
    """Return the CA of this test run."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Kyso test CA")])
    builder = _certificate(name, name, key.public_key())
    builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
    builder = builder.add_extension(key_usage(*AUTHORITY), critical=True)
    return key, builder.sign(key, hashes.SHA256())


@cache
def signer(algorithm: KeyAlgorithm = KeyAlgorithm.RSA_2048, name: str = "Nguyễn Văn Thử") -> TestSigner:
    """Return the signer of that key type and name, made at the first call."""
    key: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey
    if algorithm.family == "RSA":
        key = rsa.generate_private_key(65537, algorithm.bits)
    else:
        key = ec.generate_private_key(ec.SECP256R1() if algorithm.bits == 256 else ec.SECP384R1())
    ca_key, ca = authority()
    subject = x509.Name(
        [
            x509.NameAttribute(NameOID.COUNTRY_NAME, "VN"),
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, "Ủy ban nhân dân phường Thử Nghiệm"),
            x509.NameAttribute(NameOID.COMMON_NAME, name),
        ]
    )
    builder = _certificate(subject, ca.subject, key.public_key())
    builder = builder.add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
    certificate = builder.add_extension(key_usage(*SIGNER), critical=True).sign(ca_key, hashes.SHA256())
    return TestSigner(key, (certificate.public_bytes(Encoding.DER), ca.public_bytes(Encoding.DER)))


def signed(form: SignatureFormat, document: bytes, who: TestSigner, parameters: SignatureParameters) -> bytes:
    """Run a format's two steps in this process; return what was added."""
    from services.signer.formats.format import Document

    prepared = form.prepare(Document.of(document), parameters)
    value = who.sign(prepared.digest, parameters.algorithm)
    return form.complete(Document.of(document), parameters, prepared.state, value)


def pdfsig(path: Path) -> list[dict[str, str]]:
    """Ask poppler: one dictionary a signature, such as {"Signature Validation": "Signature is Valid."}."""
    answer = subprocess.run(["pdfsig", "-nocert", path], capture_output=True, text=True, check=False).stdout
    found = []
    for block in answer.split("Signature #")[1:]:
        entries = dict(re.findall(r"^  - ([^:\n]+): (.*)$", block, re.MULTILINE))
        entries["whole"] = str("  - Total document signed" in block)
        found.append(entries)
    return found


def openssl_cms_verify(folder: Path, container: bytes, content: bytes) -> str:
    """Ask openssl about a detached CMS; return "" where it verifies, else what it complained of."""
    names = ("ca.pem", "content.bin", "container.p7s", "out.bin")
    anchor, data, cms, out = (str(folder / name) for name in names)
    (folder / "ca.pem").write_bytes(authority()[1].public_bytes(Encoding.PEM))
    (folder / "content.bin").write_bytes(content)
    (folder / "container.p7s").write_bytes(container)
    command = [
        "openssl",
        "cms",
        "-verify",
        "-binary",
        "-cades",
        "-inform",
        "DER",
        "-in",
        cms,
        "-content",
        data,
    ]
    command += ["-CAfile", anchor, "-purpose", "any", "-out", out]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return "" if done.returncode == 0 else done.stderr or "failed"


def pdf_signature_parts(data: bytes, index: int = -1) -> tuple[bytes, bytes]:
    """Cut the CMS (zeros behind it removed) and the bytes that it covers out of a signed PDF file."""
    found = list(re.finditer(rb"/ByteRange\s*\[\s*0 (\d+) (\d+) (\d+)\s*\]", data))[index]
    first, second, last = (int(found[group]) for group in (1, 2, 3))
    contents = bytes.fromhex(data[first + 1 : second - 1].decode())
    octets = contents[1] & 0x7F
    length = 2 + octets + int.from_bytes(contents[2 : 2 + octets], "big")
    return contents[:length], data[:first] + data[second : second + last]


def _certificate(
    subject: x509.Name, issuer: x509.Name, key: rsa.RSAPublicKey | ec.EllipticCurvePublicKey
) -> x509.CertificateBuilder:
    now = datetime.now(UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=30))
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
    )
