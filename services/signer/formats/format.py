"""The one shape of a signature format.

A format never sees a key and never asks the network. `prepare` says which digest the key must sign and gives a state
to keep; `complete` takes the signature value and gives back what was added, after checking it as an outside verifier
would. Levels above B-B are reached by `next_need` and the two calls that answer it, over and over, until nothing is
needed any more; the same calls extend a signature that was made elsewhere. Between any two calls nothing but the
states is kept, so they may run in different processes.
"""

from __future__ import annotations

import hashlib
import mmap
import os
from dataclasses import dataclass
from enum import Enum
from io import BytesIO, FileIO
from typing import TYPE_CHECKING, BinaryIO, Protocol

from services.kernel.errors import FieldInvalid
from services.signer.formats.streams import FileWindow

if TYPE_CHECKING:
    from services.kernel.values import Digest, DigestAlgorithm
    from services.signer.formats.parameters import Level, SignatureParameters

CHUNK_BYTES = 1 << 20
_MAPPED_BYTES = 16 << 20
_MAP_FLAGS = mmap.MAP_PRIVATE | getattr(mmap, "MAP_POPULATE", 0)


class Hash(Protocol):
    """The part of hashlib's objects that formats use."""

    def update(self, data: bytes | memoryview, /) -> None:
        """Take more bytes."""

    def digest(self) -> bytes:
        """Give the digest of what was taken."""


class Role(Enum):
    """What a file of a request is for."""

    CONTENT = "content"
    """To be signed, or what was signed."""
    SIGNATURE = "signature"
    """An existing signature container: takes one more signature, or is extended."""
    IMAGE = "image"
    """PNG image of a visible signature."""


@dataclass(frozen=True, slots=True)
class FileStart:
    """Begins a file of a request."""

    role: Role = Role.CONTENT
    name: str = ""
    """Unicode NFC; may be empty. Never a path."""
    media_type: str = ""


@dataclass(frozen=True, slots=True)
class Document:
    """The first file of a request, a seekable binary stream with its size in bytes, and the files that came with it."""

    stream: BinaryIO
    size: int
    name: str = ""
    """As the caller knows it, Unicode NFC; may be empty. Never a path."""
    media_type: str = ""
    role: Role = Role.CONTENT
    others: tuple[Document, ...] = ()
    """The files after the first, in order; their own `others` are empty."""
    known_digest: Digest | None = None
    """Set where the content stays with the caller: the stream is empty and `hash` knows nothing but this."""

    @classmethod
    def of(cls, data: bytes) -> Document:
        """Wrap bytes."""
        return cls(BytesIO(data), len(data))

    @property
    def files(self) -> tuple[Document, ...]:
        """Every file of the request, this one first."""
        return (self, *self.others)

    def role_of(self, role: Role) -> tuple[Document, ...]:
        """Return the files of a role, in order."""
        return tuple(file for file in self.files if file.role is role)

    def read(self) -> bytes:
        """Read the whole document: for formats whose files are small, after checking `size`."""
        self.stream.seek(0)
        return self.stream.read(self.size)

    def _hash_mapped(self, running: Hash) -> bool:
        """Hash a file that lies on disk without copying it; False where the stream is of another kind.

        Copying and the pages for the copies cost a fifth of SHA-256. A piece at a time is mapped, so that neither
        address space nor memory grows with the file.
        """
        raw = getattr(self.stream, "raw", None)
        if isinstance(raw, FileIO):
            descriptor, start = raw.fileno(), 0
        elif isinstance(raw, FileWindow):
            descriptor, start = raw.descriptor, raw.offset
        else:
            return False
        if os.fstat(descriptor).st_size < start + self.size:
            return False
        skip = start % mmap.ALLOCATIONGRANULARITY
        at, end = start - skip, start + self.size
        while at < end:
            length = min(_MAPPED_BYTES, end - at)
            try:
                mapped = mmap.mmap(descriptor, length, _MAP_FLAGS, mmap.PROT_READ, offset=at)
            except OSError:
                # No address space left for it, or a file that cannot be mapped: it can be read nevertheless.
                if at + skip > start:
                    raise
                return False
            with mapped, memoryview(mapped) as whole, whole[skip:] as piece:
                running.update(piece)
            skip = 0
            at += length
        return True

    def hash(self, algorithm: DigestAlgorithm) -> Hash:
        """Hash the whole document in pieces of 1 MiB; the object returned takes more bytes.

        Raises FieldInvalid where only a digest by another algorithm is known.
        """
        if self.known_digest is not None:
            if self.known_digest.algorithm is not algorithm:
                raise FieldInvalid(
                    f"the content's digest must be by {algorithm.label}", field="content_digest"
                )
            return _KnownHash(self.known_digest.value)
        running = hashlib.new(algorithm.hashlib_name)
        if isinstance(self.stream, BytesIO):
            # No copy: the bytes that the stream was made of.
            running.update(self.stream.getvalue())
            return running
        if self._hash_mapped(running):
            return running
        self.stream.seek(0)
        while chunk := self.stream.read(CHUNK_BYTES):
            running.update(chunk)
        return running


