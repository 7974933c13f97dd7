"""PAdES above B-B (ETSI EN 319 142-1 section 6.3): what a file still needs for a level, and how it is put in.

A signature just made here takes its time-stamp inside its own CMS, for which room was left; only the updates that we
appended are read for that. A file signed elsewhere takes document time-stamps, which the baseline allows at B-T.
Nothing is kept between two calls: where a file stands follows from its bytes.
"""

from __future__ import annotations

import hashlib
from io import BufferedReader, BytesIO
from typing import TYPE_CHECKING

from services.kernel.errors import FieldInvalid, TimeStampUnavailable
from services.signer.formats import pades_store, pades_token, pdf_structure
from services.signer.formats.cms_container import SignedData, SignerInfo, signature_value
from services.signer.formats.errors import SelfCheckFailed
from services.signer.formats.format import Document, EvidenceNeeded, TimeStampNeeded
from services.signer.formats.pades_fields import NOTHING, Spot, add_field, put_nothing
from services.signer.formats.pades_found import TIME_STAMP_ATTRIBUTE, certificates_of, found_in, token_of
from services.signer.formats.pades_layout import base_of
from services.signer.formats.pades_room import TOKEN_BYTES
from services.signer.formats.parameters import Level
from services.signer.formats.pdf_contents import close_round, digest_but, digest_round, located, put_signature
from services.signer.formats.pdf_hostile import reading_pdf
from services.signer.formats.pdf_own import Kind, NotOurs, OwnPdf, newest_update, own_updates
from services.signer.formats.pdf_update import IncrementalUpdate
from services.signer.formats.streams import JoinedStream
from services.signer.formats.visible import pdfa

if TYPE_CHECKING:
    from pyhanko.pdf_utils.rw_common import PdfHandler

    from services.kernel.values import DigestAlgorithm
    from services.signer.formats.format import Evidence, Need, Signed
    from services.signer.formats.pdf_contents import Contents
    from services.signer.formats.pdf_own import OwnUpdate

_STAMP_HEAD = b"<<\n/Type /DocTimeStamp\n/Filter /Adobe.PPKLite\n/SubFilter /ETSI.RFC3161"
_NAME_BYTES = 4096
_BUFFER_BYTES = 1 << 16


def next_need(signed: Signed, level: Level, digest: DigestAlgorithm) -> Need | None:
    """Say what must be had next; see SignatureFormat."""
    if level is Level.B_B:
        return None
    if signed.document.known_digest is not None:
        return _container_need(signed, level, digest)
    updates = own_updates(signed.document.size, signed.addition)
    if updates and updates[0].kind is Kind.SIGNATURE:
        return _need_of_ours(signed, updates, level, digest)
    return _need_of_others(signed, [update.kind for update in updates], level, digest)


def _container_need(signed: Signed, level: Level, digest: DigestAlgorithm) -> Need | None:
    """Serve a container alone: a signature time-stamp goes into it."""
    require_level_of_container(level)
    if token_of(signed.addition) is not None:
        return None
    return TimeStampNeeded(digest.digest(signature_value(signed.addition)))


def require_level_of_container(level: Level) -> None:
    """Raise FieldInvalid for a level whose values stand in the file around the container."""
    if level.includes(Level.B_LT):
        raise FieldInvalid(
            f"level {level.value} of a PDF signature is written into the file, which is not here: embed the "
            "container, then extend the whole document",
            field="level",
        )


def _need_of_ours(
    signed: Signed, updates: list[OwnUpdate], level: Level, digest: DigestAlgorithm
) -> Need | None:
    kinds = [update.kind for update in updates]
    if len(kinds) == 1:
        container = located(signed.addition, updates[0]).read(signed.addition)
        if token_of(container) is None:
            return TimeStampNeeded(digest.digest(signature_value(container)))
        if level is not Level.B_T:
            return EvidenceNeeded(tuple(certificates_of(container)))
        return None
    if level is Level.B_LTA and Kind.TIME_STAMP not in kinds:
        return _document_time_stamp(signed, digest, updates)
    return None


@reading_pdf()
def _need_of_others(signed: Signed, kinds: list[Kind], level: Level, digest: DigestAlgorithm) -> Need | None:
    whole = _joined(signed)
    found = found_in(pdf_structure.open_pdf(whole), whole.size)
    newest_stamp = max((each.covers for each in found if each.is_time_stamp), default=0)
    for each in found:
        # EN 319 142-1 table 1: a document time-stamp behind a signature serves at B-T as one inside it does.
        if not each.is_time_stamp and newest_stamp <= each.covers and token_of(each.container) is None:
            return _document_time_stamp(signed, digest)
    if level is Level.B_T:
        return None
    if Kind.EVIDENCE not in kinds:
        certificates = [certificate for each in found for certificate in certificates_of(each.container)]
        return EvidenceNeeded(tuple(dict.fromkeys(certificates)))
    if level is Level.B_LTA and kinds[-1] is not Kind.TIME_STAMP:
        return _document_time_stamp(signed, digest)
    return None


