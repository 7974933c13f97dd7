"""Signing as an authority: certificates and CRLs, for the registry, with keys that this signer's own settings name.

The registry decides what it wants certified; what a CA key may sign at all is decided here, so that a registry in wrong
hands cannot turn a document key into a CA, an end-entity certificate into an OCSP responder, or the root into a signer
of end entities. The clauses are RFC 5280 section 4.1 (certificates) and 5.1 (CRLs).
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from enum import Enum
from typing import Literal

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, ExtensionOID

from services.kernel.errors import Conflict, DomainError, FieldInvalid, Forbidden, Internal, NotFound
from services.kernel.values import KeyAlgorithm, SigningAlgorithm
from services.signer import x509_der
from services.signer.hsm_types import KeyLocator
from services.signer.ports import AuthorityKey, Clock, KeyStore, Signer
from services.signer.service.selfcheck import make_verify

FIELD = "to_be_signed"
MAX_CERTIFICATE_BYTES = 64 * 1024
MAX_CRL_BYTES = 32 * 1024 * 1024
MAX_VALIDITY = timedelta(days=5 * 366 + 1)
"""Five years (RG-05) with their leap days, and a day."""
NEVER_FOR_END_ENTITIES = frozenset(
    {
        ExtendedKeyUsageOID.OCSP_SIGNING,
        ExtendedKeyUsageOID.TIME_STAMPING,
        ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE,
    }
)


class Purpose(Enum):
    """What an authority signature is for; the value is the settings' word."""

    CERTIFICATE = "certificate"
    CRL = "crl"


@dataclass(frozen=True, slots=True)
class AuthorityRule:
    """What the settings allow one key."""

    name: str
    role: Literal["root", "issuing"]
    algorithm: KeyAlgorithm
    may_sign: frozenset[str]
    create: bool