class _KnownHash:
    """The hash of a content that is not here."""

    def __init__(self, value: bytes) -> None:
        self._value = value

    def update(self, _data: bytes | memoryview, /) -> None:
        raise FieldInvalid("this packaging needs the content itself, not its digest", field="content_digest")

    def digest(self) -> bytes:
        return self._value


@dataclass(frozen=True, slots=True)
class Prepared:
    """What `prepare` gives: the digest for the key, and the state that `complete` needs."""

    digest: bytes
    """Digest, by the signing algorithm's hash, of what the key signs (DER signed attributes, SignedInfo, ...)."""
    state: bytes
    """Opaque to the caller; the size of what will be added, plus some hundred bytes."""
    warnings: tuple[str, ...] = ()
    """What was done although a rule advises against it, as "CODE: sentence"."""


@dataclass(frozen=True, slots=True)
class TimeStampNeeded:
    """A time-stamp token is wanted over this imprint."""

    imprint: bytes
    """messageImprint (RFC 3161 section 2.4.1), by the digest algorithm that was asked for."""
    state: bytes = b""
    """Opaque; comes back with the token."""


@dataclass(frozen=True, slots=True)
class EvidenceNeeded:
    """Issuers and revocation values are wanted for these certificates."""

    certificates: tuple[bytes, ...]
    """DER: signers', time-stamp units', and whatever else was found with them."""
    state: bytes = b""


Need = TimeStampNeeded | EvidenceNeeded


@dataclass(frozen=True, slots=True)
class Evidence:
    """What validates certificates later: DER values, checked by the verifier, without repetition."""

    certificates: tuple[bytes, ...] = ()
    crls: tuple[bytes, ...] = ()
    ocsp_responses: tuple[bytes, ...] = ()


@dataclass(frozen=True, slots=True)
class Signed:
    """A signed document on its way to a higher level.

    Just signed here: `document` is what the caller sent and `addition` what `complete` gave. Signed before:
    `document` is the signed file (or signature container) that the caller sent, `addition` is empty until the first
    step, and a detached content is among the document's `others`.
    """

    document: Document
    addition: bytes = b""


class SignatureFormat(Protocol):
    """One signature format. Whatever raises is a DomainError or what a parser raises on hostile bytes."""

    def prepare(self, document: Document, parameters: SignatureParameters) -> Prepared:
        """Build what must be signed. Raises the DOCUMENT_* errors, FieldInvalid, AlgorithmMismatch."""

    def complete(
        self, document: Document, parameters: SignatureParameters, state: bytes, signature: bytes
    ) -> bytes:
        """Give what is added (PDF increment or the whole container) at level B-B.

        `signature` is the value as CMS carries it: RSA big-endian, ECDSA as DER ECDSA-Sig-Value (RFC 3279 2.2.3).
        Room for a time-stamp is left where the parameters' level will need it. Raises SelfCheckFailed where the
        finished signature does not verify.
        """

    def next_need(self, signed: Signed, level: Level, digest: DigestAlgorithm) -> Need | None:
        """Say what must be had next to reach a level; None: it is reached. At level B-B never anything.

        A just signed document asks in the order time-stamp, evidence, archive time-stamp; each answer is asked for
        once. Raises the DOCUMENT_* errors where the file is no signed document of this format.
        """

    def add_time_stamp(self, signed: Signed, need: TimeStampNeeded, token: bytes) -> bytes:
        """Put in a TimeStampToken (DER ContentInfo) whose imprint was checked; return the new addition.

        The new addition stands in place of `signed.addition`. Raises SelfCheckFailed.
        """

    def add_evidence(self, signed: Signed, need: EvidenceNeeded, evidence: Evidence) -> bytes:
        """Put in certificates and revocation values; return the new addition."""
