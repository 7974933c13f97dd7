"""A test document for every outcome that the verifier can give: each makes its document and judges it.

The first table is judged by a hierarchy of its own at a fixed time; `timed_documents` has what needs time-stamps.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cache

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, pkcs7

from services.signer.formats.cades import CadesBaseline
from services.signer.formats.smime import SmimeMessage
from services.verifier import owner
from services.verifier.domain import Code, DocumentReport, SubIndication
from services.verifier.owner import Owner
from services.verifier.ports import SubmittedDocument, TrustMaterial
from services.verifier.service import VerificationService
from services.verifier.workers.worker import FORMATS
from tests.support import containers, mail
from tests.support.document_signers import signed, signer
from tests.support.pdfs import encrypted_pdf
from tests.unit.verifier.authority import NOW, Hierarchy, Signer
from tests.unit.verifier.xml_signing import DS, ENVELOPED, EXCLUSIVELY, RSA_SHA256, Target, signature

CONTENT = "Nghị quyết số 57".encode()
BODY = "<don><ten>An</ten></don>"


@dataclass(frozen=True)
class Case:
    """How to get a report, and what has to be in it at least."""

    judge: Callable[[], DocumentReport]
    subs: frozenset[SubIndication] = frozenset()
    codes: frozenset[Code] = frozenset()


def case(judge: Callable[[], DocumentReport], *expected: SubIndication | Code) -> Case:
    """A case that gives these."""
    subs = frozenset(one for one in expected if isinstance(one, SubIndication))
    return Case(judge, subs, frozenset(one for one in expected if isinstance(one, Code)))


@cache
def world() -> Hierarchy:
    """Root, issuing CA, signer."""
    return Hierarchy.make()


@cache
def _rsa_signer() -> Signer:
    return world().issuing.signer(key=rsa.generate_private_key(65537, 2048))


@cache
def _pdf() -> bytes:
    return world().signer.pdf()


def judged(
    data: bytes,
    trust: TrustMaterial | None = None,
    *,
    detached: bytes | None = None,
    integrity_only: bool = False,
    valid_at: datetime | None = None,
) -> DocumentReport:
    """The report as of NOW, by all readers, with the hierarchy's trust unless another is given."""
    material = world().trust() if trust is None else trust
    service = VerificationService(FORMATS, material, integrity_only=integrity_only)
    return service.examine(SubmittedDocument(data, detached), NOW, valid_at).report


def _cms(who: Signer | None = None, *crls: bytes) -> DocumentReport:
    """A CMS message by this signer, judged with the root's list and these."""
    trust = world().trust(crls=(world().root.crl(), *crls)) if crls else None
    return judged((who or world().signer).cms(CONTENT), trust)


def _revoked(reason: x509.ReasonFlags | None) -> DocumentReport:
    return _cms(None, world().issuing.crl([(world().signer.certificate, reason)]))


def _stale() -> DocumentReport:
    long_ago = NOW - timedelta(days=9)
    return _cms(None, world().issuing.crl(this_update=long_ago, next_update=long_ago + timedelta(days=1)))


def _revoked_ca() -> DocumentReport:
    root = world().root.crl([(world().issuing.certificate, None)])
    return judged(world().signer.cms(CONTENT), world().trust(crls=(root, world().issuing.crl())))


def _unknown_extension() -> DocumentReport:
    extension = x509.UnrecognizedExtension(x509.ObjectIdentifier("1.3.6.1.4.1.99999.1"), b"\x05\x00")
    return _cms(world().issuing.signer(more=[(extension, True)]))


def _without_certificates() -> DocumentReport:
    who = world().signer
    builder = pkcs7.PKCS7SignatureBuilder().set_data(CONTENT)
    builder = builder.add_signer(who.certificate, who.key, hashes.SHA256())
    return judged(builder.sign(Encoding.DER, [pkcs7.PKCS7Options.Binary, pkcs7.PKCS7Options.NoCerts]))


def _changed(data: bytes, old: bytes, new: bytes) -> bytes:
    assert old in data
    return data.replace(old, new, 1)


def _xml(document: str) -> DocumentReport:
    return judged(document.encode())


def _enveloped(method: str = RSA_SHA256) -> str:
    whole = Target("", BODY.encode(), ENVELOPED + EXCLUSIVELY)
    mark = signature(_rsa_signer(), whole, method=method)
    return BODY.replace("</don>", f"{mark}</don>")


def _part(document: str) -> DocumentReport:
    """A document with one signed element."""
    part = '<ten Id="a">An</ten>'
    return _xml(document.format(part=part, mark=signature(_rsa_signer(), Target("#a", part.encode()))))


def _with_member() -> DocumentReport:
    files = containers.members(containers.made("ASIC_E", "XADES"))
    return containers.verify(containers.packed({**files, "them.txt": b"khong ai ky"}))


def _with_hidden_bytes() -> DocumentReport:
    whole = containers.made("ASIC_E", "XADES")
    end = whole.rindex(b"PK\x05\x06")
    return containers.verify(whole[:end] + b"an giau" + whole[end:])


def _mail_with_text_behind() -> DocumentReport:
    who = mail.sender()
    message = mail.message(b"Kinh gui\r\n")
    data = signed(SmimeMessage(), message, who, who.parameters(form="SMIME", packaging="DETACHED"))
    return _by_test_ca(data + b"\r\nText that nobody signed\r\n")


def _broken_inside() -> DocumentReport:
    who = signer()
    broken = _changed(_pdf(), b"Kyso", b"Kysp")
    parameters = who.parameters(form="CADES", packaging="ENVELOPING")
    return _by_test_ca(signed(CadesBaseline(), broken, who, parameters))


