"""A document worker: parses documents and builds signatures, one request at a time.

It has no PIN, no PKCS#11 module, no database and no network; all it gets is a read-only descriptor of one document.
Started as `python -m services.signer.documents.worker FD MEMORY_BYTES [FONT_FILE]`, FD being its end of a Unix socket
pair.
"""

from __future__ import annotations

import contextlib
import gc
import json
import logging
import os
import socket
import sys
from dataclasses import replace
from io import BufferedReader, BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from services.kernel.errors import DocumentDamaged, DomainError, Internal
from services.kernel.runtime import confinement
from services.kernel.values import Digest, DigestAlgorithm
from services.signer.documents.wire import HEAD, pack, split, unpack_head
from services.signer.formats.format import (
    Document,
    Evidence,
    EvidenceNeeded,
    Role,
    Signed,
    TimeStampNeeded,
)
from services.signer.formats.parameters import Level, SignatureParameters
from services.signer.formats.recognise import recognise
from services.signer.formats.streams import FileWindow

if TYPE_CHECKING:
    from collections.abc import Iterator

    from services.signer.formats.format import SignatureFormat

IN_MEMORY_BYTES = 8 << 20
"""Documents up to this size are read at once; larger ones are read where they lie."""
MAX_DETAIL_CHARACTERS = 160


class Worker:
    """Answers requests on one socket until the other end closes it."""

    def __init__(
        self, connection: socket.socket, formats: dict[str, SignatureFormat], given_up: frozenset[str]
    ) -> None:
        """Take the connection, the formats by name, and what this process cannot reach any more."""
        self._connection = connection
        self._formats = formats
        self._given_up = given_up

    def run(self) -> None:
        """Say that we are ready, then answer."""
        self._connection.sendall(pack(json.dumps({"given_up": sorted(self._given_up)}).encode(), b""))
        with contextlib.suppress(EOFError):
            while True:
                meta, body, descriptor = self._receive()
                try:
                    answer = self._answer(meta, body, descriptor)
                finally:
                    os.close(descriptor)
                self._connection.sendall(answer)

    def _receive(self) -> tuple[dict[str, Any], bytes, int]:
        head, descriptors, _, _ = socket.recv_fds(self._connection, HEAD.size, 1)
        if not head:
            raise EOFError
        head += self._exactly(HEAD.size - len(head))
        meta_length, body_length = unpack_head(head)
        meta = json.loads(self._exactly(meta_length))
        return meta, self._exactly(body_length), descriptors[0]

    def _exactly(self, length: int) -> bytes:
        parts = []
        while length:
            part = self._connection.recv(min(length, 1 << 20))
            if not part:
                raise EOFError
            parts.append(part)
            length -= len(part)
        return b"".join(parts)

    def _answer(self, meta: dict[str, Any], body: bytes, descriptor: int) -> bytes:
        """Do one step; the one guarded door through which every failure of a parser leaves."""
        retire = False
        try:
            return self._step(meta, body, descriptor)
        except DomainError as raised:
            error = raised
        except MemoryError:
            error = DocumentDamaged(
                "the document needs more memory than one document may take", reason="memory"
            )
            retire = True
        except RecursionError:
            error = DocumentDamaged("the document nests its objects too deeply", reason="nesting")
        except Exception as raised:  # noqa: BLE001 - parsers raise whatever hostile bytes drive them to
            error = _unexpected(meta["step"], raised)
        failure = {"code": error.code, "message": error.message, "data": error.data, "retire": retire}
        return pack(json.dumps(failure).encode(), b"")

    def _step(self, meta: dict[str, Any], body: bytes, descriptor: int) -> bytes:
        with _opened(descriptor, meta) as document:
            if meta["step"] == "recognise":
                return pack(json.dumps({"format": recognise(document)}).encode(), b"")
            chosen = self._formats[meta["format"]]
            if meta["step"] in {"prepare", "complete"}:
                return _sign(chosen, document, meta, body)
            return _raise_level(chosen, document, meta, body)


def _sign(chosen: SignatureFormat, document: Document, meta: dict[str, Any], body: bytes) -> bytes:
    parameters = SignatureParameters.from_json(meta["parameters"])
    if meta["step"] == "prepare":
        prepared = chosen.prepare(document, parameters)
        told = {"digest": prepared.digest.hex(), "warnings": prepared.warnings}
        return pack(json.dumps(told).encode(), prepared.state)
    signature = bytes.fromhex(meta["signature"])
    return pack(b"{}", chosen.complete(document, parameters, body, signature))


