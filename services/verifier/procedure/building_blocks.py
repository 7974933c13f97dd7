"""Building blocks of ETSI EN 319 102-1 clause 5.2 that signatures and time-stamp tokens go through alike.

Each block answers what it found out or raises Stop with the verdict; none asks for trust.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.types import PublicKeyTypes
from cryptography.x509.oid import ExtendedKeyUsageOID

from services.verifier import algorithms
from services.verifier.algorithm_policy import AlgorithmPolicy, Purpose
from services.verifier.algorithms import AlgorithmError, SignatureAlgorithm, Weakness
from services.verifier.domain import Code, Indication, Notice, SubIndication
from services.verifier.formats import ber
from services.verifier.formats.ber import BerError
from services.verifier.formats.cms import CertificateReference, SignerInfo
from services.verifier.ports import DigestMissing, Proof
from services.verifier.x509 import certificates
from services.verifier.x509.certificates import Certificate, CertificateError


class Stop(Exception):
    """A check has ended the procedure for one signature; carries the verdict.

    `broken`: what was signed is not what is there.
    """

    def __init__(
        self,
        indication: Indication,
        sub: SubIndication,
        detail: str,
        *notices: Notice,
        broken: bool = False,
    ) -> None:
        """`detail` is English, for engineers."""
        super().__init__(detail)
        self.indication, self.sub, self.detail, self.notices = indication, sub, detail, notices
        self.broken = broken


@dataclass(frozen=True, slots=True)
class Signed:
    """What the cryptographic check found out: the algorithms, for the policy to judge (P-1.3).

    `digests` are labels of those that what is signed was reduced by; `weak` is what is not allowed at any time.
    """

    scheme: SignatureAlgorithm
    key: PublicKeyTypes
    digests: tuple[str, ...]
    weak: tuple[Notice, ...] = ()

    def faults(self, policy: AlgorithmPolicy, purpose: Purpose, at: datetime) -> tuple[Weakness, ...]:
        """What the policy does not allow at `at`."""
        found = [Weakness(notice, None) for notice in self.weak]
        found += algorithms.scheme_faults(self.scheme, policy, purpose, at, self.key)
        for label in self.digests:
            found += algorithms.faults(None, "", label, policy, purpose, at)
        return tuple(dict.fromkeys(found))


def loadable(ders: Iterable[bytes]) -> list[Certificate]:
    """The certificates among these that can be read."""
    return [one for one in map(certificates.readable, ders) if one is not None]


def named_by(signer: SignerInfo, candidates: Iterable[Certificate]) -> Certificate | None:
    """The first certificate that the signer names (RFC 5652 5.3)."""
    return next((candidate for candidate in candidates if _names(signer, candidate)), None)


def identify(signer: SignerInfo, candidates: Sequence[Certificate], *, trusting: bool = False) -> Certificate:
    """Clause 5.2.3: the certificate that the signature names, and where it states a digest of it, that one.

    `trusting`: who signed is not asked for, so that a digest which can be no certificate's at all, being of another
    length than its algorithm's, is left aside (`has_unusable_reference` tells it). Raises Stop.
    """
    certificate = named_by(signer, candidates)
    if certificate is None:
        raise _unidentified("the signer's certificate is not with the signature")
    for reference in signer.references:
        try:
            actual = algorithms.digest(algorithms.digest_label(reference.digest_oid), certificate.der)
        except AlgorithmError as error:
            raise _unidentified(str(error)) from error
        if actual != reference.digest and not (trusting and len(actual) != len(reference.digest)):
            raise _unidentified("the signed reference is to another certificate than the signer's")
    return certificate


def has_unusable_reference(signer: SignerInfo) -> bool:
    """True where a stated digest of the certificate has another length than its algorithm's."""
    return any(_length(reference) != len(reference.digest) for reference in signer.references)


def _length(reference: CertificateReference) -> int:
    try:
        return len(algorithms.digest(algorithms.digest_label(reference.digest_oid)))
    except AlgorithmError:
        return 0


def _unidentified(detail: str) -> Stop:
    return Stop(Indication.INDETERMINATE, SubIndication.NO_SIGNING_CERTIFICATE_FOUND, detail)


def check_value(
    signer: SignerInfo, certificate: Certificate, content_type: str, digest: Callable[[str], bytes] | None
) -> Signed:
    """Clause 5.2.7: digest of the signed data, then the signature value. Raises Stop.

    `digest` computes the content's, by algorithm label; None when the content is not at hand.
    """
    if digest is None:
        missing = SubIndication.SIGNED_DATA_NOT_FOUND
        raise Stop(Indication.INDETERMINATE, missing, "the signed content is missing")
    malformed = SubIndication.FORMAT_FAILURE
    try:
        digest_name = algorithms.digest_label(signer.digest.oid)
        scheme = algorithms.signature_algorithm(signer.signature_algorithm, digest_name)
        key = certificate.public_key()
    except AlgorithmError as error:
        weak = Notice(Code.ALG_WEAK, str(error))
        raise Stop(Indication.TOTAL_FAILED, malformed, str(error), weak) from error
    except CertificateError as error:
        raise Stop(Indication.INDETERMINATE, SubIndication.GENERIC, str(error)) from error
    try:
        signed = digest(digest_name)
    except DigestMissing as error:
        missing = SubIndication.SIGNED_DATA_NOT_FOUND
        raise Stop(Indication.INDETERMINATE, missing, str(error)) from error
    if signer.signed_octets:
        _attributes_fit(signer, content_type, signed)
        signed = algorithms.digest(scheme.digest, signer.signed_octets)
    _require_fit(lambda: algorithms.holds(key, scheme, signer.signature, signed))
    return Signed(scheme, key, (digest_name,))


