"""The one shape of a signature format.

A format never sees a key. `prepare` says which digest the key must sign and gives a state to keep; `complete` takes
the signature value and gives back what was added, after checking it as an outside verifier would. Between the two
calls nothing but the state is kept, so they may run in different processes.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from io import BytesIO
from typing import TYPE_CHECKING, BinaryIO, Protocol

if TYPE_CHECKING:
    from services.kernel.values import DigestAlgorithm
    from services.signer.formats.parameters import SignatureParameters

CHUNK_BYTES = 1 << 20


class Hash(Protocol):
    """The part of hashlib's objects that formats use."""

    def update(self, data: bytes | memoryview, /) -> None:
        """Take more bytes."""

    def digest(self) -> bytes:
        """Give the digest of what was taken."""


@dataclass(frozen=True, slots=True)
class Document:
    """A document to sign: a seekable binary stream and its size in bytes."""

    stream: BinaryIO
    size: int

    @classmethod
    def of(cls, data: bytes) -> Document:
        """Wrap bytes."""
        return cls(BytesIO(data), len(data))

    def hash(self, algorithm: DigestAlgorithm) -> Hash:
        """Hash the whole document in pieces of 1 MiB; the object returned takes more bytes."""
        running = hashlib.new(algorithm.hashlib_name)
        if isinstance(self.stream, BytesIO):
            with self.stream.getbuffer() as view:
                running.update(view)
            return running
        self.stream.seek(0)
        while chunk := self.stream.read(CHUNK_BYTES):
            running.update(chunk)
        return running


@dataclass(frozen=True, slots=True)
class Prepared:
    """What `prepare` gives: the digest for the key, and the state that `complete` needs."""

    digest: bytes
    """Digest, by the signing algorithm's hash, of the DER signed attributes: what the key signs."""
    state: bytes
    """Opaque to the caller; the size of what will be added, plus some hundred bytes."""


class SignatureFormat(Protocol):
    """One signature format at one level."""

    def prepare(self, document: Document, parameters: SignatureParameters) -> Prepared:
        """Build what must be signed. Raises the DOCUMENT_* errors, FieldInvalid, AlgorithmMismatch."""

    def complete(
        self, document: Document, parameters: SignatureParameters, state: bytes, signature: bytes
    ) -> bytes:
        """Give what is added (PDF increment or container) for the same document and parameters.

        `signature` is the value as CMS carries it: RSA big-endian, ECDSA as DER ECDSA-Sig-Value (RFC 3279 2.2.3).
        Raises SelfCheckFailed where the finished signature does not verify.
        """