@reading_pdf()
def _document_time_stamp(
    signed: Signed, digest: DigestAlgorithm, updates: list[OwnUpdate] | None = None
) -> TimeStampNeeded:
    """Lay out one more update with a document time-stamp (EN 319 142-1 section 5.4.3) over everything before it."""
    try:
        own = OwnPdf(signed.document.size, signed.addition, updates)
        # A document time-stamp should not have an appearance of its own (ISO 32000-2 12.8.5), and certifications that
        # allow no change are read so; the signature's empty one is there already.
        spot = Spot(*own.page(), appearance=own.find(NOTHING))
        increment, contents = _lay_out_stamp(IncrementalUpdate(own.base()), own, spot, _name(signed))
    except NotOurs:
        whole = _joined(signed)
        reader = pdf_structure.open_pdf(whole)
        update = IncrementalUpdate(base_of(whole, reader))
        nothing = put_nothing(update) if pdfa.claim(reader).part == 1 else None
        spot = Spot(*pdf_structure.first_page(reader.root), appearance=nothing)
        increment, contents = _lay_out_stamp(update, reader, spot, _name(signed))
    by = len(signed.addition)
    written = signed.addition + increment
    imprint = digest_but(signed.document, written, contents.moved(by), len(written), digest)
    return TimeStampNeeded(imprint, bytes(increment))


def _lay_out_stamp(
    update: IncrementalUpdate, handler: PdfHandler, spot: Spot, name: str
) -> tuple[bytearray, Contents]:
    value = update.new_reference()
    add_field(update, handler, spot, name, value)
    update.put_changed()
    contents = put_signature(update, value, _STAMP_HEAD, TOKEN_BYTES)
    return close_round(update, contents), contents


def _name(signed: Signed) -> str:
    """Name the time-stamp's field after the bytes before it, so that no other field is called so."""
    newest = signed.addition[-_NAME_BYTES:]
    if not newest:
        signed.document.stream.seek(max(0, signed.document.size - _NAME_BYTES))
        newest = signed.document.stream.read(_NAME_BYTES)
    size = signed.document.size + len(signed.addition)
    return f"TimeStamp{size}-" + hashlib.sha256(newest).hexdigest()[:8]


def add_time_stamp(signed: Signed, need: TimeStampNeeded, token: bytes) -> bytes:
    """Put in a token; see SignatureFormat. Raises TimeStampUnavailable where it is larger than its room."""
    if need.state:
        return _add_document_time_stamp(signed, need.state, token)
    if signed.document.known_digest is not None:
        return _stamped(signed.addition, token)
    addition = bytearray(signed.addition)
    update = own_updates(signed.document.size, addition)[0]
    contents = located(addition, update)
    container = _stamped(contents.read(addition), token)
    _require_room(contents, container)
    contents.put(addition, container)
    # Read back: the value alone changed, and what it was is still in it.
    if contents.read(addition) != container or located(addition, update) != contents:
        raise SelfCheckFailed("the time-stamped signature cannot be read back")
    return bytes(addition)


def _stamped(container: bytes, token: bytes) -> bytes:
    """Put a token into a signature's unsigned attributes and find it there again, over the same signature value."""
    data = SignedData.read(container)
    info = SignerInfo.read(data.signers[0])
    stamped = data.with_signer(0, info.with_unsigned(TIME_STAMP_ATTRIBUTE, token)).encode()
    read = SignerInfo.read(SignedData.read(stamped).signers[0])
    kept = (read.signed_attributes, read.signature) == (info.signed_attributes, info.signature)
    found = [found.values for found in read.attributes(TIME_STAMP_ATTRIBUTE, signed=False)]
    if not kept or found != [(token,)]:
        raise SelfCheckFailed("the time-stamped signature cannot be read back")
    pades_token.require_over(token, read.signature_value)
    return stamped


def _add_document_time_stamp(signed: Signed, increment: bytes, token: bytes) -> bytes:
    addition = bytearray(signed.addition + increment)
    update = newest_update(signed.document.size, addition)
    contents = located(addition, update)
    _require_room(contents, token)
    contents.put(addition, token)
    if update.kind is not Kind.TIME_STAMP or contents.read(addition) != token:
        raise SelfCheckFailed("the document time-stamp cannot be read back")
    _, value = pades_token.imprint(token)
    if digest_round(signed.document, addition, update, pades_token.algorithm_of(token)) != value:
        raise SelfCheckFailed("the document time-stamp is over other bytes than the file's")
    return bytes(addition)


def _require_room(contents: Contents, value: bytes) -> None:
    if len(value) > contents.room:
        raise TimeStampUnavailable(
            f"the authority's time-stamp token does not fit: with it the value has {len(value)} bytes, and "
            f"{contents.room} are reserved; ask an authority whose tokens have at most {TOKEN_BYTES} bytes",
            limit=TOKEN_BYTES,
        )


@reading_pdf()
def add_evidence(signed: Signed, evidence: Evidence) -> bytes:
    """Put certificates and revocation values into one more update; see SignatureFormat."""
    try:
        own = OwnPdf(signed.document.size, signed.addition)
        increment = pades_store.store_update(own, own.base(), evidence)
    except NotOurs:
        whole = _joined(signed)
        reader = pdf_structure.open_pdf(whole)
        increment = pades_store.store_update(reader, base_of(whole, reader), evidence)
    addition = signed.addition + increment
    pades_store.check(signed.document.size, addition, evidence)
    return bytes(addition)


def _joined(signed: Signed) -> Document:
    """Return the signed file as it would be stored; one that lies on disk is not copied."""
    document, addition = signed.document, signed.addition
    if not addition:
        return document
    size = document.size + len(addition)
    if isinstance(document.stream, BytesIO):
        return Document(BytesIO(document.stream.getvalue() + addition), size)
    stream = JoinedStream(document.stream, document.size, addition)
    return Document(BufferedReader(stream, _BUFFER_BYTES), size)