def _by_test_ca(data: bytes) -> DocumentReport:
    service = VerificationService(FORMATS, containers.trust())
    return service.verify(SubmittedDocument(data), containers.NOW)


def _owned(**who: str) -> DocumentReport:
    return owner.apply(Owner.of(**who), _cms())  # type: ignore[arg-type]


S, C = SubIndication, Code
CASES: dict[str, Case] = {
    "a signed PDF file": case(lambda: judged(_pdf()), C.SIG_VALID, C.DOC_INTACT, C.TS_NONE),
    "a PDF file changed after it was signed": case(
        lambda: judged(_changed(_pdf(), b"Kyso", b"Kysp")), S.HASH_FAILURE, C.SIG_INVALID, C.DOC_MODIFIED
    ),
    "a signature value of another key": case(
        lambda: judged(_flipped(world().signer.cms(CONTENT))), S.SIG_CRYPTO_FAILURE
    ),
    "two elements with the id that is signed": case(
        lambda: _part('<don><ten Id="a">Binh</ten>{part}{mark}</don>'), S.FORMAT_FAILURE
    ),
    "a file put into a container": case(_with_member, S.SIG_CONSTRAINTS_FAILURE, C.NOT_ALL_SIGNED),
    "bytes hidden in a container": case(_with_hidden_bytes, S.SIG_CONSTRAINTS_FAILURE, C.UNOWNED_BYTES),
    "a certificate for encryption": case(
        lambda: _cms(world().issuing.signer(usage=("key_encipherment",))), S.CHAIN_CONSTRAINTS_FAILURE, C.SCOPE
    ),
    "a critical extension that nobody knows": case(_unknown_extension, S.CERTIFICATE_CHAIN_GENERAL_FAILURE),
    "an XML signature with SHA-1": case(
        lambda: _xml(_enveloped(f"{DS}rsa-sha1")), S.CRYPTO_CONSTRAINTS_FAILURE_NO_POE, C.ALG_SHA1
    ),
    "no certificate of the signer": case(
        _without_certificates, S.NO_SIGNING_CERTIFICATE_FOUND, C.SIG_INDETERMINATE
    ),
    "no anchor": case(
        lambda: judged(world().signer.cms(CONTENT), TrustMaterial()),
        S.NO_CERTIFICATE_CHAIN_FOUND, C.CERT_UNTRUSTED, C.STATUS_NOT_CHECKED,
    ),
    "a revoked certificate": case(
        lambda: _revoked(x509.ReasonFlags.key_compromise), S.REVOKED_NO_POE, C.CERT_REVOKED
    ),
    "a certificate on hold": case(
        lambda: _revoked(x509.ReasonFlags.certificate_hold), S.TRY_LATER, C.CERT_HELD
    ),
    "an old revocation list": case(_stale, S.TRY_LATER, C.STATUS_STALE, C.STATUS_NOT_CHECKED),
    "a revoked CA": case(_revoked_ca, S.REVOKED_CA_NO_POE, C.CA_REVOKED),
    "an expired certificate": case(
        lambda: _cms(world().issuing.signer(not_after=NOW - timedelta(days=1))),
        S.OUT_OF_BOUNDS_NO_POE, C.CERT_EXPIRED,
    ),
    "a certificate of tomorrow": case(
        lambda: _cms(world().issuing.signer(not_before=NOW + timedelta(days=1))),
        S.OUT_OF_BOUNDS_NO_POE, C.CERT_NOT_YET,
    ),
    "a detached signature alone": case(
        lambda: judged(world().signer.cms(CONTENT, detached=True)), S.SIGNED_DATA_NOT_FOUND
    ),
    "a PDF signature of an unknown encoding": case(
        lambda: judged(_changed(_pdf(), b"/ETSI.CAdES.detached", b"/ETSI.OTHER.detached")),
        S.GENERIC, C.FORMAT_UNSUPPORTED,
    ),
    "a damaged PDF file": case(lambda: judged(b"%PDF-1.7\n"), C.DOC_MALFORMED),
    "an encrypted PDF file": case(lambda: judged(encrypted_pdf()), C.DOC_ENCRYPTED),
    "another file": case(lambda: judged(b"hello"), C.FORMAT_UNSUPPORTED),
    "XML too deep": case(lambda: judged(b"<a>" * 5000 + b"</a>" * 5000), C.LIMIT_REACHED),
    "XML without a signature": case(lambda: _xml(BODY), C.NOT_SIGNED),
    "integrity only": case(lambda: judged(_pdf(), integrity_only=True), C.TRUST_LEFT_OUT),
    "judged for yesterday": case(
        lambda: judged(_pdf(), valid_at=NOW - timedelta(days=1)), C.NOT_NOW
    ),
    "a part of an XML document": case(lambda: _part("<don><so>2</so>{part}{mark}</don>"), C.PARTLY_SIGNED),
    "a signed element out of sight": case(
        lambda: _part("<don><ten>Binh</ten><cu>{part}</cu>{mark}</don>"), C.WRAPPING
    ),
    "text behind a signed message": case(_mail_with_text_behind, C.DOC_EXTENDED),
    "a broken file inside a signed one": case(_broken_inside, C.INNER_BROKEN),
    "signed by somebody else": case(lambda: _owned(citizen="099999999999"), C.OWNER_MISMATCH),
    "nothing to compare the owner with": case(lambda: _owned(passport="B1234567"), C.OWNER_NOT_COMPARABLE),
}  # fmt: skip


def _flipped(data: bytes) -> bytes:
    """The last octet is the signature value's."""
    return data[:-1] + bytes([data[-1] ^ 1])
