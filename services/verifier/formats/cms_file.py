"""CMS files: signed data with its content inside, or detached from it (CAdES, EN 319 122; plain RFC 5652)."""

from __future__ import annotations

from collections.abc import Callable

from services.verifier import algorithms
from services.verifier.domain import Code, Coverage, CoverageReport, Indication, Notice, SubIndication
from services.verifier.formats import beside, by_digest, cms, cms_counter, cms_stamps, cms_values, mime
from services.verifier.formats.ber import BerError
from services.verifier.ports import Content, Fault, Findings, FoundSignature, SubmittedDocument


class CmsFormat:
    """Finds the signers of a CMS message, their counter-signatures, and their time-stamps."""

    name = "CMS"

    def recognises(self, data: bytes) -> bool:
        """BER, PEM or base64 of a ContentInfo with signed data."""
        return cms.looks_like(data)

    def find(self, document: SubmittedDocument) -> Findings:
        """One finding for each SignerInfo, and behind it for each that signs its value."""
        try:
            message = cms.parse_file(document.data)
        except BerError as error:
            return Findings(self.name, obstacle=Notice(Code.DOC_MALFORMED, str(error)))
        found = [_found(document, message, i) for i in range(len(message.signers))]
        contents = _contents(message, tuple(one.name for one in found))
        return Findings(self.name, cms_counter.of_message(message, found), contents=contents)


def _contents(message: cms.SignedData, names: tuple[str, ...]) -> list[Content]:
    """What the message carries; where that is a MIME entity (RFC 8551 3.5), the documents in it."""
    content = message.content
    if content is None or message.content_type != cms.DATA:
        return []
    inside = mime.documents(content) if mime.looks_like(content) else [("", content)]
    return [Content(name, data, names) for name, data in inside]


def _found(document: SubmittedDocument, message: cms.SignedData, index: int) -> FoundSignature:
    name, coverage = f"signer-{index + 1}", CoverageReport(Coverage.UNKNOWN)
    signer = message.signers[index]
    if isinstance(signer, BerError):
        return FoundSignature(name, "CMS", coverage, fault=cms_counter.malformed(str(signer)))
    content, fault = _content(document, message)
    if (
        fault is None
        and content is not None
        and not signer.signed_octets
        and cms.reads_as_attributes(content)
    ):
        fault = cms_counter.malformed(
            "the content is itself a set of signed attributes, lifted from another message"
        )
    digest = _by_digest(document, signer) if content is None else _digest_of(content)
    if content is None and digest is not None:
        fault = None
    beside = content if message.content is None else None
    values = cms_values.held(message, signer)
    return FoundSignature(
        name=name,
        format=cms_counter.level(signer),
        coverage=coverage if digest is None else _whole(content or b""),
        signer=signer,
        content_type=message.content_type,
        digest=digest,
        certificates=values.certificates,
        crls=values.crls,
        ocsps=values.ocsps,
        time_stamps=cms_stamps.of_signer(message, signer, digest, beside),
        unjudged_time_stamps=cms_stamps.has_unjudged(message, signer, beside),
        claimed_time=signer.signing_time,
        notices=(Notice(Code.DOC_INTACT),),
        fault=fault,
    )


def _whole(content: bytes) -> CoverageReport:
    return CoverageReport(Coverage.WHOLE, len(content), len(content))


def _by_digest(document: SubmittedDocument, signer: cms.SignerInfo) -> Callable[[str], bytes] | None:
    """The digests of a content that did not come; None where they cannot say what was signed.

    Without signed attributes the content might itself be a set of them, lifted from another message, and its digest
    would not tell.
    """
    return by_digest.of_one(document.digests) if signer.signed_octets else None


def _digest_of(content: bytes) -> Callable[[str], bytes]:
    return lambda label: algorithms.digest(label, content)


def _content(document: SubmittedDocument, message: cms.SignedData) -> tuple[bytes | None, Fault | None]:
    given = list(beside.handed_in(document).values())
    if message.content is not None:
        if any(one != message.content for one in given) or not by_digest.are_of(
            document.digests, message.content
        ):
            return message.content, Fault(
                Indication.TOTAL_FAILED,
                SubIndication.HASH_FAILURE,
                "the content given beside the signature is not the content that it carries",
            )
        return message.content, None
    if document.detached is None:
        detail = "the signature is detached; hand in the signed content as well"
        if document.digests:
            detail = "the digests that were handed in are of several contents, or do not say what was signed"
        return None, Fault(Indication.INDETERMINATE, SubIndication.SIGNED_DATA_NOT_FOUND, detail)
    if len(given) > 1 or not by_digest.are_of(document.digests, document.detached):
        # By no name does the signature say which of them it is over.
        detail = "a signature of this kind is over one content, and several were handed in"
        return document.detached, Fault(Indication.INDETERMINATE, SubIndication.SIGNED_DATA_NOT_FOUND, detail)
    return document.detached, None
