"""Every fresh signature is verified under the credential's public key before anybody sees it.

A worker, a module or a token that answers something else (the wrong key, a damaged value, another digest) is found
here, and what it answered is never released.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import TypeAlias

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed
from cryptography.hazmat.primitives.serialization import load_der_public_key

from services.kernel.values import DigestAlgorithm, SignatureScheme, SigningAlgorithm
from services.signer.domain import Key

Verify: TypeAlias = Callable[[bytes, bytes], None]
"""Takes signature and digest; raises InvalidSignature."""

KEPT = 4096
INLINE_ITEMS = 4
"""Up to so many are verified at once: moving them to a thread costs as much as a verification."""

_HASHES: dict[DigestAlgorithm, hashes.HashAlgorithm] = {
    DigestAlgorithm.SHA256: hashes.SHA256(),
    DigestAlgorithm.SHA384: hashes.SHA384(),
    DigestAlgorithm.SHA512: hashes.SHA512(),
}


class SelfCheck:
    """Verifies signatures; keeps the parsed public keys of the keys used last."""

    def __init__(self) -> None:
        """Start without keys."""
        self._kept: OrderedDict[tuple[bytes, SigningAlgorithm], Verify] = OrderedDict()

    async def verify(
        self, key: Key, algorithm: SigningAlgorithm, pairs: Sequence[tuple[bytes, bytes]]
    ) -> list[bool]:
        """Return for each (digest, signature) whether it verifies. Large batches do not hold up the event loop."""
        verify = self._of(key, algorithm)
        if len(pairs) <= INLINE_ITEMS:
            return _verify_all(verify, pairs)
        # OpenSSL releases the interpreter lock while it computes, so the thread really runs beside the loop.
        return await asyncio.to_thread(_verify_all, verify, pairs)

    def _of(self, key: Key, algorithm: SigningAlgorithm) -> Verify:
        name = (key.spki_sha256, algorithm)
        kept = self._kept.get(name)
        if kept is not None:
            self._kept.move_to_end(name)
            return kept
        made = self._kept[name] = make_verify(key.spki, algorithm)
        if len(self._kept) > KEPT:
            self._kept.popitem(last=False)
        return made


def make_verify(spki: bytes, algorithm: SigningAlgorithm) -> Verify:
    """Bind a public key (SubjectPublicKeyInfo, DER) and an algorithm to a function that verifies."""
    public = load_der_public_key(spki)
    digest = _HASHES[algorithm.digest]
    prehashed = Prehashed(digest)
    if isinstance(public, ec.EllipticCurvePublicKey):
        ecdsa = ec.ECDSA(prehashed)
        return lambda signature, value: public.verify(signature, value, ecdsa)
    if not isinstance(public, rsa.RSAPublicKey):
        raise UnsupportedAlgorithm("a document key is RSA or EC")
    if algorithm.scheme is SignatureScheme.RSA_PSS:
        pss = padding.PSS(padding.MGF1(digest), salt_length=algorithm.digest.size)
        return lambda signature, value: public.verify(signature, value, pss, prehashed)
    pkcs1 = padding.PKCS1v15()
    return lambda signature, value: public.verify(signature, value, pkcs1, prehashed)


def _verify_all(verify: Verify, pairs: Sequence[tuple[bytes, bytes]]) -> list[bool]:
    answers = []
    for digest, signature in pairs:
        try:
            verify(signature, digest)
        except InvalidSignature:
            answers.append(False)
        else:
            answers.append(True)
    return answers
