"""CPU of one PAdES B-B signature of a one-page file: our format code against pyHanko's own signer.

Same file, same key (RSA-2048 in memory), interleaved, medians of process CPU time; the time of the bare RSA
operation is measured in the same rounds and taken off both. Ours includes the after-sign check; pyHanko has none.
Run with `python -m bench.pades`.
"""

from __future__ import annotations

import asyncio
import json
import statistics
import time
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from io import BytesIO
from typing import TYPE_CHECKING

from asn1crypto import x509 as asn1_x509
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa, utils
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID
from pyhanko.pdf_utils.incremental_writer import IncrementalPdfFileWriter
from pyhanko.sign import PdfSignatureMetadata, signers
from pyhanko.sign.fields import SigSeedSubFilter

from services.kernel.values import DigestAlgorithm, SignatureScheme, SigningAlgorithm
from services.signer.formats.format import Document
from services.signer.formats.pades import PadesBaseline
from services.signer.formats.parameters import Envelope, SignatureParameters

if TYPE_CHECKING:
    from collections.abc import Callable

ROUNDS = 60
REPEAT = 5
RESERVED_HEX = 16 * 1024


@dataclass(frozen=True)
class Contest:
    """The one file and the one key that both sides get."""

    pdf: bytes
    key: rsa.RSAPrivateKey
    certificate: bytes

    @classmethod
    def make(cls, pdf: bytes) -> Contest:
        """Make the key and a certificate for it."""
        key = rsa.generate_private_key(65537, 2048)
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Người ký thử")])
        now = datetime.now(UTC)
        builder = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
        builder = builder.serial_number(1).not_valid_before(now).not_valid_after(now + timedelta(days=1))
        certificate = builder.sign(key, hashes.SHA256())
        return cls(pdf, key, certificate.public_bytes(Encoding.DER))

    def raw(self) -> None:
        """The token's part, done in memory."""
        self.key.sign(bytes(32), padding.PKCS1v15(), utils.Prehashed(hashes.SHA256()))

    def ours(self) -> bytes:
        """Sign with this project's format code."""
        algorithm = SigningAlgorithm(SignatureScheme.RSA_PKCS1V15, DigestAlgorithm.SHA256)
        envelope = Envelope("PADES", reason="Phê duyệt")
        parameters = SignatureParameters((self.certificate,), algorithm, datetime.now(UTC), envelope)
        form, document = PadesBaseline(), Document.of(self.pdf)
        prepared = form.prepare(document, parameters)
        value = self.key.sign(prepared.digest, padding.PKCS1v15(), utils.Prehashed(hashes.SHA256()))
        return self.pdf + form.complete(document, parameters, prepared.state, value)

    def theirs(self, runner: asyncio.Runner, signer: InMemorySigner) -> bytes:
        """Sign with pyHanko's `PdfSigner` and bytes_reserved; key and certificate are loaded beforehand."""
        metadata = PdfSignatureMetadata(
            field_name="Signature1",
            subfilter=SigSeedSubFilter.PADES,
            md_algorithm="sha256",
            reason="Phê duyệt",
        )
        pdf_signer = signers.PdfSigner(metadata, signer=signer)
        writer = IncrementalPdfFileWriter(BytesIO(self.pdf))
        out = runner.run(pdf_signer.async_sign_pdf(writer, bytes_reserved=RESERVED_HEX))
        return bytes(out.getbuffer())


class InMemorySigner(signers.Signer):
    """pyHanko's signer with a key that is loaded once: its own `SimpleSigner` loads and checks it for every call."""

    def __init__(self, contest: Contest) -> None:
        """Load the certificate."""
        super().__init__(signing_cert=asn1_x509.Certificate.load(contest.certificate))
        self._key = contest.key

    async def async_sign_raw(self, data: bytes, digest_algorithm: str, dry_run: bool = False) -> bytes:  # noqa: ARG002
        """Sign the signed attributes."""
        return self._key.sign(data, padding.PKCS1v15(), hashes.SHA256())


def _cpu_ms(work: Callable[[], object]) -> float:
    started = time.process_time()
    for _ in range(REPEAT):
        work()
    return (time.process_time() - started) / REPEAT * 1000


def one_page() -> bytes:
    """Return the file that is signed: one page of text, no form."""
    lines = b" ".join(b"(Dong %d cua cong van) Tj 0 -14 Td" % number for number in range(40))
    drawing = b"BT /F1 12 Tf 72 770 Td " + lines + b" ET"
    objects = [
        b"<</Type /Catalog /Pages 2 0 R>>",
        b"<</Type /Pages /Kids [3 0 R] /Count 1>>",
        b"<</Type /Page /Parent 2 0 R /MediaBox [0 0 595 842] /Contents 5 0 R "
        b"/Resources <</Font <</F1 4 0 R>> /ProcSet [/PDF /Text]>>>>",
        b"<</Type /Font /Subtype /Type1 /BaseFont /Times-Roman /Encoding /WinAnsiEncoding>>",
        b"<</Length %d>>\nstream\n%s\nendstream" % (len(drawing), drawing),
        b"<</Producer (bench) /CreationDate (D:20261122000000Z)>>",
    ]
    out, offsets = bytearray(b"%PDF-1.7\n"), []
    for number, body in enumerate(objects, 1):
        offsets.append(len(out))
        out += b"%d 0 obj\n%s\nendobj\n" % (number, body)
    start = len(out)
    out += b"xref\n0 %d\n0000000000 65535 f \n" % (len(objects) + 1)
    out += b"".join(b"%010d 00000 n \n" % offset for offset in offsets)
    out += b"trailer\n<</Size %d /Root 1 0 R /Info 6 0 R>>\nstartxref\n%d\n%%%%EOF\n" % (
        len(objects) + 1,
        start,
    )
    return bytes(out)


def rows(rounds: int = ROUNDS) -> list[dict[str, str | float]]:
    """Measure and return the two rows; `ratio` is ours against pyHanko's."""
    contest = Contest.make(one_page())
    signer = InMemorySigner(contest)
    samples: dict[str, list[float]] = {"raw": [], "ours": [], "theirs": []}
    with asyncio.Runner() as runner:
        contenders: dict[str, Callable[[], object]] = {
            "raw": contest.raw,
            "ours": contest.ours,
            "theirs": lambda: contest.theirs(runner, signer),
        }
        for work in contenders.values():
            _cpu_ms(work)
        for _ in range(rounds):
            for name, work in contenders.items():
                samples[name].append(_cpu_ms(work))
    raw = statistics.median(samples["raw"])
    ours = statistics.median(samples["ours"]) - raw
    pyhanko = statistics.median(samples["theirs"]) - raw
    return [
        _row("pades_bb_1page_cpu_ms", ours, ours / pyhanko, "pyhanko_bb_1page_cpu_ms"),
        _row("pyhanko_bb_1page_cpu_ms", pyhanko, 1.0, "pyhanko_bb_1page_cpu_ms"),
    ]


def _row(name: str, value: float, ratio: float, against: str) -> dict[str, str | float]:
    return {
        "name": name,
        "value": round(value, 3),
        "unit": "ms CPU",
        "ratio": round(ratio, 3),
        "against": against,
    }


if __name__ == "__main__":
    for row in rows():
        print(json.dumps(row))
