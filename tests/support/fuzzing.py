"""Stacked mutations of signed documents and evidence, and what may come of judging them: a typed report, in time.

A mutant is made from seeds by one to twelve steps: the mutations of `tests.support.mutations`, tokens of the formats put
in, numbers made huge, stretches of another seed spliced in, and long nesting. Judging it fails where anything is raised,
where a guard inside had to catch what no reader foresaw, or where it takes longer than the limit.
"""

from __future__ import annotations

import random
import re
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from services.verifier.domain import DocumentReport
from services.verifier.ports import SubmittedDocument, TrustMaterial
from services.verifier.reports import rendering
from services.verifier.service import VerificationService
from services.verifier.workers.worker import FORMATS
from tests.support import mutations, own_documents, stamping
from tests.support.own_documents import Variant

NOW = datetime.now(UTC).replace(microsecond=0)
SECONDS = 10.0
"""Longest that a document may take."""
MAX_SEED_BYTES = 2 << 20
MAX_BYTES = 4 << 20
UNFORESEEN = "the check failed inside"
TOKENS: tuple[bytes, ...] = (
    b"<<", b">>", b"[", b"]", b" 0 R", b"/Prev 0", b"/Size 99999999", b"/Kids[1 0 R]", b"/Parent 1 0 R", b"/W[1 9 9]",
    b"/Index[0 99999999]", b"/Filter[/FlateDecode/FlateDecode]", b"/ByteRange[0 1 2 3]", b"/Type/ObjStm/N 9999/First 0",
    b"startxref\n0\n%%EOF", b"xref\n0 99999999\n", b"endobj", b"stream\n", b"endstream", b"trailer",
    b"<!DOCTYPE a [<!ENTITY b 'c'>]>", b"&b;", b"<![CDATA[", b"]]>", b"<?xml-stylesheet?>", b'URI="#"', b'Id="a"',
    b'Algorithm="http://www.w3.org/TR/1999/REC-xslt-19991116"', b'xmlns:a="b"', b"PK\x03\x04", b"PK\x01\x02",
    b"PK\x05\x06", b"PK\x06\x06", b"META-INF/", b"../../", b"\x30\x80", b"\x30\x84\xff\xff\xff\xff", b"\xa0\x80",
    b"\x24\x80", b"\x00\x00", b"\x02\x01\x00", b"\x06\x00", b"\x03\x01\x09", b"\x17\x0d", b'{"', b'":', b"[[", b"null",
    b"1e999", b"\\ud800", b'"crit":["x"]', b"..", b"Content-Type: multipart/signed", b"boundary=", b"\r\n--", b"\r\n\r\n",
)  # fmt: skip


@dataclass(frozen=True)
class Failure:
    """What went wrong with which input."""

    what: str
    document: SubmittedDocument


@dataclass(frozen=True)
class Seed:
    """A document to begin with; `variant` where one of our own."""

    document: SubmittedDocument
    variant: Variant | None = None


def own_seeds(variants: Iterable[Variant] | None = None) -> list[Seed]:
    """Every document of the signer's making."""
    made = own_documents.variants() if variants is None else variants
    return [Seed(own_documents.make(variant, NOW), variant) for variant in made]


def seeds_in(folder: Path) -> list[Seed]:
    """Every file of a folder that is not too large."""
    files = sorted(file for file in folder.rglob("*") if file.is_file())
    return [Seed(SubmittedDocument(f.read_bytes())) for f in files if f.stat().st_size <= MAX_SEED_BYTES]


def stacked(seeds: Sequence[Seed], chance: random.Random) -> SubmittedDocument:
    """Make a mutant by several steps."""
    seed = chance.choice(seeds)
    document = seed.document
    for _ in range(chance.choice((1, 1, 2, 3, 5, 12))):
        try:
            document = _step(seed, document, seeds, chance)
        except Exception:  # noqa: BLE001, S112 - a structural step that the damage of earlier ones does not allow
            continue
        if not document.data or len(document.data) > MAX_BYTES:
            return seed.document
    return document


def _step(
    seed: Seed, document: SubmittedDocument, seeds: Sequence[Seed], chance: random.Random
) -> SubmittedDocument:
    if seed.variant is not None and chance.random() < 0.4:
        return mutations.mutant(seed.variant, document, chance)
    data = document.data
    at = chance.randrange(len(data) + 1)
    match chance.randrange(6):
        case 0:
            made = data[:at] + chance.choice(TOKENS) + data[at:]
        case 1:
            made = data[:at] + chance.choice(TOKENS) + data[at + chance.randrange(1, 30) :]
        case 2:
            made = _huge_number(data, chance)
        case 3:
            other = chance.choice(seeds).document.data
            start = chance.randrange(len(other))
            made = data[:at] + other[start : start + chance.choice((16, 256, 4096))] + data[at:]
        case 4:
            made = data[:at] + chance.choice(TOKENS) * chance.choice((10, 1000, 20_000)) + data[at:]
        case _:
            made = chance.choice(mutations.PLAIN)(data, chance)
    return SubmittedDocument(made, document.detached, document.named)


def _huge_number(data: bytes, chance: random.Random) -> bytes:
    found = list(re.finditer(rb"\d+", data))
    chosen = chance.choice(found)
    value = chance.choice((b"0", b"-1", b"2147483648", b"9" * 30, b"9" * 5000))
    return data[: chosen.start()] + value + data[chosen.end() :]


class Judge:
    """Judges mutants, with trust and without."""

    def __init__(self) -> None:
        """Load everything once."""
        self._trusting = VerificationService(FORMATS, own_documents.trust(NOW))
        self._integrity = VerificationService(FORMATS, TrustMaterial(), integrity_only=True)

    def failure(self, document: SubmittedDocument, chance: random.Random) -> Failure | None:
        """Judge one; None where it ended as it must."""
        service = self._integrity if chance.random() < 0.1 else self._trusting
        return self._judged(lambda: service, document)

    def evidence_failure(self, seed: Seed, chance: random.Random) -> Failure | None:
        """Judge a good document by mutated anchors, certificates and revocation lists."""
        trust = own_documents.trust(NOW)
        certificate, crl = trust.anchors[0], stamping.crl(NOW)
        for _ in range(chance.choice((1, 2, 5))):
            mutate = chance.choice(mutations.PLAIN)
            certificate, crl = mutate(certificate, chance), mutate(crl, chance)
        damaged = chance.choice(
            (
                TrustMaterial((certificate,), (), (crl,)),
                TrustMaterial(trust.anchors, (certificate,), (crl,)),
                TrustMaterial(trust.anchors, (certificate,), (crl, *trust.crls)),
            )
        )
        return self._judged(lambda: VerificationService(FORMATS, damaged), seed.document)

    def _judged(
        self, service: Callable[[], VerificationService], document: SubmittedDocument
    ) -> Failure | None:
        started = time.monotonic()
        try:
            report = service().verify(document, NOW)
            rendering.document(report)
        except Exception as error:  # noqa: BLE001 - this is what is looked for
            return Failure(f"raised {error!r}", document)
        took = time.monotonic() - started
        if took > SECONDS:
            return Failure(f"took {took:.1f} s", document)
        unforeseen = _unforeseen(report)
        return Failure(unforeseen, document) if unforeseen else None


def _unforeseen(report: DocumentReport) -> str:
    said = [*(s.detail for s in report.signatures), *(n.detail for n in report.notices)]
    return next((detail for detail in said if detail.startswith(UNFORESEEN)), "")