def _raise_level(chosen: SignatureFormat, document: Document, meta: dict[str, Any], body: bytes) -> bytes:
    """Do one step towards a higher level; the body begins with the addition so far."""
    parts = split(body, meta["lengths"])
    signed = Signed(document, parts[0])
    match meta["step"]:
        case "next_need":
            need = chosen.next_need(signed, Level(meta["level"]), DigestAlgorithm[meta["digest"]])
            if need is None:
                return pack(b'{"need": ""}', b"")
            if isinstance(need, TimeStampNeeded):
                told = {"need": "time_stamp", "imprint": need.imprint.hex()}
                return pack(json.dumps(told).encode(), need.state)
            lengths = [len(need.state), *map(len, need.certificates)]
            asked = {"need": "evidence", "lengths": lengths}
            return pack(json.dumps(asked).encode(), b"".join((need.state, *need.certificates)))
        case "add_time_stamp":
            _, state, token = parts
            need = TimeStampNeeded(bytes.fromhex(meta["imprint"]), state)
            return pack(b"{}", chosen.add_time_stamp(signed, need, token))
    first, second = meta["certificates"], meta["certificates"] + meta["crls"]
    values = parts[2:]
    evidence = Evidence(tuple(values[:first]), tuple(values[first:second]), tuple(values[second:]))
    return pack(b"{}", chosen.add_evidence(signed, EvidenceNeeded((), parts[1]), evidence))


def _unexpected(step: str, error: Exception) -> DomainError:
    from pyhanko.pdf_utils.misc import PdfError

    if step in {"complete", "add_time_stamp", "add_evidence"}:
        return Internal(f"the signature could not be completed ({type(error).__name__})")
    # pyHanko's messages name structure and positions; those of other exceptions may hold anything.
    detail = str(error)[:MAX_DETAIL_CHARACTERS] if isinstance(error, PdfError) else type(error).__name__
    return DocumentDamaged(f"the document cannot be read: {detail}", reason=type(error).__name__)


@contextlib.contextmanager
def _opened(descriptor: int, meta: dict[str, Any]) -> Iterator[Document]:
    """Open the files that lie one after the other behind the descriptor, as one document."""
    files, digest = meta["files"], meta["content_digest"]
    known = Digest(DigestAlgorithm[digest[0]], bytes.fromhex(digest[1])) if digest else None
    with contextlib.ExitStack() as stack:
        total = sum(file["size"] for file in files)
        whole = os.pread(descriptor, total, 0) if total <= IN_MEMORY_BYTES else None
        opened, offset = [], 0
        for file in files:
            size = file["size"]
            stream: BinaryIO = (
                stack.enter_context(BufferedReader(FileWindow(descriptor, offset, size), 1 << 16))
                if whole is None
                else BytesIO(whole if size == total else whole[offset : offset + size])
            )
            offset += size
            opened.append(Document(stream, size, file["name"], file["media_type"], Role(file["role"])))
        yield replace(opened[0], others=tuple(opened[1:]), known_digest=known)


def loaded(font_file: Path | None = None) -> dict[str, SignatureFormat]:
    """Load the formats and the font: after `confinement.leave_files` nothing can be read any more.

    Raises ValueError or OSError where the font cannot be used.
    """
    from services.signer.formats import visible
    from services.signer.formats.asic import Asic
    from services.signer.formats.cades import CadesBaseline
    from services.signer.formats.jades import Jades
    from services.signer.formats.pades import PadesBaseline
    from services.signer.formats.smime import SmimeMessage
    from services.signer.formats.xades import XmlSignature

    visible.load(font_file)
    return {
        "PADES": PadesBaseline(),
        "CADES": CadesBaseline(),
        "XADES": XmlSignature(qualified=True),
        "XMLDSIG": XmlSignature(qualified=False),
        "SMIME": SmimeMessage(),
        "JADES": Jades(),
        "ASIC_S": Asic("ASIC_S"),
        "ASIC_E": Asic("ASIC_E"),
    }


def main() -> None:
    """Give up what a parser does not need, load the formats, serve."""
    descriptor, memory_bytes = int(sys.argv[1]), int(sys.argv[2])
    confinement.limit_resources(memory_bytes)
    given_up = frozenset({confinement.NETWORK} if confinement.leave_network() else ())
    confinement.die_with_parent()
    # The libraries' warnings would tell about documents: nobody may read them.
    logging.disable(logging.CRITICAL)
    font_file = Path(sys.argv[3]) if len(sys.argv) > 3 else None
    with socket.socket(fileno=descriptor) as connection:
        try:
            formats = loaded(font_file)
        except (OSError, ValueError) as error:
            unfit = f"the font {font_file} cannot be used: {error}"
            connection.sendall(pack(json.dumps({"unfit": unfit}).encode(), b""))
            return
        given_up |= confinement.leave_files()
        # What is loaded now stays: the collector need not look at it with every document.
        gc.collect()
        gc.freeze()
        Worker(connection, formats, given_up).run()


if __name__ == "__main__":
    main()
