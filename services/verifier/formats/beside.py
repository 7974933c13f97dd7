"""Content that is handed in beside a file whose signatures are not over it: it must not look signed."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from urllib.parse import unquote

from services.verifier import algorithms
from services.verifier.domain import Code, Coverage, CoverageReport, Indication, Notice, SubIndication
from services.verifier.ports import ContentDigest, Fault, Findings, FoundSignature, SubmittedDocument

MAX_NAMED = 5


def handed_in(document: SubmittedDocument) -> Mapping[str, bytes]:
    """All contents beside a document by name, "" for one without."""
    if document.named:
        return document.named
    return {"": document.detached} if document.detached is not None else {}


def answering(document: SubmittedDocument, uris: Iterable[str]) -> Callable[[str], str]:
    """The name of the content, of those that were handed in, that answers one of a signature's URIs; or of none.

    A single one may have been renamed and answers every URI, unless its name is that of one of several.
    """
    named = handed_in(document)
    if len(named) + len(document.digests) > 1:
        return _file_name
    only = next(iter(named), "")
    renamed = not only or all(_file_name(uri) != only for uri in uris)
    return lambda uri: only if renamed or not uri else _file_name(uri)


def _file_name(uri: str) -> str:
    return unquote(uri).rpartition("/")[2]


def judged(
    findings: Findings,
    document: SubmittedDocument,
    used: Collection[str] = (),
    digests: Sequence[ContentDigest] | None = None,
) -> Findings:
    """The findings, none of which holds where a content is neither used nor what the file itself carries signed.

    `used` are the names of contents that the signatures were held against; `digests` are those of contents that they
    were not held against (None: of all).
    """
    detail = _spare(findings, document, used, document.digests if digests is None else digests)
    if not detail:
        return findings
    fault = Fault(Indication.INDETERMINATE, SubIndication.SIGNED_DATA_NOT_FOUND, detail)
    unknown = CoverageReport(Coverage.UNKNOWN)
    signatures = [
        one if one.fault is not None else replace(one, fault=fault, coverage=unknown)
        for one in findings.signatures
    ]
    return replace(findings, signatures=signatures)


def warned(findings: Findings, document: SubmittedDocument) -> Findings:
    """The findings with a warning of such content.

    For a file that holds all that its signatures are over: they hold for it, whatever lies beside it.
    """
    detail = _spare(findings, document, (), document.digests)
    if not detail:
        return findings
    return replace(findings, signatures=[_warned(one, detail) for one in findings.signatures])


def _warned(found: FoundSignature, detail: str) -> FoundSignature:
    coverage = found.coverage
    if coverage.coverage is Coverage.WHOLE:
        coverage = replace(coverage, coverage=Coverage.PARTIAL)
    notices = [notice for notice in found.notices if notice.code is not Code.DOC_INTACT]
    return replace(found, notices=(*notices, Notice(Code.PARTLY_SIGNED, detail)), coverage=coverage)


def _spare(
    findings: Findings, document: SubmittedDocument, used: Collection[str], digests: Sequence[ContentDigest]
) -> str:
    """Which contents are not signed, in words; "" where all are."""
    carried = {content.data for content in findings.contents if content.signed_by}
    contents = handed_in(document).items()
    spare = sorted(name for name, data in contents if name not in used and data not in carried)
    labels = {one.label for one in digests}
    met = {ContentDigest(label, algorithms.digest(label, data)) for label in labels for data in carried}
    left = [one for one in digests if one not in met]
    return unsigned([*spare, *map(told, left)]) if spare or left else ""


def told(digest: ContentDigest) -> str:
    """A content that is known by its digest, in the place of its name."""
    return f"{digest.label} {digest.value.hex()}"


def unsigned(names: Sequence[str]) -> str:
    """What is said of contents that nothing signs."""
    named = ", ".join(repr(name[:80]) for name in names[:MAX_NAMED] if name) or "the detached content"
    return f"content that was handed in is not signed: {named}"
