"""A document worker: parses documents and builds signatures, one request at a time.

It has no PIN, no PKCS#11 module, no database and no network; all it gets is a read-only descriptor of one document.
Started as `python -m services.signer.document_worker FD MEMORY_BYTES`, FD being its end of a Unix socket pair.
"""

from __future__ import annotations

import contextlib
import gc
import json
import logging
import os
import socket
import sys
from io import BytesIO
from typing import TYPE_CHECKING, Any, BinaryIO

from services.kernel.errors import DocumentDamaged, DomainError, Internal
from services.kernel.runtime import confinement
from services.signer.document_wire import HEAD, pack, unpack_head
from services.signer.formats.parameters import SignatureParameters

if TYPE_CHECKING:
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
        from services.signer.formats.format import Document

        parameters = SignatureParameters.from_json(meta["parameters"])
        chosen = self._formats[meta["format"]]
        with _opened(descriptor, meta["size"]) as stream:
            document = Document(stream, meta["size"])
            if meta["step"] == "prepare":
                prepared = chosen.prepare(document, parameters)
                return pack(json.dumps({"digest": prepared.digest.hex()}).encode(), prepared.state)
            signature = bytes.fromhex(meta["signature"])
            return pack(b"{}", chosen.complete(document, parameters, body, signature))


def _unexpected(step: str, error: Exception) -> DomainError:
    from pyhanko.pdf_utils.misc import PdfError

    if step != "prepare":
        return Internal(f"the signature could not be completed ({type(error).__name__})")
    # pyHanko's messages name structure and positions; those of other exceptions may hold anything.
    detail = str(error)[:MAX_DETAIL_CHARACTERS] if isinstance(error, PdfError) else type(error).__name__
    return DocumentDamaged(f"the PDF file cannot be read: {detail}", reason=type(error).__name__)


def _opened(descriptor: int, size: int) -> BinaryIO:
    if size <= IN_MEMORY_BYTES:
        with open(descriptor, "rb", closefd=False) as stream:
            return BytesIO(stream.read(size + 1))
    return open(descriptor, "rb", buffering=1 << 16, closefd=False)


def main() -> None:
    """Give up what a parser does not need, load the formats, serve."""
    descriptor, memory_bytes = int(sys.argv[1]), int(sys.argv[2])
    confinement.limit_resources(memory_bytes)
    given_up = frozenset({confinement.NETWORK} if confinement.leave_network() else ())
    confinement.die_with_parent()
    # The libraries' warnings would tell about documents: nobody may read them.
    logging.disable(logging.CRITICAL)
    from services.signer.formats.cades import CadesDetached
    from services.signer.formats.pades import PadesBaseline

    given_up |= confinement.leave_files()
    # What is loaded now stays: the collector need not look at it with every document.
    gc.collect()
    gc.freeze()
    with socket.socket(fileno=descriptor) as connection:
        Worker(connection, {"PADES": PadesBaseline(), "CADES": CadesDetached()}, given_up).run()


if __name__ == "__main__":
    main()
