"""Counter-signatures in a CMS message (RFC 5652 11.4): each signs the value of the signature in whose attributes it stands."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator

from services.verifier import algorithms
from services.verifier.domain import (
    Code,
    Coverage,
    CoverageReport,
    Indication,
    Notice,
    SubIndication,
    TimeSource,
)
from services.verifier.formats import cms, cms_stamps, cms_values
from services.verifier.formats.ber import BerError
from services.verifier.formats.cms import SignedData, SignerInfo
from services.verifier.ports import Fault, FoundSignature

COUNTER_SIGNATURE = "1.2.840.113549.1.9.6"
MAX_DEPTH = 5
"""Counter-signatures of counter-signatures."""
MAX_COUNTER_SIGNATURES = 200
"""Of one message; more are not looked at, and their signature says so."""


def of_message(message: SignedData, signatures: list[FoundSignature]) -> list[FoundSignature]:
    """Every counter-signature of these signatures, each after the one that it is over."""
    left = [MAX_COUNTER_SIGNATURES]
    return [one for found in signatures for one in (found, *_under(message, found, left, MAX_DEPTH))]


def _under(
    message: SignedData, above: FoundSignature, left: list[int], depth: int
) -> Iterator[FoundSignature]:
    signer = above.signer
    values = [v for v in signer.unsigned if v.oid == COUNTER_SIGNATURE] if signer is not None else []
    for number, value in enumerate(values, 1):
        name = f"{above.name}.counter-{number}"
        left[0] -= 1
        if left[0] < 0 or depth == 0:
            detail = "counter-signatures beyond the limit are not judged"
            limit = Notice(Code.LIMIT_REACHED, detail)
            fault = Fault(Indication.INDETERMINATE, SubIndication.GENERIC, detail, (limit,))
            yield FoundSignature(name, "CMS", CoverageReport(Coverage.UNKNOWN), fault=fault)
            return
        found = _found(message, above, value.value, name)
        yield found
        yield from _under(message, found, left, depth - 1)


def _found(message: SignedData, above: FoundSignature, encoded: bytes, name: str) -> FoundSignature:
    try:
        signer = cms.signer_info(encoded)
    except BerError as error:
        return FoundSignature(name, "CMS", CoverageReport(Coverage.UNKNOWN), fault=malformed(str(error)))
    signed = above.signer.signature if above.signer is not None else b""
    fault = None
    if not signer.signed_octets and cms.reads_as_attributes(signed):
        fault = malformed(
            "the value that is signed is itself a set of signed attributes, lifted from another message"
        )
    values = cms_values.held(message, signer)
    fingerprint = hashlib.sha256(encoded).digest()
    protecting = [s for s in above.time_stamps if s.kind is TimeSource.ARCHIVE and fingerprint in s.covers]

    def digest(label: str) -> bytes:
        return algorithms.digest(label, signed)

    return FoundSignature(
        name=name,
        format=level(signer),
        coverage=CoverageReport(Coverage.PARTIAL),
        signer=signer,
        digest=digest,
        certificates=tuple(dict.fromkeys((*values.certificates, *above.certificates))),
        crls=tuple(dict.fromkeys((*values.crls, *above.crls))),
        ocsps=tuple(dict.fromkeys((*values.ocsps, *above.ocsps))),
        time_stamps=(*cms_stamps.of_signer(message, signer, digest, signed), *protecting),
        unjudged_time_stamps=cms_stamps.has_unjudged(message, signer, signed),
        claimed_time=signer.signing_time,
        notices=(Notice(Code.DOC_INTACT, f"the value of {above.name}'s signature"),),
        fault=fault,
    )


def level(signer: SignerInfo) -> str:
    """EN 319 122-1 6.3: the baseline level B-B needs the certificate's reference and the signing time, both signed."""
    if not signer.has_reference_attribute:
        return "CMS"
    return "CAdES-B-B" if signer.signing_time is not None else "CAdES"


def malformed(detail: str) -> Fault:
    """A signature that is not written as it ought to be."""
    notices = (Notice(Code.DOC_MALFORMED, detail),)
    return Fault(Indication.TOTAL_FAILED, SubIndication.FORMAT_FAILURE, detail, notices)
