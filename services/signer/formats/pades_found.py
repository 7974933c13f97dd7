"""The signatures and time-stamps that a PDF file has already, whoever made them: what extending one needs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from asn1crypto import parser
from pyhanko.pdf_utils import generic

from services.kernel.errors import DocumentDamaged
from services.signer.formats import ber, pdf_structure
from services.signer.formats.cms_container import SignedData, SignerInfo, embedded_certificates
from services.signer.formats.pdf_objects import value_at

if TYPE_CHECKING:
    from pyhanko.pdf_utils.reader import PdfFileReader

MAX_SIGNATURES = 200
TIME_STAMP_ATTRIBUTE = ber.oid("1.2.840.113549.1.9.16.2.14")
"""id-aa-signatureTimeStampToken (RFC 3161 appendix A)."""
_STAMP_FILTER = "/ETSI.RFC3161"
_CMS_FILTERS = frozenset({"/ETSI.CAdES.detached", "/adbe.pkcs7.detached", "/adbe.pkcs7.sha1", _STAMP_FILTER})


@dataclass(frozen=True, slots=True)
class Found:
    """One filled signature field."""

    is_time_stamp: bool
    container: bytes
    """CMS or time-stamp token, as it was encoded."""
    covers: int
    """Where the bytes that it covers end."""


def found_in(reader: PdfFileReader, size: int) -> list[Found]:
    """Return the signatures and time-stamps of a file of `size` bytes, the earliest first.

    Raises DocumentDamaged where there is none, or one that cannot be read or covers bytes that are not there.
    """
    form = pdf_structure.dictionary_at(reader.root, "/AcroForm")
    found = [
        _read(field.name, field.value)
        for field in pdf_structure.form_fields(form)
        if field.is_signature and field.value is not None
    ]
    if not found:
        raise DocumentDamaged(
            "the PDF file has no signature that could be raised to a higher level", reason="signature"
        )
    if len(found) > MAX_SIGNATURES:
        raise DocumentDamaged(f"the PDF file has more than {MAX_SIGNATURES} signatures", limit=MAX_SIGNATURES)
    if any(each.covers > size for each in found):
        raise DocumentDamaged(
            "a signature of the PDF file covers more bytes than the file has: it was cut off",
            reason="ByteRange",
        )
    return sorted(found, key=lambda each: each.covers)


def _read(name: str, value: generic.DictionaryObject) -> Found:
    kind = str(value["/SubFilter"]) if "/SubFilter" in value else ""
    if kind not in _CMS_FILTERS:
        raise DocumentDamaged(
            f"the signature {name!r} is of the kind {kind[:64]!r}, which holds no CMS and cannot be raised to a "
            "higher level",
            reason="SubFilter",
        )
    contents = value_at(value, "/Contents")
    byte_range = value_at(value, "/ByteRange")
    if isinstance(contents, generic.TextStringObject):
        raw = bytes(contents.original_bytes)
    elif isinstance(contents, generic.ByteStringObject):
        raw = bytes(contents)
    else:
        raw = b""
    if not raw or not isinstance(byte_range, generic.ArrayObject) or len(byte_range) != 4:
        raise DocumentDamaged(
            f"the signature {name!r} has no /Contents or no /ByteRange of four numbers", reason="ByteRange"
        )
    container = _without_padding(name, raw)
    return Found(kind == _STAMP_FILTER, container, int(byte_range[2]) + int(byte_range[3]))


def _without_padding(name: str, raw: bytes) -> bytes:
    """Cut off what follows the value; containers of others may have an indefinite length."""
    try:
        return raw[: parser.peek(raw)]
    except ValueError as error:
        raise DocumentDamaged(
            f"/Contents of the signature {name!r} is no ASN.1 value", reason="Contents"
        ) from error


def token_of(container: bytes) -> bytes | None:
    """Return the signature time-stamp in a CMS, the first where it has several; None where it has none."""
    signers = SignedData.read(container).signers
    for signer in signers:
        for attribute in SignerInfo.read(signer).attributes(TIME_STAMP_ATTRIBUTE, signed=False):
            if attribute.values:
                return attribute.values[0]
    return None


def certificates_of(container: bytes) -> list[bytes]:
    """Return the certificates in a CMS or token and in the time-stamp of its signature, without repetition."""
    token = token_of(container)
    found = [*embedded_certificates(container), *(embedded_certificates(token) if token else ())]
    return list(dict.fromkeys(found))
