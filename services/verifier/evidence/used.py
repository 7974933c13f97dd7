"""The evidence that a verdict went by: certificates, CRLs, OCSP responses and time-stamp tokens, to be kept with it.

A CRL or OCSP response belongs to it where it speaks of a certificate on a path that was judged. Each value comes once.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import pairwise

from services.verifier.inquiry import AnswerFile, FileKind
from services.verifier.ports import FoundTimeStamp, TrustMaterial
from services.verifier.procedure import building_blocks
from services.verifier.service import Examination
from services.verifier.x509 import ocsp, revocation
from services.verifier.x509.certificates import Certificate

_MEDIA_TYPES = {
    FileKind.CERTIFICATE: "application/pkix-cert",
    FileKind.CRL: "application/pkix-crl",
    FileKind.OCSP_RESPONSE: "application/ocsp-response",
    FileKind.TIME_STAMP: "application/timestamp-token",
}


def used(examination: Examination, trust: TrustMaterial, limit: int) -> tuple[list[AnswerFile], int]:
    """The evidence in at most `limit` bytes, and how many values had no room in them."""
    files: dict[tuple[FileKind, bytes], None] = {}
    paths = list(_paths(examination))
    found = examination.findings.signatures
    for certificate in (*(c for path in paths for c in path), *_signers(examination)):
        files[FileKind.CERTIFICATE, certificate.der] = None
    links = dict.fromkeys(pair for path in paths for pair in pairwise(path))
    for der in dict.fromkeys((*(crl for one in found for crl in one.crls), *trust.crls)):
        if _crl_speaks(der, links):
            files[FileKind.CRL, der] = None
    for der in dict.fromkeys((*(value for one in found for value in one.ocsps), *trust.ocsps)):
        if any(ocsp.answer_for(der, *link) is not None for link in links):
            files[FileKind.OCSP_RESPONSE, der] = None
    for stamp in _stamps(examination):
        files[FileKind.TIME_STAMP, stamp.token] = None
    return _within(files, limit)


def _within(files: Iterable[tuple[FileKind, bytes]], limit: int) -> tuple[list[AnswerFile], int]:
    taken: list[AnswerFile] = []
    left_out = 0
    for kind, data in files:
        if len(data) > limit:
            left_out += 1
            continue
        limit -= len(data)
        taken.append(AnswerFile(kind, data, _MEDIA_TYPES[kind]))
    return taken, left_out


def _paths(examination: Examination) -> Iterator[tuple[Certificate, ...]]:
    for report in examination.report.signatures:
        yield tuple(building_blocks.loadable(summary.der for summary in report.path))
    for judged in examination.stamps.values():
        if judged.path is not None:
            yield judged.path.path


def _signers(examination: Examination) -> list[Certificate]:
    named = (report.signer.der for report in examination.report.signatures if report.signer is not None)
    return building_blocks.loadable(named)


def _stamps(examination: Examination) -> Iterator[FoundTimeStamp]:
    """The tokens that are over what they have to be over; others prove nothing of anything."""
    return (judged.found for judged in examination.stamps.values() if judged.sound)


def _crl_speaks(der: bytes, links: Iterable[tuple[Certificate, Certificate]]) -> bool:
    try:
        crl = revocation.load(der)
        return any(revocation.speaks_of(crl, *link) for link in links)
    except revocation.UNREADABLE:
        # Nothing was judged by a list that cannot be read.
        return False
