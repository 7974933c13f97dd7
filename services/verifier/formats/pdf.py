"""Signatures inside PDF files: PAdES (EN 319 142) and the older adbe.pkcs7.* kinds (ISO 32000-2 12.8.3)."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from io import BytesIO

from pyhanko.pdf_utils import generic
from pyhanko.pdf_utils.crypt import AuthStatus, StandardSecurityHandler
from pyhanko.pdf_utils.generic import EncryptedObjAccess
from pyhanko.pdf_utils.reader import PdfFileReader

from services.verifier import algorithms
from services.verifier.domain import (
    ChangeKind,
    Code,
    Coverage,
    CoverageReport,
    Indication,
    LaterChange,
    Notice,
    SignatureKind,
    SubIndication,
)
from services.verifier.formats import cms, pdf_bytes, pdf_changes, pdf_stamps
from services.verifier.formats.ber import BerError
from services.verifier.formats.pdf_bytes import ByteRangeError, Ownership, SignedRange
from services.verifier.formats.pdf_changes import Closing, Review, entry
from services.verifier.formats.pdf_stamps import Placed
from services.verifier.formats.pdf_store import Stores
from services.verifier.ports import Fault, Findings, FoundSignature, SubmittedDocument

# The library reports every oddity of a hostile file; the findings say what matters.
logging.getLogger("pyhanko").setLevel(logging.CRITICAL)

MAX_SIGNATURES = 500
MAX_FIELDS = 20_000
MAX_FIELD_DEPTH = 32
_DETACHED = {"/ETSI.CAdES.detached": "PAdES", "/adbe.pkcs7.detached": "PDF (adbe.pkcs7.detached)"}
_NAMES = {"/adbe.pkcs7.sha1": "PDF (adbe.pkcs7.sha1)", "/ETSI.RFC3161": "PDF document time-stamp"}
_SHA1 = "/adbe.pkcs7.sha1"
_TIMESTAMP = "/ETSI.RFC3161"
_DATE = re.compile(r"D:(\d{4})(\d\d)(\d\d)(\d\d)(\d\d)(\d\d)?(?:(Z)|([+-])(\d\d)'?(\d\d)?'?)?")


@dataclass(frozen=True, slots=True)
class _Field:
    name: str
    value: generic.DictionaryObject


@dataclass(frozen=True, slots=True)
class _Document:
    """One PDF while its signatures are read."""

    data: bytes
    reader: PdfFileReader
    review: Review
    ownership: Ownership


class PdfFormat:
    """Finds the signatures of a PDF and says of each what it covers and what came after it."""

    name = "PDF"

    def recognises(self, data: bytes) -> bool:
        """ISO 32000-2 7.5.2 wants the header first; readers in the field look through the first kilobyte."""
        return b"%PDF-" in data[:1024]

    def find(self, document: SubmittedDocument) -> Findings:
        """Every filled signature field, in the order of the form."""
        try:
            reader = PdfFileReader(BytesIO(document.data), strict=False)
            if reader.encrypted and not _opens_without_password(reader):
                return Findings(
                    self.name, obstacle=Notice(Code.DOC_ENCRYPTED, "the document needs a password")
                )
            _ = reader.root
        except Exception as error:  # noqa: BLE001 - the parser raises many kinds on hostile files; all mean the same
            return Findings(
                self.name, obstacle=Notice(Code.DOC_MALFORMED, f"not a readable PDF ({type(error).__name__})")
            )
        try:
            fields = list(_signature_fields(reader))
        except Exception as error:  # noqa: BLE001 - as above; a form that cannot be walked may hide signatures
            return Findings(
                self.name,
                obstacle=Notice(Code.DOC_MALFORMED, f"the form is damaged ({type(error).__name__})"),
            )
        if len(fields) > MAX_SIGNATURES:
            return Findings(
                self.name, obstacle=Notice(Code.LIMIT_REACHED, f"more than {MAX_SIGNATURES} signatures")
            )
        shared = _Document(
            document.data,
            reader,
            Review(reader, _closing(reader, fields)),
            Ownership(reader, document.data),
        )
        placed = [_guarded(shared, field) for field in fields]
        return Findings(
            self.name, pdf_stamps.with_time_stamps(placed, document.data, Stores(reader, document.data))
        )


def _closing(reader: PdfFileReader, fields: list[_Field]) -> Closing:
    kinds: dict[int, ChangeKind] = {}
    for field in fields:
        reference = field.value.container_ref
        if isinstance(reference, generic.Reference):
            stamp = entry(field.value, "/SubFilter") == _TIMESTAMP
            index = reader.xrefs.get_last_change(reference)
            kinds.setdefault(index, ChangeKind.TIMESTAMP if stamp else ChangeKind.SIGNATURE)
    return Closing(frozenset(field.name for field in fields), kinds)


def _opens_without_password(reader: PdfFileReader) -> bool:
    if not isinstance(reader.security_handler, StandardSecurityHandler):
        return False
    return reader.decrypt(b"").status is not AuthStatus.FAILED


def _signature_fields(reader: PdfFileReader) -> Iterator[_Field]:
    form = entry(reader.root, "/AcroForm")
    if not isinstance(form, generic.DictionaryObject):
        return
    pending = [(item, "", None, 0) for item in reversed(entry(form, "/Fields", ()))]
    seen: set[tuple[int, int]] = set()
    count = 0
    while pending:
        item, prefix, kind, depth = pending.pop()
        count += 1
        if count > MAX_FIELDS or depth > MAX_FIELD_DEPTH:
            raise ValueError("the form is too large or too deep")
        if isinstance(item, generic.IndirectObject):
            key = (item.idnum, item.generation)
            if key in seen:
                continue
            seen.add(key)
        field = item.get_object()
        if not isinstance(field, generic.DictionaryObject):
            continue
        kind = entry(field, "/FT", kind)
        own = entry(field, "/T")
        name = ".".join(part for part in (prefix, str(own) if own is not None else "") if part)
        value = entry(field, "/V")
        if kind == "/Sig" and isinstance(value, generic.DictionaryObject):
            yield _Field(name, value)
        kids = entry(field, "/Kids", ())
        if isinstance(kids, list):
            pending.extend((kid, name, kind, depth + 1) for kid in reversed(kids))


def _guarded(document: _Document, field: _Field) -> Placed:
    try:
        return _read(document, field)
    except (ByteRangeError, BerError) as error:
        return Placed(_unreadable(field, str(error)))
    except Exception as error:  # noqa: BLE001 - no signature may hide the others by what it makes a parser raise
        return Placed(_unreadable(field, f"the signature cannot be read ({type(error).__name__})"))


def _unreadable(field: _Field, detail: str) -> FoundSignature:
    notices = (Notice(Code.DOC_MALFORMED, detail),)
    fault = Fault(Indication.TOTAL_FAILED, SubIndication.FORMAT_FAILURE, detail, notices)
    return FoundSignature(field.name, "PDF", CoverageReport(Coverage.UNKNOWN), fault=fault)


def _read(document: _Document, field: _Field) -> Placed:
    signature = field.value
    subfilter = str(entry(signature, "/SubFilter", ""))
    if subfilter not in _DETACHED and subfilter not in (_SHA1, _TIMESTAMP):
        detail = f"signature encoding {subfilter[:40] or '(none)'} is not supported"
        unsupported = (Notice(Code.FORMAT_UNSUPPORTED, detail),)
        fault = Fault(Indication.INDETERMINATE, SubIndication.GENERIC, detail, unsupported)
        return Placed(
            FoundSignature(
                field.name, f"PDF ({subfilter[1:40]})", CoverageReport(Coverage.UNKNOWN), fault=fault
            )
        )
    span = pdf_bytes.signed_range(document.data, signature["/ByteRange"], _contents(signature))
    message, padding = cms.parse(span.contents)
    if padding.strip(b"\0"):
        raise BerError("octets other than zero padding follow the signature in /Contents")
    if len(message.signers) != 1:
        raise BerError(f"a PDF signature must have exactly one signer, this one has {len(message.signers)}")
    signer = message.signers[0]
    if isinstance(signer, BerError):
        raise signer
    coverage, notices = _coverage(document, signature, span)
    found = FoundSignature(
        name=field.name,
        format=_level(subfilter, signer),
        coverage=coverage,
        signer=signer,
        content_type=message.content_type,
        certificates=message.certificates,
        crls=message.crls,
        claimed_time=signer.signing_time or _date(entry(signature, "/M")),
        notices=notices,
    )
    container = span.contents[: len(span.contents) - len(padding)]
    return Placed(_with_digest(found, document.data, span, subfilter, message), span, message, container)


def _level(subfilter: str, signer: cms.SignerInfo) -> str:
    """Format with its baseline level (EN 319 142-1 6.3): B-B needs the signed reference to the certificate."""
    if subfilter == "/ETSI.CAdES.detached" and signer.has_reference_attribute:
        return "PAdES-B-B"
    return _DETACHED.get(subfilter) or _NAMES[subfilter]


def _contents(signature: generic.DictionaryObject) -> bytes:
    value = signature.raw_get("/Contents", decrypt=EncryptedObjAccess.RAW)
    if not isinstance(value, generic.ByteStringObject | generic.TextStringObject):
        raise ByteRangeError("/Contents of the signature must be a string in the signature dictionary itself")
    return bytes(value.original_bytes)


def _with_digest(
    found: FoundSignature, data: bytes, span: SignedRange, subfilter: str, message: cms.SignedData
) -> FoundSignature:
    """Bind the signature to the bytes of the file, in the way of its encoding."""
    view = memoryview(data)
    parts = view[: span.gap_start], view[span.gap_end : span.end]
    if subfilter in _DETACHED:
        if message.content is not None:
            raise BerError("a detached PDF signature must not carry content of its own")
        return replace(found, digest=lambda label: algorithms.digest(label, *parts))
    content = message.content
    if content is None:
        raise BerError("the signature carries no content, but its encoding needs one")
    if subfilter == _SHA1:
        # ISO 32000-1 12.8.3.3.1: what is signed is the SHA-1 digest of the byte range.
        stated, actual = content, algorithms.digest("SHA-1", *parts)
        found = replace(found, notices=(*found.notices, Notice(Code.ALG_SHA1, "digest of the document")))
    else:
        info = cms.timestamp_info(content)
        stated, actual = info.digest, algorithms.digest(algorithms.digest_label(info.digest_oid), *parts)
        found = replace(found, kind=SignatureKind.DOCUMENT_TIMESTAMP, claimed_time=info.time)
    if stated != actual:
        detail = "the digest in the signature is not that of the document"
        return replace(found, fault=Fault(Indication.TOTAL_FAILED, SubIndication.HASH_FAILURE, detail))
    return replace(found, digest=lambda label: algorithms.digest(label, content))


def _coverage(
    document: _Document, signature: generic.DictionaryObject, span: SignedRange
) -> tuple[CoverageReport, tuple[Notice, ...]]:
    reader, data = document.reader, document.data
    total = reader.xrefs.total_revisions
    covered = span.end - (span.gap_end - span.gap_start)
    if pdf_bytes.covers_whole_file(data, span.end):
        report = CoverageReport(Coverage.WHOLE, covered, len(data), total, total)
        return report, (Notice(Code.DOC_INTACT),)
    try:
        revision = pdf_bytes.signed_revision(reader, data, span.end)
    except ByteRangeError as error:
        # The hash may hold, but what it holds is not a state that the document ever had as a whole.
        notices = (Notice(Code.DOC_MODIFIED, str(error)), Notice(Code.UNOWNED_BYTES, str(error)))
        rest = (LaterChange(0, ChangeKind.UNOWNED_BYTES, False, str(error)),)
        return CoverageReport(Coverage.PARTIAL, covered, len(data), 0, total, rest), notices
    allowed = pdf_changes.permissions(signature)
    changes = document.review.changes_after(revision, allowed)
    later, found = changes.later, []
    if not all(change.allowed for change in changes.later):
        found.append(
            Notice(Code.DOC_MODIFIED, "; ".join(c.touches for c in changes.later if not c.allowed)[:400])
        )
    elif changes.extended:
        found.append(Notice(Code.DOC_EXTENDED, "; ".join(c.touches for c in changes.later)[:400]))
    else:
        found.append(Notice(Code.DOC_INTACT, "only signatures and validation material were added"))
    gaps = document.ownership.unowned_after(span.end)
    if gaps:
        detail = f"bytes {gaps[0][0]} to {gaps[0][1]} belong to no revision"
        found.append(Notice(Code.UNOWNED_BYTES, detail))
        later = (*later, LaterChange(0, ChangeKind.UNOWNED_BYTES, False, detail))
    return CoverageReport(Coverage.REVISION, covered, len(data), revision + 1, total, later), tuple(found)


def _date(value: object) -> datetime | None:
    """A PDF date (ISO 32000-2 7.9.4); None when there is none that can be read."""
    match = _DATE.match(str(value)) if value is not None else None
    if match is None:
        return None
    shift = timedelta(hours=int(match.group(9) or 0), minutes=int(match.group(10) or 0))
    try:
        year, month, day, hour, minute, second = (int(match.group(i) or 0) for i in range(1, 7))
        moment = datetime(year, month, day, hour, minute, second, tzinfo=UTC)
        return moment - shift if match.group(8) != "-" else moment + shift
    except (ValueError, OverflowError):
        return None
