"""Which baseline level a signature has reached (EN 319 122-1, 132-1, 142-1, clause 6.3): what is there, not whom to trust."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

from services.verifier.domain import TimeSource
from services.verifier.ports import FoundSignature
from services.verifier.procedure import building_blocks, past
from services.verifier.procedure.past import Material
from services.verifier.procedure.timestamps import APART, JudgedTimeStamp
from services.verifier.x509.certificates import Certificate
from services.verifier.x509.issuance import signed_by

_BASE = "-B-B"
_PROTECTING = frozenset({TimeSource.ARCHIVE, TimeSource.DOCUMENT})


def name(
    found: FoundSignature,
    stamps: Sequence[JudgedTimeStamp],
    certificate: Certificate | None,
    known: Sequence[Certificate],
) -> str:
    """The format with its level, such as "PAdES-B-LTA"; the format as it was found where it has no baseline level.

    B-T: a sound time-stamp over the signature. B-LT: revocation values of the signer's certificate and of the time-stamp's
    travel along, unless a certificate is self-signed. B-LTA: a further sound time-stamp covers such a value.
    """
    if not found.format.endswith(_BASE):
        return found.format
    sound = [s for s in stamps if s.sound and s.certificate is not None and s.found.kind not in APART]
    if not sound:
        return found.format
    stem = found.format.removesuffix("-B")
    material = Material((), found.crls, found.ocsps)
    if certificate is None or not (found.crls or found.ocsps):
        return f"{stem}-T"
    issuers = [*building_blocks.loadable(found.certificates), *known]
    first = next((s for s in sound if s.found.kind is TimeSource.SIGNATURE), sound[0])
    ended = [certificate, *([first.certificate] if first.certificate is not None else [])]
    if not all(_has_value(each, issuers, material) for each in ended):
        return f"{stem}-T"
    values = {hashlib.sha256(value).digest() for value in (*found.crls, *found.ocsps)}
    covered = any(s.found.kind in _PROTECTING and s.found.covers & values for s in sound)
    return f"{stem}-LTA" if covered else f"{stem}-LT"


def _has_value(certificate: Certificate, issuers: Sequence[Certificate], material: Material) -> bool:
    if certificate.self_issued:
        return True
    return any(
        past.has_status(certificate, issuer, material)
        for issuer in dict.fromkeys(issuers)
        if issuer.subject_key == certificate.issuer_key and signed_by(certificate, issuer)
    )
