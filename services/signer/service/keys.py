"""Making document keys, and the proof of possession by which an outside CA certifies them."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from weakref import WeakValueDictionary

from services.kernel.errors import DomainError, FieldInvalid, NotFound
from services.kernel.values import DigestAlgorithm, KeyAlgorithm, SigningAlgorithm, default_scheme, new_id
from services.signer import x509_der
from services.signer.domain import Key
from services.signer.fields import require_id
from services.signer.hsm.types import KeyLocator
from services.signer.ledger import Entry, Facts
from services.signer.ports import Clock, KeyStore, Signer, SigningStore
from services.signer.service.selfcheck import make_verify

KIND = "certification_request"
"""In the ledger."""
MAX_REQUEST_INFO_BYTES = 64 * 1024


def authority_digest(algorithm: KeyAlgorithm) -> DigestAlgorithm:
    """Return the digest used where nobody chooses one: as strong as the key, SHA-256 for RSA and P-256."""
    return DigestAlgorithm.SHA384 if algorithm is KeyAlgorithm.ECDSA_P384 else DigestAlgorithm.SHA256


class KeyService:
    """Document keys: each belongs to one credential for its whole life."""

    def __init__(
        self, keys: KeyStore, hsm: Signer, token_group: str, ledger: SigningStore, clock: Clock
    ) -> None:
        """`token_group` is where document keys live."""
        self._keys, self._hsm, self._group, self._ledger, self._clock = keys, hsm, token_group, ledger, clock
        self._making: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    async def generate(self, credential_id: str, algorithm: KeyAlgorithm) -> Key:
        """Make the key of a credential, or return the one that it has; raise FieldInvalid where that is another kind."""
        require_id(credential_id, "credential_id")
        # A second call waits for the first, or it would leave a key in the token that belongs to nobody.
        lock = self._making.setdefault(credential_id, asyncio.Lock())
        async with lock:
            key = await self._keys.key_of_credential(credential_id)
            if key is None:
                made = await self._hsm.generate(self._group, algorithm)
                locator = made.locator
                new = Key(
                    id=new_id("key"),
                    credential_id=credential_id,
                    algorithm=algorithm,
                    token_group=locator.token_group,
                    cka_id=locator.cka_id,
                    spki=made.spki,
                    spki_sha256=locator.spki_sha256,
                )
                key = await self._keys.add_key(new, self._clock())
        if key.algorithm is not algorithm:
            raise FieldInvalid(
                f"credential {credential_id} has a key of another kind already: {key.algorithm.label}",
                field="algorithm",
            )
        return key

    async def sign_certification_request(
        self, key_id: str, request_info: bytes, request_id: str = ""
    ) -> bytes:
        """Sign a CertificationRequestInfo (RFC 2986 section 4.1, DER) with the key that it names; return the request.

        No signature leaves that the ledger does not know.
        """
        if len(request_info) > MAX_REQUEST_INFO_BYTES:
            raise FieldInvalid(
                f"a CertificationRequestInfo has at most {MAX_REQUEST_INFO_BYTES} bytes",
                field="certification_request_info",
            )
        key = await self._keys.key(require_id(key_id, "key_id"))
        if key is None:
            raise NotFound(f"no key {key_id}", key_id=key_id)
        algorithm = SigningAlgorithm(default_scheme(key.algorithm), authority_digest(key.algorithm))
        if x509_der.spki_of_request_info(request_info) != key.spki:
            raise FieldInvalid(
                "the request names another public key than this key's", field="certification_request_info"
            )
        digest = algorithm.digest.digest(request_info)
        locator = KeyLocator(key.token_group, key.cka_id, key.spki_sha256)
        (outcome,) = await self._hsm.sign(locator, algorithm, [digest])
        if isinstance(outcome, DomainError):
            raise outcome
        make_verify(key.spki, algorithm)(outcome, digest)
        facts = Facts.of_registry(
            KIND, request_info, request_id=request_id, key_id=key.id, credential_id=key.credential_id
        )
        facts = replace(facts, algorithm=algorithm.label)
        await self._ledger.note(Entry.signed(facts, outcome, self._clock()))
        return x509_der.signed(request_info, algorithm, outcome)
