"""CPU of judging one XAdES and one CAdES B-B signature over 10 kB: warm, in process, status values at hand.

The documents differ from each other, as those of one signer do; medians of process CPU time. What is timed is all that
a worker does for one document: from its octets to the answer. Run with `python -m bench.verification_xml_cms`.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Sequence
from datetime import UTC, datetime

from cryptography.hazmat.primitives.serialization import Encoding

from bench.formats import Row
from services.kernel.values import KeyAlgorithm
from services.signer.formats.cades import CadesBaseline
from services.signer.formats.xades import XmlSignature
from services.verifier.domain import Verdict
from services.verifier.formats.cms_file import CmsFormat
from services.verifier.formats.xml_signature import XmlFormat
from services.verifier.ports import SubmittedDocument, TrustMaterial
from services.verifier.reports import rendering
from services.verifier.service import VerificationService
from tests.support import stamping
from tests.support.document_signers import authority, signed, signer

ROUNDS = 20
DOCUMENTS = 10
SIZE = 10_000
"""Octets of what is signed, at least."""


def declaration(number: int) -> bytes:
    """XML of SIZE octets: a list of some 150 lines, each with two figures."""
    lines: list[str] = []
    size = 0
    while size < SIZE:
        lines.append(f'<dong so="{len(lines)}"><ten>Cơ sở {number}</ten><tien>1.000.000</tien></dong>')
        size += len(lines[-1].encode())
    return f'<?xml version="1.0" encoding="UTF-8"?><toKhai>{"".join(lines)}</toKhai>'.encode()


def xades() -> list[SubmittedDocument]:
    """Declarations, each with an enveloped signature."""
    who, form = signer(KeyAlgorithm.RSA_2048), XmlSignature(qualified=True)
    options = who.parameters(form="XADES", packaging="ENVELOPED")
    return [SubmittedDocument(signed(form, declaration(number), who, options)) for number in range(DOCUMENTS)]


def cades() -> list[SubmittedDocument]:
    """The same declarations, each beside its signature."""
    who, form = signer(KeyAlgorithm.RSA_2048), CadesBaseline()
    contents = [declaration(number) for number in range(DOCUMENTS)]
    options = who.parameters(form="CADES")
    return [SubmittedDocument(signed(form, content, who, options), content) for content in contents]


def cpu_ms(service: VerificationService, documents: Sequence[SubmittedDocument]) -> float:
    """Milliseconds of CPU for one document. Raises ValueError where one does not pass."""
    now = datetime.now(UTC)
    taken: list[float] = []
    for turn in range(ROUNDS + 1):
        for document in documents:
            started = time.process_time()
            report = service.verify(document, now)
            rendering.document(report)
            if turn:
                taken.append(time.process_time() - started)
            if report.verdict is not Verdict.VALID or not report.clean:
                raise ValueError(f"a document that was to be timed is {report.verdict.value}")
    return statistics.median(taken) * 1000


def rows() -> list[Row]:
    """Measure both."""
    anchor = authority()[1].public_bytes(Encoding.DER)
    trust = TrustMaterial((anchor,), (), (stamping.crl(),))
    service = VerificationService((CmsFormat(), XmlFormat()), trust)
    return [
        Row("verify_xades_10k_cpu_ms", cpu_ms(service, xades())),
        Row("verify_cades_10k_cpu_ms", cpu_ms(service, cades())),
    ]


if __name__ == "__main__":
    for row in rows():
        print(f"{row.name:36} {row.value:10.3f} {row.unit:8}")
