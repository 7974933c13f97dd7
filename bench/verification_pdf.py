"""CPU of judging signed PDF files: against pyHanko's own validation of the same files, and by number of signatures.

Warm, in process, status values at hand; both sides start from the octets of one file after the other, of the same
signer. Medians of process CPU time, the two interleaved. Run with `python -m bench.verification_pdf`.
"""

from __future__ import annotations

import asyncio
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from io import BytesIO

from asn1crypto import x509 as asn1_x509
from cryptography.hazmat.primitives.serialization import Encoding
from pyhanko.pdf_utils.reader import PdfFileReader
from pyhanko.sign.ades.report import AdESPassed
from pyhanko.sign.validation import validate_pdf_signature
from pyhanko.sign.validation.ades import ades_lta_validation
from pyhanko.sign.validation.policy_decl import (
    PdfSignatureValidationSpec,
    RevinfoOnlineFetchingRule,
    RevocationInfoGatheringSpec,
    SignatureValidationSpec,
)
from pyhanko_certvalidator import ValidationContext
from pyhanko_certvalidator.context import CertValidationPolicySpec
from pyhanko_certvalidator.policy_decl import CertRevTrustPolicy, RevocationCheckingPolicy
from pyhanko_certvalidator.registry import SimpleTrustManager

from bench.formats import Row
from bench.pades import one_page
from services.kernel.values import KeyAlgorithm
from services.signer.formats.format import Document, Signed
from services.signer.formats.pades import PadesBaseline
from services.signer.formats.parameters import Level
from services.verifier.domain import Verdict
from services.verifier.formats.pdf import PdfFormat
from services.verifier.ports import SubmittedDocument, TrustMaterial
from services.verifier.reports import rendering
from services.verifier.service import VerificationService
from tests.support import stamping
from tests.support.document_signers import authority, signed, signer

ROUNDS = 12
DOCUMENTS = 5
LARGE_ROUNDS = 5


def sign(data: bytes, level: Level = Level.B_B) -> bytes:
    """The file with one more signature."""
    who, form = signer(KeyAlgorithm.RSA_2048), PadesBaseline()
    addition = signed(form, data, who, who.parameters(level=level))
    return data + stamping.raise_to(form, Signed(Document.of(data), addition), level)


def with_signatures(count: int) -> bytes:
    """A page with so many signatures, each over all before it."""
    data = one_page()
    for _ in range(count):
        data = sign(data)
    return data


@dataclass(frozen=True)
class Ours:
    """This project's verifier: from a file's octets to the answer."""

    service: VerificationService

    @classmethod
    def make(cls) -> Ours:
        """Trust the test signers' CA, its list at hand."""
        anchor = authority()[1].public_bytes(Encoding.DER)
        return cls(VerificationService((PdfFormat(),), TrustMaterial((anchor,), (), (stamping.crl(),))))

    def verify(self, data: bytes) -> None:
        """Raises ValueError where the file does not pass."""
        report = self.service.verify(SubmittedDocument(data), datetime.now(UTC))
        rendering.document(report)
        if report.verdict is not Verdict.VALID or not report.clean:
            raise ValueError(f"a file that was to be timed is {report.verdict.value}")


@dataclass(frozen=True)
class Theirs:
    """pyHanko's validation of the first signature of a file."""

    root: asn1_x509.Certificate
    crl: bytes
    runner: asyncio.Runner

    def baseline(self, data: bytes) -> None:
        """B-B, as of now. Raises ValueError where the file does not pass."""
        context = ValidationContext(
            trust_roots=[self.root], crls=[self.crl], revocation_mode="require", allow_fetching=False
        )
        reader = PdfFileReader(BytesIO(data))
        if not validate_pdf_signature(reader.embedded_regular_signatures[0], context).bottom_line:
            raise ValueError("pyHanko does not accept a file that was to be timed")

    def archived(self, data: bytes) -> None:
        """B-LTA. Raises ValueError where the file does not pass."""
        checking = CertRevTrustPolicy(RevocationCheckingPolicy.from_legacy("require"))
        spec = PdfSignatureValidationSpec(
            SignatureValidationSpec(
                CertValidationPolicySpec(SimpleTrustManager.build([self.root]), checking),
                RevocationInfoGatheringSpec(online_fetching_rule=RevinfoOnlineFetchingRule.LOCAL_ONLY),
            )
        )
        reader = PdfFileReader(BytesIO(data))
        result = self.runner.run(ades_lta_validation(reader.embedded_regular_signatures[0], spec))
        if result.ades_subindic is not AdESPassed.OK:
            raise ValueError("pyHanko does not accept a file that was to be timed")


def _contest(
    files: Sequence[bytes], ours: Callable[[bytes], None], theirs: Callable[[bytes], None]
) -> tuple[float, float]:
    """Milliseconds of CPU for one file, of either side."""
    taken: tuple[list[float], list[float]] = ([], [])
    for turn in range(ROUNDS + 1):
        for data in files:
            for side, times in zip((ours, theirs), taken, strict=True):
                started = time.process_time()
                side(data)
                if turn:
                    times.append(time.process_time() - started)
    return statistics.median(taken[0]) * 1000, statistics.median(taken[1]) * 1000


def _cpu_ms(work: Callable[[bytes], None], data: bytes) -> float:
    work(data)
    times = []
    for _ in range(LARGE_ROUNDS):
        started = time.process_time()
        work(data)
        times.append(time.process_time() - started)
    return statistics.median(times) * 1000


def rows() -> list[Row]:
    """Measure everything."""
    ours = Ours.make()
    found: list[Row] = []
    root = asn1_x509.Certificate.load(authority()[1].public_bytes(Encoding.DER))
    with asyncio.Runner() as runner:
        theirs = Theirs(root, stamping.crl(), runner)
        for level, validation in ((Level.B_B, theirs.baseline), (Level.B_LTA, theirs.archived)):
            files = [sign(one_page(), level) for _ in range(DOCUMENTS)]
            own, other = _contest(files, ours.verify, validation)
            short = level.value.replace("-", "").lower()
            against = (f"pyhanko_verify_pades_{short}_ms", other)
            found += [Row(f"verify_pades_{short}_ms", own, against=against), Row(*against)]
    for count in (10, 50):
        row = f"verify_pdf_{count}_signatures_ms"
        found.append(Row(row, _cpu_ms(ours.verify, with_signatures(count))))
    return found


if __name__ == "__main__":
    for row in rows():
        ratio = f"{row.value / row.against[1]:8.3f} of {row.against[0]}" if row.against else ""
        print(f"{row.name:36} {row.value:10.3f} {row.unit:8} {ratio}")
