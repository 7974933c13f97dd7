"""Reports made by hand, for tests of what is written from them: ordinary, hostile, and as long as they get."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from services.verifier.domain import (
    CertificateSummary,
    ChangeKind,
    Code,
    Coverage,
    CoverageReport,
    DocumentReport,
    Identifier,
    Indication,
    InnerReport,
    Integrity,
    LaterChange,
    Notice,
    SignatureKind,
    SignatureReport,
    SigningTime,
    StatusReport,
    StatusSource,
    SubIndication,
    TimeSource,
    Verdict,
)

AT = datetime(2026, 11, 22, 20, 30, 5, tzinfo=UTC)
"""In Viet Nam it is the next day already."""
FOREVER = datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC)
HOSTILE = "</td><script>alert('x')</script>&amp;\u202egnp.exe\x00\x1b[31m\ud800\u200b\"'><img src=http://a.example/x>%s{0}(\\)"
"""Markup, control characters, half a surrogate pair, and an override of the direction of writing."""


def certificate(name: str = "Nguyễn Văn An", **changes: Any) -> CertificateSummary:
    """A certificate of a person in an organisation."""
    fields: dict[str, Any] = {
        "subject": f"CN={name}",
        "issuer": "CN=Kyso test CA",
        "serial": "7b",
        "sha256": "ab" * 32,
        "not_before": datetime(2026, 1, 1, tzinfo=UTC),
        "not_after": datetime(2027, 1, 1, tzinfo=UTC),
        "common_name": name,
        "issuer_name": "Kyso test CA",
        "organization": "Sở Xây dựng",
        "organizational_unit": "Phòng Một cửa",
        "title": "Trưởng phòng",
        "email": "an@example.vn",
        "identifiers": (
            Identifier("tax", "0106793535", "MST", True),
            Identifier("citizen", "012345678901", "CCCD", True),
        ),
    }
    return CertificateSummary(**(fields | changes))


def signature(**changes: Any) -> SignatureReport:
    """A signature that passed, with a time-stamp."""
    fields: dict[str, Any] = {
        "name": "Signature1",
        "format": "PAdES-B-T",
        "kind": SignatureKind.SIGNATURE,
        "indication": Indication.TOTAL_PASSED,
        "sub_indication": None,
        "integrity": Integrity.INTACT,
        "coverage": CoverageReport(Coverage.WHOLE, 900, 1000, 2, 2),
        "signing_time": SigningTime(AT, AT, TimeSource.SIGNATURE, "Kyso test TSU"),
        "signer": certificate(),
        "path": (certificate(), certificate("Kyso test CA", sha256="cd" * 32)),
        "status": StatusReport(StatusSource.OCSP, AT, AT),
        "digest_algorithm": "SHA-256",
        "signature_algorithm": "ECDSA/SHA-256",
        "notices": (Notice(Code.DOC_INTACT), Notice(Code.TS_OK, "signature time stamp")),
        "signature_value": b"value",
    }
    return SignatureReport(**(fields | changes))


def document(*signatures: SignatureReport, **changes: Any) -> DocumentReport:
    """A report on a document with these signatures, or one that passed."""
    fields: dict[str, Any] = {
        "verdict": Verdict.VALID,
        "clean": True,
        "signatures": signatures or (signature(),),
        "format": "PDF",
        "size": 1_234_567,
        "sha256": "12" * 32,
        "checked_at": AT,
    }
    return DocumentReport(**(fields | changes))


def hostile() -> DocumentReport:
    """Every text that comes from a document is an attack."""
    bad = certificate(
        HOSTILE,
        subject=HOSTILE, issuer=HOSTILE, serial="-7b", issuer_name=HOSTILE, organization=HOSTILE,
        organizational_unit=HOSTILE, title=HOSTILE, email=HOSTILE, not_after=FOREVER,
        identifiers=tuple(Identifier(k, HOSTILE, HOSTILE, ok) for k in ("tax", "other") for ok in (True, False)),
    )  # fmt: skip
    one = signature(
        name=HOSTILE, format=HOSTILE, signer=bad, path=(bad, bad), detail=HOSTILE, digest_algorithm=HOSTILE,
        signature_algorithm=HOSTILE, notices=(Notice(Code.DOC_EXTENDED, HOSTILE),),
        signing_time=SigningTime(FOREVER, AT, TimeSource.DOCUMENT, HOSTILE),
        status=StatusReport(StatusSource.CRL, AT, None, AT, HOSTILE),
        coverage=CoverageReport(
            Coverage.REVISION, 1, 2, 1, 2, (LaterChange(2, ChangeKind.OTHER, False, HOSTILE),)
        ),
    )  # fmt: skip
    stamp = replace(one, kind=SignatureKind.DOCUMENT_TIMESTAMP, sub_indication=SubIndication.TRY_LATER)
    stamp = replace(stamp, indication=Indication.INDETERMINATE)
    whole = document(one, stamp, clean=False, format=HOSTILE, notices=(Notice(Code.NOT_ALL_SIGNED, HOSTILE),))
    return replace(whole, inner=(InnerReport(HOSTILE, whole),))


def many(count: int) -> DocumentReport:
    """A document with so many signatures, each by somebody else and changed after by the next."""
    later = tuple(LaterChange(n, ChangeKind.SIGNATURE, True, "a signature field") for n in range(3, 40))
    return document(
        *(
            signature(
                name=f"Signature{number}",
                signer=certificate(f"Người ký số {number}", sha256=f"{number:064x}"),
                coverage=CoverageReport(Coverage.REVISION, 900, 100_000, 2, 40, later),
                signature_value=number.to_bytes(4, "big"),
            )
            for number in range(1, count + 1)
        )
    )