class Authority:
    """The use cases behind GenerateAuthorityKey and SignAuthority."""

    def __init__(
        self, rules: Mapping[str, AuthorityRule], keys: KeyStore, hsm: Signer, token_group: str, clock: Clock
    ) -> None:
        """`token_group` is where authority keys live: never where document keys do."""
        self._rules, self._keys, self._hsm, self._group, self._clock = rules, keys, hsm, token_group, clock
        self._making = asyncio.Lock()

    async def generate(self, name: str) -> AuthorityKey:
        """Make the key that the settings name, or return it where it is there."""
        rule = self._rule(name)
        async with self._making:
            there = await self._keys.authority_key(name)
            if there is not None:
                return there
            if not rule.create:
                raise NotFound(
                    f"authority key {name} is not there, and the signer's settings do not let it be made"
                )
            made = await self._hsm.generate(self._group, rule.algorithm)
            new = AuthorityKey(
                name=name,
                algorithm=rule.algorithm,
                token_group=made.locator.token_group,
                cka_id=made.locator.cka_id,
                spki=made.spki,
                spki_sha256=made.locator.spki_sha256,
                subject=None,
            )
            return await self._keys.add_authority_key(new, self._clock())

    async def sign(self, name: str, purpose: Purpose, to_be_signed: bytes) -> bytes:
        """Check and sign; return the whole Certificate or CertificateList, verified under the key."""
        # 1. What the settings allow.
        rule = self._rule(name)
        if purpose.value not in rule.may_sign:
            raise Forbidden(f"authority key {name} may not sign a {purpose.value}, say the signer's settings")
        limit = MAX_CERTIFICATE_BYTES if purpose is Purpose.CERTIFICATE else MAX_CRL_BYTES
        if len(to_be_signed) > limit:
            raise FieldInvalid(f"{FIELD} is larger than {limit} bytes", field=FIELD)
        key = await self._keys.authority_key(name)
        if key is None:
            raise NotFound(f"authority key {name} is not there yet: generate it first")
        # 2. What the bytes are, and whether this key signs such.
        algorithm = x509_der.inner_algorithm(to_be_signed, FIELD)
        algorithm.require_fit(key.algorithm)
        subjects: dict[str, bytes] = {}
        if purpose is Purpose.CERTIFICATE:
            x509_der.require_serial(to_be_signed, FIELD)
            parsed = x509_der.parse_certificate(to_be_signed, algorithm, FIELD)
            subjects = await self._check_certificate(rule, key, parsed, to_be_signed)
        else:
            # A CRL of many megabytes is read beside the event loop; a certificate is not worth the way.
            crl = await asyncio.to_thread(x509_der.parse_crl, to_be_signed, algorithm, FIELD)
            _check_crl(key, crl, to_be_signed)
        # 3. Sign and verify.
        digest = await asyncio.to_thread(algorithm.digest.digest, to_be_signed)
        signature = await self._signature(key, algorithm, digest)
        # 4. A CA's own name is fixed with its first certificate: from then on it issues in that name only.
        for ca, subject in subjects.items():
            if await self._keys.set_authority_subject(ca, subject) != subject:
                raise Conflict(f"authority key {ca} already has a certificate in another name")
        return x509_der.signed(to_be_signed, algorithm, signature)

    def _rule(self, name: str) -> AuthorityRule:
        rule = self._rules.get(name)
        if rule is None:
            raise NotFound(f"the signer's settings name no authority key {name[:64]!r}")
        return rule

    async def _signature(self, key: AuthorityKey, algorithm: SigningAlgorithm, digest: bytes) -> bytes:
        locator = KeyLocator(key.token_group, key.cka_id, key.spki_sha256)
        (outcome,) = await self._hsm.sign(locator, algorithm, [digest])
        if isinstance(outcome, DomainError):
            raise outcome
        try:
            make_verify(key.spki, algorithm)(outcome, digest)
        except InvalidSignature as error:
            raise Internal(
                "the authority signature made does not verify under the authority's key"
            ) from error
        return outcome

    async def _check_certificate(
        self, rule: AuthorityRule, key: AuthorityKey, parsed: x509.Certificate, tbs: bytes
    ) -> dict[str, bytes]:
        """Refuse what this key may not certify; return the CA names that this certificate fixes, by key name."""
        _require(parsed.tbs_certificate_bytes == tbs, "is not in DER")
        _require(parsed.version is x509.Version.v3, "must be version 3")
        _require(parsed.not_valid_before_utc < parsed.not_valid_after_utc, "must end after it begins")
        spki = parsed.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        subject, issuer = parsed.subject.public_bytes(), parsed.issuer.public_bytes()
        if rule.role == "root" and spki == key.spki:
            _require(
                subject == issuer, "certifies the root's own key, so subject and issuer must be the same"
            )
            _require(
                key.subject in {None, subject},
                "names another root than the one that this key certified itself as",
            )
            _check_ca(parsed, max_path_length=None)
            return {key.name: subject}
        if key.subject is None:
            raise Conflict(f"authority key {key.name} has no certificate of its own yet: sign that first")
        _require(issuer == key.subject, "names another issuer than this CA's own subject")
        owner = await self._authority_of(spki)
        if rule.role == "root":
            # Whoever can write requests must not be able to make a CA of a key that lies elsewhere.
            _require(
                owner is not None and owner.role == "issuing", "must certify an issuing key of this signer"
            )
            _check_ca(parsed, max_path_length=0)
            return {} if owner is None else {owner.name: await self._name_of(owner, subject)}
        _require(owner is None, "must not certify an authority key")
        _check_end_entity(parsed)
        return {}

    async def _name_of(self, owner: AuthorityRule, subject: bytes) -> bytes:
        """Return the CA's name, or raise Conflict where it has a certificate in another."""
        key = await self._keys.authority_key(owner.name)
        if key is not None and key.subject not in {None, subject}:
            raise Conflict(f"authority key {owner.name} already has a certificate in another name")
        return subject

    async def _authority_of(self, spki: bytes) -> AuthorityRule | None:
        digest = hashlib.sha256(spki).digest()
        for rule in self._rules.values():
            key = await self._keys.authority_key(rule.name)
            if key is not None and key.spki_sha256 == digest:
                return rule
        return None


