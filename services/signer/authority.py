"""Signing as an authority: certificates and CRLs, for the registry, with keys that this signer's own settings name.

The registry decides what it wants certified; which key may sign what is decided here, so that a registry in wrong hands
cannot turn a document key into a CA or the root into a signer of end entities. What certificates and CRLs may look like
at all stands in `authority_profile`. Nothing leaves that the ledger does not hold.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import Enum
from typing import Literal

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from services.kernel.errors import Conflict, DomainError, FieldInvalid, Forbidden, Internal, NotFound
from services.kernel.values import KeyAlgorithm, SigningAlgorithm
from services.signer import authority_profile as profile
from services.signer import x509_der
from services.signer.authority_profile import FIELD, require
from services.signer.hsm.types import KeyLocator
from services.signer.ledger import Entry, Facts
from services.signer.ports import AuthorityKey, Clock, KeyStore, Signer, SigningStore
from services.signer.service.selfcheck import make_verify

KIND = "authority"
"""In the ledger. Which key is its `key_id`, and a CRL's number its `reference`."""
MAX_CERTIFICATE_BYTES = 64 * 1024
MAX_CRL_BYTES = 32 * 1024 * 1024


class Purpose(Enum):
    """What an authority signature is for; the value is the settings' word."""

    CERTIFICATE = "certificate"
    CRL = "crl"


@dataclass(frozen=True, slots=True)
class AuthorityRule:
    """What the settings allow one key."""

    name: str
    role: Literal["root", "issuing", "time_stamping"]
    algorithm: KeyAlgorithm
    may_sign: frozenset[str]
    create: bool


class Authority:
    """The use cases behind GenerateAuthorityKey and SignAuthority."""

    def __init__(
        self,
        rules: Mapping[str, AuthorityRule],
        keys: KeyStore,
        hsm: Signer,
        token_group: str,
        ledger: SigningStore,
        clock: Clock,
    ) -> None:
        """`token_group` is where authority keys live: never where document keys do."""
        self._rules, self._keys, self._hsm, self._group = rules, keys, hsm, token_group
        self._ledger, self._clock = ledger, clock
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

    async def sign(self, name: str, purpose: Purpose, to_be_signed: bytes, request_id: str = "") -> bytes:
        """Check and sign; return the whole Certificate or CertificateList, verified under the key and recorded."""
        # 1. What the settings allow.
        rule = self._rule(name)
        if purpose.value not in rule.may_sign or rule.role == "time_stamping":
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
            named = {"serial_number": f"{parsed.serial_number:x}"}
        else:
            # A CRL of many megabytes is read beside the event loop; a certificate is not worth the way.
            named = {"reference": await asyncio.to_thread(self._check_crl, key, to_be_signed, algorithm)}
        # 3. Sign and verify.
        digest = await asyncio.to_thread(algorithm.digest.digest, to_be_signed)
        signature = await self._signature(key, algorithm, digest)
        # 4. A CA's own name is fixed with its first certificate: from then on it issues in that name only.
        for ca, subject in subjects.items():
            if await self._keys.set_authority_subject(ca, subject) != subject:
                raise Conflict(f"authority key {ca} already has a certificate in another name")
        # 5. No signature leaves that the ledger does not know.
        facts = Facts.of_registry(KIND, to_be_signed, request_id=request_id, key_id=name, **named)
        facts = replace(facts, document_type=purpose.value, algorithm=algorithm.label)
        await self._ledger.note(Entry.signed(facts, signature, self._clock()))
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
        require(parsed.tbs_certificate_bytes == tbs, "is not in DER")
        profile.check_certificate(parsed, self._clock())
        spki = parsed.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        subject, issuer = parsed.subject.public_bytes(), parsed.issuer.public_bytes()
        if rule.role == "root" and spki == key.spki:
            require(subject == issuer, "certifies the root's own key, so subject and issuer must be the same")
            require(
                key.subject in {None, subject},
                "names another root than the one that this key certified itself as",
            )
            profile.check_ca(parsed, max_path_length=None)
            return {key.name: subject}
        if key.subject is None:
            raise Conflict(f"authority key {key.name} has no certificate of its own yet: sign that first")
        require(issuer == key.subject, "names another issuer than this CA's own subject")
        owner = await self._authority_of(spki)
        if rule.role == "root":
            # Whoever can write requests must not be able to make a CA of a key that lies elsewhere.
            require(
                owner is not None and owner.role == "issuing", "must certify an issuing key of this signer"
            )
            profile.check_ca(parsed, max_path_length=0)
            require(subject != key.subject, "must not have the root's name")
            return {} if owner is None else {owner.name: await self._name_of(owner, subject)}
        if owner is not None and owner.role == "time_stamping":
            profile.check_time_stamp_unit(parsed, await self._ca_names())
            return {}
        require(owner is None, "must not certify an authority key")
        profile.check_leaf(parsed, await self._ca_names())
        return {}

    def _check_crl(self, key: AuthorityKey, to_be_signed: bytes, algorithm: SigningAlgorithm) -> str:
        """Refuse what is no CRL of this key's; return its number."""
        parsed = x509_der.parse_crl(to_be_signed, algorithm, FIELD)
        require(parsed.tbs_certlist_bytes == to_be_signed, "is not in DER")
        if key.subject is None:
            raise Conflict(f"authority key {key.name} has no certificate of its own yet: sign that first")
        require(
            parsed.issuer.public_bytes() == key.subject, "names another issuer than this CA's own subject"
        )
        profile.check_crl(parsed, x509_der.entry_extensions(parsed, FIELD), self._clock())
        return str(profile.crl_number(parsed))

    async def _ca_names(self) -> list[x509.Name]:
        """Return the names of every CA of the settings that has one."""
        keys = [await self._keys.authority_key(name) for name in self._rules]
        return [x509_der.name_of(key.subject, key.spki) for key in keys if key and key.subject is not None]

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