def check_proof(proof: Proof, bearer: Certificate | PublicKeyTypes) -> Signed:
    """Clause 5.2.7 where the reader has compared the digests: the value is left. Raises Stop."""
    try:
        key = bearer.public_key() if isinstance(bearer, Certificate) else bearer
    except CertificateError as error:
        raise Stop(Indication.INDETERMINATE, SubIndication.GENERIC, str(error)) from error
    _require_fit(lambda: proof.holds(key))
    return Signed(proof.scheme, key, proof.digests, proof.weak)


def _require_fit(holds: Callable[[], bool]) -> None:
    failed = SubIndication.SIG_CRYPTO_FAILURE
    try:
        held = holds()
    except AlgorithmError as error:
        raise Stop(Indication.TOTAL_FAILED, failed, str(error)) from error
    if not held:
        detail = "the signature value does not fit the signed data and the signer's key"
        raise Stop(Indication.TOTAL_FAILED, failed, detail, broken=True)


def _attributes_fit(signer: SignerInfo, content_type: str, content_digest: bytes) -> None:
    """RFC 5652 5.3, 11.1, 11.2: signed attributes must name the content's type and its digest.

    What a counter-signature signs has no type, given as "", and none is to be named (11.4).
    """
    malformed = SubIndication.FORMAT_FAILURE
    if signer.message_digest is None or (signer.content_type is None and content_type):
        detail = "the signed attributes lack content-type or message-digest"
        raise Stop(Indication.TOTAL_FAILED, malformed, detail)
    if (signer.content_type or "") != content_type:
        raise Stop(Indication.TOTAL_FAILED, malformed, "the signed content-type is not that of the content")
    if signer.message_digest != content_digest:
        detail = "the signed digest is not that of the content"
        modified = Notice(Code.DOC_MODIFIED, detail)
        raise Stop(Indication.TOTAL_FAILED, SubIndication.HASH_FAILURE, detail, modified, broken=True)


def may_sign_documents(certificate: Certificate) -> bool:
    """True unless keyUsage is there and allows neither digitalSignature nor nonRepudiation. Raises CertificateError."""
    try:
        usage = certificate.extensions().get_extension_for_class(x509.KeyUsage).value
    except x509.ExtensionNotFound:
        return True
    return usage.digital_signature or usage.content_commitment


_OF_SERVICES = frozenset(
    {
        ExtendedKeyUsageOID.SERVER_AUTH,
        ExtendedKeyUsageOID.TIME_STAMPING,
        ExtendedKeyUsageOID.OCSP_SIGNING,
    }
)


def is_of_a_service(certificate: Certificate) -> bool:
    """True where the extended key usage allows nothing but what servers, time-stamp units and OCSP responders do.

    A key must be used for one of the purposes that stand there alone (RFC 5280 4.2.1.12). Raises CertificateError.
    """
    try:
        purposes = certificate.extensions().get_extension_for_class(x509.ExtendedKeyUsage).value
    except x509.ExtensionNotFound:
        return False
    return set(purposes) <= _OF_SERVICES


def _names(signer: SignerInfo, certificate: Certificate) -> bool:
    if signer.subject_key_id is not None:
        try:
            extension = certificate.extensions().get_extension_for_class(x509.SubjectKeyIdentifier)
        except (x509.ExtensionNotFound, CertificateError):
            return False
        return extension.value.digest == signer.subject_key_id
    if signer.serial != certificate.parsed.serial_number:
        return False
    return signer.issuer == certificate.parsed.issuer.public_bytes() or _same_name(signer.issuer, certificate)


def _same_name(issuer: bytes, certificate: Certificate) -> bool:
    """Names re-encoded by a signer (another string type) are the same when their attributes' text is."""
    try:
        name = ber.load(issuer)[0].expect(ber.SEQUENCE, "Name")
        stated = [
            [_attribute(a) for a in rdn.expect(ber.SET, "RelativeDistinguishedName").children()]
            for rdn in name.children()
        ]
    except (BerError, IndexError, UnicodeDecodeError):
        return False
    return tuple(tuple(sorted(rdn)) for rdn in stated) == certificate.issuer_key


_STRINGS = {
    0x0C: "utf-8", 0x1E: "utf-16-be", 0x1C: "utf-32-be",
    0x12: "latin-1", 0x13: "latin-1", 0x14: "latin-1", 0x16: "latin-1", 0x1A: "latin-1",
}  # fmt: skip
"""Encodings of the string types that names have, by tag (X.680 clause 41)."""


def _attribute(node: ber.Node) -> tuple[str, str]:
    oid, value = node.expect(ber.SEQUENCE, "AttributeTypeAndValue").children()
    encoding = _STRINGS.get(value.tag)
    if encoding is None:
        raise BerError(f"an attribute of a name at {value.start} is no string")
    return ber.oid(oid), certificates.prepared(value.contents.decode(encoding))
