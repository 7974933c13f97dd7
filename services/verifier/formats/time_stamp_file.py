"""A time-stamp in a file of its own, beside what it is over: a token, or an authority's response around it (RFC 3161)."""

from __future__ import annotations

from collections.abc import Callable

from services.verifier import algorithms
from services.verifier.algorithms import AlgorithmError
from services.verifier.domain import (
    Code,
    Coverage,
    CoverageReport,
    Indication,
    Notice,
    SignatureKind,
    SubIndication,
    TimeSource,
)
from services.verifier.formats import ber, beside, by_digest, cms
from services.verifier.formats.ber import BerError, Node
from services.verifier.formats.cms import SignedData, SignerInfo, TimestampInfo
from services.verifier.ports import (
    DigestMissing,
    Fault,
    Findings,
    FoundSignature,
    FoundTimeStamp,
    SubmittedDocument,
)

_TOKEN_MARK = bytes.fromhex("060b2a864886f70d0109100104")
"""The identifier of TSTInfo, which says what a token's signed data is."""
_MARK_WITHIN = 512
"""Octets: before it there are but the version and the digest algorithms."""
_GRANTED = (0, 1)
"""PKIStatus granted and grantedWithMods (RFC 3161 2.4.2)."""
_MAX_REFUSAL = 4096


class TimeStampFileFormat:
    """Finds the one time-stamp of such a file. It comes before CMS, for a token is a CMS message of its own kind."""

    name = "RFC 3161"

    def recognises(self, data: bytes) -> bool:
        """Signed data over a TSTInfo in BER, or a response with or without one."""
        if data[:1] != b"\x30":
            return False
        return _TOKEN_MARK in data[:_MARK_WITHIN] or _is_refusal(data)

    def find(self, document: SubmittedDocument) -> Findings:
        """One finding; none where the authority refused. What it is over comes in beside it."""
        try:
            token, rest = _token(document.data)
        except BerError as error:
            return Findings(self.name, obstacle=Notice(Code.DOC_MALFORMED, str(error)))
        if token is None:
            return Findings(self.name)
        found = _found(token, document)
        if rest:
            found = _failing(found, f"{rest} octets follow the time-stamp")
        return Findings(self.name, (found,), stamps_speak=True)


def _is_refusal(data: bytes) -> bool:
    """A whole response without a token: nothing but a status, which is no success."""
    if len(data) > _MAX_REFUSAL:
        return False
    try:
        outer, rest = ber.load(data)
        members = outer.children()
        return not rest and len(members) == 1 and _status(members[0]) not in _GRANTED
    except BerError:
        return False


def _status(node: Node) -> int:
    members = node.expect(ber.SEQUENCE, "PKIStatusInfo").children()
    if not members:
        raise BerError("PKIStatusInfo has no status")
    return ber.integer(members[0].expect(ber.INTEGER, "status"))


def _token(data: bytes) -> tuple[bytes | None, int]:
    """The token, None where there is none, and how many octets follow. Raises BerError."""
    outer, rest = ber.load(data)
    members = outer.expect(ber.SEQUENCE, "time-stamp").children()
    if not members or members[0].tag == ber.OID:
        return outer.encoded, len(rest)
    status = _status(members[0])
    if len(members) > 2:
        raise BerError("a time-stamp response has a status and a token, and no more")
    if (len(members) == 2) != (status in _GRANTED):
        raise BerError("the status of the time-stamp response contradicts what is in it")
    return (members[1].encoded if len(members) == 2 else None), len(rest)


def _found(token: bytes, document: SubmittedDocument) -> FoundSignature:
    unknown = CoverageReport(Coverage.UNKNOWN)
    bare = FoundSignature("time-stamp", "RFC 3161", unknown, SignatureKind.DOCUMENT_TIMESTAMP)
    try:
        message, _ = cms.parse(token)
        signer, info, content = _read(message)
    except BerError as error:
        return _failing(bare, str(error))
    over = document.detached
    imprint = by_digest.of_one(document.digests) if over is None else _digest_of(over)
    size = len(over or b"")
    own = over is None or by_digest.are_of(document.digests, over)
    return FoundSignature(
        name=bare.name,
        format=bare.format,
        coverage=unknown if imprint is None else CoverageReport(Coverage.WHOLE, size, size),
        kind=bare.kind,
        signer=signer,
        content_type=message.content_type,
        digest=_digest_of(content),
        certificates=message.certificates,
        crls=message.crls,
        ocsps=message.ocsps,
        own_stamp=FoundTimeStamp(TimeSource.DOCUMENT, token, imprint),
        claimed_time=info.time,
        notices=(Notice(Code.DOC_INTACT),),
        fault=_fault(imprint, info, len(beside.handed_in(document)) + (not own)),
    )


def _read(message: SignedData) -> tuple[SignerInfo, TimestampInfo, bytes]:
    """RFC 3161 2.4.2: signed data over a TSTInfo, with one signer. Raises BerError."""
    if message.content_type != cms.TST_INFO or message.content is None:
        raise BerError("the signed data holds no TSTInfo")
    if len(message.signers) != 1:
        raise BerError(f"a time-stamp token has one signer, this one has {len(message.signers)}")
    signer = message.signers[0]
    if isinstance(signer, BerError):
        raise signer
    return signer, cms.timestamp_info(message.content), message.content


def _fault(imprint: Callable[[str], bytes] | None, info: TimestampInfo, contents: int) -> Fault | None:
    if imprint is None:
        detail = "hand in as well what the time-stamp is over"
        return Fault(Indication.INDETERMINATE, SubIndication.SIGNED_DATA_NOT_FOUND, detail)
    try:
        actual = imprint(algorithms.digest_label(info.digest_oid))
    except AlgorithmError as error:
        return Fault(Indication.INDETERMINATE, SubIndication.GENERIC, str(error))
    except DigestMissing as error:
        return Fault(Indication.INDETERMINATE, SubIndication.SIGNED_DATA_NOT_FOUND, str(error))
    if actual != info.digest:
        detail = "the digest in the time-stamp is not that of the content"
        changed = Notice(Code.DOC_MODIFIED, detail)
        return Fault(Indication.TOTAL_FAILED, SubIndication.HASH_FAILURE, detail, (changed,))
    if contents > 1:
        detail = "a time-stamp is over one content, and several were handed in"
        return Fault(Indication.INDETERMINATE, SubIndication.SIGNED_DATA_NOT_FOUND, detail)
    return None


def _digest_of(content: bytes) -> Callable[[str], bytes]:
    return lambda label: algorithms.digest(label, content)


def _failing(found: FoundSignature, detail: str) -> FoundSignature:
    notice = Notice(Code.DOC_MALFORMED, detail)
    fault = Fault(Indication.TOTAL_FAILED, SubIndication.FORMAT_FAILURE, detail, (notice,))
    return FoundSignature(found.name, found.format, CoverageReport(Coverage.UNKNOWN), found.kind, fault=fault)
