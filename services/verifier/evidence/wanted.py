"""Which certificates of a document could not be judged for want of a status or an issuer, so that both can be fetched."""

from __future__ import annotations

from collections.abc import Iterator

from services.verifier.domain import Code, SignatureReport, SubIndication
from services.verifier.service import Examination

MAX_WANTED = 64
"""Of one document: the first signatures come first."""
_WANTING = frozenset({SubIndication.TRY_LATER, SubIndication.NO_CERTIFICATE_CHAIN_FOUND})
_OVER = frozenset(
    {
        SubIndication.OUT_OF_BOUNDS_NO_POE,
        SubIndication.CRYPTO_CONSTRAINTS_FAILURE_NO_POE,
        SubIndication.NO_CERTIFICATE_CHAIN_FOUND_NO_POE,
    }
)
"""What does not hold any more, and may have held when it was signed."""


def of(examination: Examination) -> tuple[bytes, ...]:
    """Certificates, DER, of signatures and time-stamps that another CRL, OCSP response or issuer may decide."""
    found = dict.fromkeys((*_of_signatures(examination), *_of_stamps(examination)))
    return tuple(found)[:MAX_WANTED]


def _of_signatures(examination: Examination) -> Iterator[bytes]:
    for report in examination.report.signatures:
        if _is_wanting(report):
            signer = (report.signer,) if report.signer is not None else ()
            yield from (summary.der for summary in (report.path or signer))


def _is_wanting(report: SignatureReport) -> bool:
    if report.sub_indication in _OVER:
        # A time-stamp proves when it was made: what is missing is the status of then.
        return any(notice.code is Code.TS_OK for notice in report.notices)
    return report.sub_indication in _WANTING


def _of_stamps(examination: Examination) -> Iterator[bytes]:
    for judged in examination.stamps.values():
        if judged.path is not None and judged.path.failure in _WANTING:
            yield from (certificate.der for certificate in judged.path.path)
