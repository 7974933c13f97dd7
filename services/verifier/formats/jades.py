"""JSON signatures: plain JWS (RFC 7515, RFC 7797) and JAdES (ETSI TS 119 182-1), compact, flattened and general.

Each signature covers the text of its protected header and the payload, or the contents that its header names. Other
members beside these are ignored (RFC 7515 7.2), and named. What could be taken for a part of the signature, and what
stands in the unprotected header and means nothing there, keeps the document from being clean.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any

from services.verifier import algorithms
from services.verifier.algorithms import AlgorithmError
from services.verifier.domain import (
    ChangeKind,
    Code,
    Coverage,
    CoverageReport,
    Indication,
    LaterChange,
    Notice,
    SubIndication,
)
from services.verifier.formats import beside, jades_content, jades_header, jades_stamps, jades_unsigned, jws
from services.verifier.formats.cms import AlgorithmIdentifier, CertificateReference, SignerInfo
from services.verifier.formats.jades_content import Contents, Payload, Source
from services.verifier.formats.jades_header import Header
from services.verifier.formats.jades_stamps import Stamped
from services.verifier.formats.jades_unsigned import Unsigned, Values
from services.verifier.formats.jws import Jws, JwsSignature
from services.verifier.formats.jws_algorithms import OIDS, Method, NoSigner, UnknownAlgorithm
from services.verifier.formats.jws_text import TextError, TextLimit, from_base64url
from services.verifier.ports import Content, Fault, Findings, FoundSignature, Proof, SubmittedDocument
from services.verifier.x509 import certificates
from services.verifier.x509.certificates import Certificate, CertificateError

MAX_COUNTER_SIGNATURES = 100
"""Of one document."""
MAX_COUNTER_DEPTH = 4


class JadesFormat:
    """Finds the signatures of a JSON file or a compact JWS, and the counter-signatures in their unsigned headers."""

    name = "JSON"

    def recognises(self, data: bytes) -> bool:
        """A JSON object, signed or not, or a compact JWS."""
        return jws.looks_like(data)

    def find(self, document: SubmittedDocument) -> Findings:
        """One finding for each signature; content handed in beside it is what detached ones are over."""
        try:
            file = jws.parse(document.data)
            if file is None:
                return Findings(self.name)
            source = Source(file.payload, Contents.of(document))
            read = list(_all(file, source))
        except TextLimit as error:
            return Findings(self.name, obstacle=Notice(Code.LIMIT_REACHED, str(error)))
        except TextError as error:
            return Findings(self.name, obstacle=Notice(Code.DOC_MALFORMED, str(error)))
        spare = source.contents.spare
        detached = [one for one in read if one.payload.enveloped is None and not one.counter]
        if spare and any(one.payload.fault is None for one in detached):
            read = [_with_spare(one, spare) if one in detached else one for one in read]
        return Findings(self.name, [_found(one) for one in read], contents=_carried(read))


@dataclass(frozen=True, slots=True, eq=False)
class _Read:
    """One signature as far as it could be made out.

    `strange` and `ignored` are members that no signature protects: those that could mislead, and the others.
    """

    name: str
    signature: JwsSignature | None = None
    header: Header | None = None
    payload: Payload = field(default_factory=Payload)
    method: Method | None = None
    unsigned: Unsigned = field(default_factory=Unsigned)
    strange: tuple[str, ...] = ()
    ignored: tuple[str, ...] = ()
    fault: Fault | None = None
    counter: bool = False


def _all(file: Jws, source: Source) -> Iterator[_Read]:
    """Every signature, each followed by its counter-signatures. Raises TextLimit."""
    left = [MAX_COUNTER_SIGNATURES]
    entries = enumerate(file.signatures)
    found = [_read(f"signature-{index + 1}", entry, file, source) for index, entry in entries]
    ways = {one.header.encoded for one in found if one.header is not None}
    for one in found:
        if one.fault is None and len(ways) > 1:
            # RFC 7797 6: else the one payload would be two contents.
            yield replace(
                one, fault=_failed("the signatures do not agree on how the payload is encoded (b64)")
            )
        else:
            yield one
        yield from _counters(one, left, 1)


def _read(name: str, entry: JwsSignature | TextError, file: Jws, source: Source) -> _Read:
    """Each signature in its own guard: one that cannot be read must not hide the others. Raises TextLimit."""
    if isinstance(entry, TextError):
        return _Read(name, fault=_failed(str(entry)))
    try:
        header = jades_header.read(entry)
        value = from_base64url(entry.signature, "the signature value")
        payload = jades_content.of(header, source)
    except TextLimit:
        raise
    except (NoSigner, TextError) as error:
        return _Read(name, entry, fault=_failed(str(error)))
    except UnknownAlgorithm as error:
        return _Read(name, entry, fault=Fault(Indication.INDETERMINATE, SubIndication.GENERIC, str(error)))
    more = (*file.strange, *entry.strange)
    return _Read(
        name=name,
        signature=entry,
        header=header,
        payload=payload,
        method=Method(header.scheme, (entry.protected.encode(), b".", *payload.parts), value),
        unsigned=jades_unsigned.read(entry.header),
        strange=(*filter(jades_header.is_meant, more), *header.strange),
        ignored=tuple(one for one in more if not jades_header.is_meant(one)),
        fault=payload.fault,
    )


def _counters(above: _Read, left: list[int], depth: int) -> Iterator[_Read]:
    """Counter-signatures (TS 119 182-1 5.3.2): each a JWS over the value of the signature that it stands in."""
    found = [one.value for one in above.unsigned.components if one.name == "cSig"]
    if found and depth > MAX_COUNTER_DEPTH:
        raise TextLimit(f"counter-signatures stand more than {MAX_COUNTER_DEPTH} deep in each other")
    for index, value in enumerate(found):
        left[0] -= 1
        if left[0] < 0:
            raise TextLimit(f"more than {MAX_COUNTER_SIGNATURES} counter-signatures")
        one = _counter(f"{above.name}/counter-{index + 1}", value, above)
        yield one
        yield from _counters(one, left, depth + 1)


def _counter(name: str, value: Any, above: _Read) -> _Read:
    try:
        file = jws.parse(value.encode("utf-8")) if isinstance(value, str) else jws.of_members(value)
        if file is None or len(file.signatures) != 1:
            raise TextError("a counter-signature is not one JWS")
    except TextLimit:
        raise
    except TextError as error:
        return _Read(name, fault=_failed(str(error)), counter=True)
    signed = above.method.value if above.method is not None else b""
    one = _read(name, file.signatures[0], file, Source(file.payload, Contents({"": signed})))
    if one.fault is None and one.header is not None and one.header.signed_data is not None:
        one = replace(
            one, fault=_failed("a counter-signature is over other contents than the signature's value")
        )
    return replace(one, counter=True)


def _failed(detail: str) -> Fault:
    notice = Notice(Code.DOC_MALFORMED, detail)
    return Fault(Indication.TOTAL_FAILED, SubIndication.FORMAT_FAILURE, detail, (notice,))


def _with_spare(one: _Read, spare: list[str]) -> _Read:
    """Content that was handed in and that no signature names must not look signed."""
    if one.fault is not None:
        return one
    missing = SubIndication.SIGNED_DATA_NOT_FOUND
    return replace(one, fault=Fault(Indication.INDETERMINATE, missing, beside.unsigned(spare)))


def _carried(read: list[_Read]) -> tuple[Content, ...]:
    """The payload, where it is in the file."""
    over = [one for one in read if one.payload.enveloped is not None and not one.counter]
    names = tuple(one.name for one in over)
    return tuple(Content("", one.payload.enveloped or b"", names) for one in over[:1])


def _found(one: _Read) -> FoundSignature:
    if one.signature is None or one.header is None or one.method is None:
        return FoundSignature(one.name, "JWS", CoverageReport(Coverage.UNKNOWN), fault=one.fault)
    values = one.unsigned.values
    signer, chosen = _signer(one.header, one.method, values)
    coverage, notices = _coverage(one)
    stamped = Stamped(one.signature, one.header, one.payload, one.unsigned)
    stamps, unjudged = jades_stamps.of_signature(stamped)
    return FoundSignature(
        name=one.name,
        format=one.header.form,
        coverage=coverage,
        signer=signer,
        digest=None,
        certificates=tuple(dict.fromkeys((*chosen, *_spare(one.header), *values.certificates))),
        crls=values.crls,
        ocsps=values.ocsps,
        time_stamps=stamps,
        unjudged_time_stamps=unjudged,
        claimed_time=one.header.claimed_time,
        notices=notices,
        fault=one.fault,
        proof=Proof(one.method.scheme, one.method.holds, (), one.header.key, one.payload.digests),
    )


def _spare(header: Header) -> tuple[bytes, ...]:
    return (*header.certificates, *header.unprotected_certificates)


def _coverage(one: _Read) -> tuple[CoverageReport, tuple[Notice, ...]]:
    size = one.payload.size
    if one.fault is not None:
        return CoverageReport(Coverage.UNKNOWN), one.payload.notices
    notices = one.payload.notices
    if one.ignored:
        notices = (Notice(Code.PARTLY_SIGNED, _uncovered(one.ignored)), *notices)
    if not one.strange:
        whole = Notice(Code.DOC_INTACT, one.payload.described)
        report = CoverageReport(Coverage.PARTIAL if one.ignored else Coverage.WHOLE, size, size)
        return report, notices if one.ignored else (whole, *notices)
    touches = _uncovered(one.strange)
    later = LaterChange(0, ChangeKind.OTHER, allowed=False, touches=touches)
    report = CoverageReport(Coverage.PARTIAL, size, size, later=(later,))
    return report, (Notice(Code.DOC_EXTENDED, touches), *notices)


def _uncovered(names: tuple[str, ...]) -> str:
    named = ", ".join(repr(name[:40]) for name in names[:5])
    return f"members that no signature covers: {named}"


def _signer(header: Header, method: Method, values: Values) -> tuple[SignerInfo, tuple[bytes, ...]]:
    """The certificate that the protected header names by digest; without any, the first of x5c (RFC 7515 4.1.6)."""
    certificate, reference = _by_reference(header, method, values)
    if certificate is None:
        certificate = certificates.readable(_spare(header)[0]) if _spare(header) else None
        reference = header.references or header.listed[:1]
    info = SignerInfo(
        issuer=certificate.parsed.issuer.public_bytes() if certificate is not None else b"",
        serial=certificate.parsed.serial_number if certificate is not None else None,
        subject_key_id=None,
        digest=AlgorithmIdentifier(OIDS.get(method.scheme.digest, ""), None),
        signature_algorithm=AlgorithmIdentifier("", None),
        signature=method.value,
        signed_octets=b"",
        content_type=None,
        message_digest=None,
        signing_time=header.claimed_time,
        references=reference,
        has_reference_attribute=bool(reference),
        has_timestamp=False,
    )
    return info, (certificate.der,) if certificate is not None else ()


def _by_reference(
    header: Header, method: Method, values: Values
) -> tuple[Certificate | None, tuple[CertificateReference, ...]]:
    """A certificate that all references fit, before others one whose key made the value."""
    if not header.references and not header.listed:
        return None, ()
    matched = []
    for der in dict.fromkeys((*_spare(header), *values.certificates)):
        listed = next((one for one in header.listed if algorithms.fits(one, der)), None)
        if (listed is None and header.listed) or not all(
            algorithms.fits(one, der) for one in header.references
        ):
            continue
        certificate = certificates.readable(der)
        if certificate is not None:
            matched.append((certificate, (*header.references, *([listed] if listed else []))))
    # Hashing all that is signed takes its time: where there is no choice, it is left to the procedure.
    by = (pair for pair in matched if len(matched) == 1 or _is_by(method, pair[0]))
    return next(by, matched[0] if matched else (None, ()))


def _is_by(method: Method, certificate: Certificate) -> bool:
    try:
        return method.holds(certificate.public_key())
    except (AlgorithmError, CertificateError):
        return False
