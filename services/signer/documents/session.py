"""One document on its way through the document workers: fed, signed, raised to a level, read out."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, cast

from services.kernel.errors import (
    BodyTooLarge,
    EvidenceUnavailable,
    FieldInvalid,
    IdempotencyConflict,
    Internal,
)
from services.signer.documents.wire import MAX_BODY_BYTES, WireError, split
from services.signer.domain import content_sha256
from services.signer.formats.format import EvidenceNeeded, FileStart, Prepared, Role, TimeStampNeeded
from services.signer.formats.parameters import APPENDING_FORMATS, MAX_LEVELS

if TYPE_CHECKING:
    from services.kernel.values import Digest, DigestAlgorithm
    from services.signer.documents.spool import Spool
    from services.signer.formats.format import Evidence, Need
    from services.signer.formats.parameters import FormatName, Level, SignatureParameters

CHUNK_BYTES = 64 * 1024
MAX_FILES = 256
"""Files of one request: each has a row in an ASiC manifest."""

Run = Callable[[dict[str, Any], bytes, "Spool"], Awaitable[tuple[dict[str, Any], bytes]]]
"""Does one step in some worker."""


class DocumentSession:
    """One document, with the files that came along. Not for several tasks at once."""

    def __init__(self, run: Run, max_bytes: int, spool: Spool) -> None:
        """Made by `DocumentWorkers.session`."""
        self._run_step, self._max_bytes, self._spool = run, max_bytes, spool
        self._sha256 = hashlib.sha256()
        self._files: list[tuple[FileStart, int]] = []
        self._known: Digest | None = None
        self._asked: dict[str, Any] = {}
        self._prepared: Prepared | None = None
        self._addition: bytes | None = None

    @property
    def document_digest(self) -> bytes:
        """SHA-256 that names what was fed: the bytes of the one file, or of several with their heads.

        Computed here and not in a worker, so no document can forge it.
        """
        return content_sha256(self._sha256.digest(), self._files, self._known)

    @property
    def first(self) -> FileStart | None:
        """The beginning of the first file; None where none was fed."""
        return self._files[0][0] if self._files else None

    @property
    def size(self) -> int:
        """Bytes fed so far, of all files."""
        return self._spool.size

    def begin_file(self, start: FileStart) -> None:
        """Let the chunks that follow be another file. Raises FieldInvalid after too many."""
        if len(self._files) >= MAX_FILES:
            raise FieldInvalid(f"a request has at most {MAX_FILES} files", field="part")
        self._files.append((start, 0))

    def know(self, digest: Digest) -> None:
        """Take the digest of a content that stays with the caller, in place of its bytes."""
        if not self._files:
            self.begin_file(FileStart())
        self._known = digest

    async def feed(self, chunk: bytes) -> None:
        """Take the next bytes. Raises BodyTooLarge at the crossing byte."""
        if not self._files:
            self.begin_file(FileStart())
        if self._spool.size + len(chunk) > self._max_bytes:
            raise BodyTooLarge(f"the document is larger than {self._max_bytes} bytes", limit=self._max_bytes)
        self._sha256.update(chunk)
        start, size = self._files[-1]
        self._files[-1] = (start, size + len(chunk))
        if self._spool.in_memory(len(chunk)):
            self._spool.write(chunk)
        else:
            await asyncio.to_thread(self._spool.write, chunk)

    async def take(self, piece: FileStart | bytes) -> None:
        """Take the next piece: the beginning of a file, or bytes."""
        if isinstance(piece, FileStart):
            self.begin_file(piece)
        else:
            await self.feed(piece)

    async def original(self) -> AsyncIterator[bytes]:
        """Give the first file as it was fed, in pieces of at most 64 KiB."""
        size = self._files[0][1] if self._files else 0
        for offset in range(0, size, CHUNK_BYTES):
            yield self._spool.read(offset, min(CHUNK_BYTES, size - offset))

    async def prepare(self, parameters: SignatureParameters) -> Prepared:
        """Return the digest that the key must sign, by the algorithm's own hash, with the format's warnings.

        Raises the DOCUMENT_* errors, FieldInvalid, AlgorithmMismatch, Overloaded.
        """
        if self._known is not None and any(size for start, size in self._files if start.role is Role.CONTENT):
            raise FieldInvalid(
                "the content came together with content_digest: send one of the two", field="content_digest"
            )
        self._asked = {"format": parameters.envelope.format, "parameters": parameters.to_json()}
        answer, state = await self._step({"step": "prepare"}, b"")
        with _believed():
            digest = bytes.fromhex(answer["digest"])
            warnings = tuple(str(warning)[:300] for warning in answer.get("warnings", ())[:8])
        if len(digest) != parameters.algorithm.digest.size:
            raise Internal("a document worker gave a digest of a wrong length")
        self._prepared = Prepared(digest, state, warnings)
        return self._prepared

    async def complete(self, signature: bytes) -> None:
        """Embed the signature value (RSA big-endian; ECDSA as DER ECDSA-Sig-Value) and check the finished document.

        Raises SelfCheckFailed where it does not verify.
        """
        if self._prepared is None:
            raise RuntimeError("complete() without prepare()")
        meta = {"step": "complete", "signature": signature.hex()}
        _, self._addition = await self._step(meta, self._prepared.state)

    async def recognise(self) -> FormatName:
        """Take what was fed as a signed file; name its format. Raises DocumentDamaged where it has none."""
        answer, _ = await self._step({"step": "recognise"}, b"")
        name = cast("FormatName", answer.get("format"))
        if name not in tuple(MAX_LEVELS):
            raise Internal("a document worker named a format that is none")
        self._asked, self._addition = {"format": name}, b""
        return name

    async def next_need(self, level: Level, digest: DigestAlgorithm) -> Need | None:
        """Say what must be had next to reach the level; None: it is reached."""
        addition = await self.increment()
        meta = {"step": "next_need", "level": level.value, "digest": digest.name, "lengths": [len(addition)]}
        answer, body = await self._step(meta, addition)
        with _believed():
            return _need_of(answer, body, digest)

    async def add_time_stamp(self, need: TimeStampNeeded, token: bytes) -> None:
        """Put in a TimeStampToken, DER, whose imprint was checked."""
        meta = {"step": "add_time_stamp", "imprint": need.imprint.hex()}
        await self._raise(meta, [need.state, token])

    async def add_evidence(self, need: EvidenceNeeded, evidence: Evidence) -> None:
        """Put in certificates and revocation values."""
        meta = {
            "step": "add_evidence",
            "certificates": len(evidence.certificates),
            "crls": len(evidence.crls),
        }
        values = [*evidence.certificates, *evidence.crls, *evidence.ocsp_responses]
        size = len(await self.increment()) + len(need.state) + sum(map(len, values))
        if size > MAX_BODY_BYTES:
            raise EvidenceUnavailable(
                f"the signature and its revocation values have {size} bytes, and {MAX_BODY_BYTES} go into one document",
                limit=MAX_BODY_BYTES,
            )
        await self._raise(meta, [need.state, *values])

    async def _raise(self, meta: dict[str, Any], parts: list[bytes]) -> None:
        parts = [await self.increment(), *parts]
        meta["lengths"] = [len(part) for part in parts]
        _, self._addition = await self._step(meta, b"".join(parts))

    async def _step(self, meta: dict[str, Any], body: bytes) -> tuple[dict[str, Any], bytes]:
        known = [self._known.algorithm.name, self._known.value.hex()] if self._known else None
        files = [
            {"role": start.role.value, "name": start.name, "media_type": start.media_type, "size": size}
            for start, size in self._files or [(FileStart(), 0)]
        ]
        return await self._run_step(
            {**self._asked, **meta, "files": files, "content_digest": known}, body, self._spool
        )

    async def increment(self) -> bytes:
        """Return only what was added: the update of the PDF file, or the container."""
        if self._addition is None:
            raise RuntimeError("increment() before complete()")
        return self._addition

    def restore(self, format: FormatName, increment: bytes, document_digest: bytes) -> None:  # noqa: A002
        """Take an earlier signature's increment instead of signing: `result()` then gives the same bytes again.

        Raises IdempotencyConflict where `document_digest`, kept with it, is not the SHA-256 of what was fed.
        """
        if document_digest != self.document_digest:
            raise IdempotencyConflict(
                "the document is not the one that was signed under this idempotency key"
            )
        self._asked = {"format": format}
        self._addition = increment

    @property
    def _appends(self) -> bool:
        return self._known is None and self._asked["format"] in APPENDING_FORMATS

    @property
    def result_size(self) -> int:
        """Bytes that `result` gives."""
        if self._addition is None:
            raise RuntimeError("result_size before complete()")
        appended = bool(self._files) and (self._appends or not self._addition)
        return len(self._addition) + (self._files[0][1] if appended else 0)

    async def result(self) -> AsyncIterator[bytes]:
        """Stream the signed document or the container, in pieces of at most 64 KiB."""
        addition = await self.increment()
        if self.result_size > len(addition):
            async for chunk in self.original():
                yield chunk
        for offset in range(0, len(addition), CHUNK_BYTES):
            yield addition[offset : offset + CHUNK_BYTES]


@contextmanager
def _believed() -> Iterator[None]:
    """Read what a worker says: one that a document has taken over may say anything, but is an error of ours then."""
    try:
        yield
    except (KeyError, TypeError, ValueError, AttributeError, WireError) as error:
        raise Internal("a document worker gave an answer that is none") from error


def _need_of(answer: dict[str, Any], body: bytes, digest: DigestAlgorithm) -> Need | None:
    match answer["need"]:
        case "":
            return None
        case "time_stamp":
            imprint = bytes.fromhex(answer["imprint"])
            if len(imprint) != digest.size:
                raise Internal("a document worker gave an imprint of a wrong length")
            return TimeStampNeeded(imprint, body)
        case "evidence":
            state, *certificates = split(body, answer["lengths"])
            return EvidenceNeeded(tuple(certificates), state)
    raise Internal("a document worker needs something that nobody has")