def _require(condition: bool, text: str) -> None:
    if not condition:
        raise FieldInvalid(f"{FIELD}: the certificate or CRL {text}", field=FIELD)


def _check_ca(parsed: x509.Certificate, max_path_length: int | None) -> None:
    basic = _extension(parsed, ExtensionOID.BASIC_CONSTRAINTS)
    usage = _extension(parsed, ExtensionOID.KEY_USAGE)
    _require(
        basic is not None
        and basic.critical
        and isinstance(basic.value, x509.BasicConstraints)
        and basic.value.ca,
        "must say critically that it is a CA: the root signs nothing else",
    )
    if max_path_length is not None and basic is not None and isinstance(basic.value, x509.BasicConstraints):
        _require(basic.value.path_length == max_path_length, f"must have path length {max_path_length}")
    _require(
        usage is not None
        and usage.critical
        and isinstance(usage.value, x509.KeyUsage)
        and _usages(usage.value) == {"key_cert_sign", "crl_sign"},
        "must have the critical key usage keyCertSign and cRLSign, and no other",
    )


def _check_end_entity(parsed: x509.Certificate) -> None:
    basic = _extension(parsed, ExtensionOID.BASIC_CONSTRAINTS)
    if basic is not None and isinstance(basic.value, x509.BasicConstraints):
        _require(not basic.value.ca, "must not be a CA")
    usage = _extension(parsed, ExtensionOID.KEY_USAGE)
    _require(usage is not None and isinstance(usage.value, x509.KeyUsage), "must have a key usage")
    if usage is not None and isinstance(usage.value, x509.KeyUsage):
        _require(
            not _usages(usage.value) & {"key_cert_sign", "crl_sign"}, "must not have keyCertSign or cRLSign"
        )
    extended = _extension(parsed, ExtensionOID.EXTENDED_KEY_USAGE)
    if extended is not None and isinstance(extended.value, x509.ExtendedKeyUsage):
        _require(
            not NEVER_FOR_END_ENTITIES & set(extended.value),
            "must not have the extended key usage OCSPSigning, timeStamping or any",
        )
    _require(
        parsed.not_valid_after_utc - parsed.not_valid_before_utc <= MAX_VALIDITY,
        "must not be valid for more than five years and a day",
    )
    public = parsed.public_key()
    fits = (isinstance(public, rsa.RSAPublicKey) and 2048 <= public.key_size <= 4096) or (
        isinstance(public, ec.EllipticCurvePublicKey)
        and isinstance(public.curve, (ec.SECP256R1, ec.SECP384R1))
    )
    _require(fits, "must certify an RSA key of 2048 to 4096 bits or an EC key on P-256 or P-384")


def _check_crl(key: AuthorityKey, parsed: x509.CertificateRevocationList, tbs: bytes) -> None:
    _require(parsed.tbs_certlist_bytes == tbs, "is not in DER")
    if key.subject is None:
        raise Conflict(f"authority key {key.name} has no certificate of its own yet: sign that first")
    _require(parsed.issuer.public_bytes() == key.subject, "names another issuer than this CA's own subject")
    next_update = parsed.next_update_utc
    _require(
        next_update is not None and parsed.last_update_utc < next_update,
        "must say when the next one comes (RFC 5280 section 5.1.2.5)",
    )
    present = {extension.oid for extension in parsed.extensions}
    _require(ExtensionOID.CRL_NUMBER in present, "must have a number (RFC 5280 section 5.2.3)")


def _extension(
    parsed: x509.Certificate, oid: x509.ObjectIdentifier
) -> x509.Extension[x509.ExtensionType] | None:
    try:
        return parsed.extensions.get_extension_for_oid(oid)
    except x509.ExtensionNotFound:
        return None


def _usages(usage: x509.KeyUsage) -> set[str]:
    names = (
        "digital_signature",
        "content_commitment",
        "key_encipherment",
        "data_encipherment",
        "key_agreement",
        "key_cert_sign",
        "crl_sign",
    )
    return {name for name in names if getattr(usage, name)}
