"""S/MIME messages (RFC 8551): multipart/signed with a detached signature, and application/pkcs7-mime around content.

The parts are cut out of the octets as they stand: a library that parses and writes mail anew would change what is
signed. Only the outermost entity is judged; a signed message or file inside it is among its contents.
"""

from __future__ import annotations

import re
from dataclasses import replace as changed

from services.verifier.domain import Code, Notice
from services.verifier.formats import beside, mime
from services.verifier.formats.cms_file import CmsFormat
from services.verifier.formats.mime import Entity, MailError
from services.verifier.ports import Content, Findings, SubmittedDocument

_SIGNATURE_TYPES = {"application/pkcs7-signature", "application/x-pkcs7-signature"}


class SmimeFormat:
    """Finds the signers of an S/MIME message."""

    name = "S/MIME"

    def recognises(self, data: bytes) -> bool:
        """Header fields of mail, with a content type that carries a signature."""
        if b":" not in data[:1000].partition(b"\n")[0]:
            return False
        try:
            return mime.read(data).is_signed
        except MailError:
            return False

    def find(self, document: SubmittedDocument) -> Findings:
        """One finding for each SignerInfo, as of a CMS file."""
        try:
            entity = mime.read(document.data)
            message, content = _taken_apart(entity)
        except MailError as error:
            return Findings(self.name, obstacle=Notice(Code.DOC_MALFORMED, str(error)))
        inside = changed(document, data=message) if content is None else SubmittedDocument(message, content)
        findings = CmsFormat().find(inside)
        if not _ends_blank(entity):
            # RFC 2046 5.1.1 has readers ignore it; whoever sees it must not take it for signed.
            behind = Notice(Code.DOC_EXTENDED, "text stands behind the end of the signed message")
            signatures = [changed(s, notices=(*s.notices, behind)) for s in findings.signatures]
            findings = changed(findings, signatures=signatures)
        contents = findings.contents
        if content is not None:
            names = tuple(signature.name for signature in findings.signatures)
            contents = [Content(name, data, names) for name, data in mime.documents(content)]
        findings = changed(findings, format=self.name, contents=contents)
        # The message as a whole may be handed in as well, as other programs cut it out.
        if content is None or (content == document.detached and not document.digests):
            return findings
        return beside.judged(findings, document)


def _taken_apart(entity: Entity) -> tuple[bytes, bytes | None]:
    """The CMS message, and the content beside it (None where the message carries it)."""
    if entity.media_type != "multipart/signed":
        return _decoded(entity), None
    parts = mime.parts(entity)
    if len(parts) != 2:
        # RFC 1847 2.1
        raise MailError("the signed message does not have two parts and an end")
    signature = mime.read(parts[1])
    if signature.media_type not in _SIGNATURE_TYPES:
        raise MailError("the second part of the signed message is not a signature")
    return _decoded(signature), _canonical(parts[0])


def _ends_blank(entity: Entity) -> bool:
    """True unless something stands behind the closing delimiter of a multipart/signed message."""
    closing = b"--" + entity.parameters.get("boundary", "").encode("latin-1") + b"--"
    return entity.media_type != "multipart/signed" or not entity.body.rpartition(closing)[2].strip()


def _canonical(part: bytes) -> bytes:
    """RFC 8551 3.1.1: text is signed with CRLF at the end of lines, however the file stores it."""
    return re.sub(rb"\r?\n", b"\r\n", part)


def _decoded(entity: Entity) -> bytes:
    if entity.encoding == "quoted-printable":
        raise MailError("the signature is in the transfer encoding quoted-printable")
    return mime.decoded(entity)
