"""A worker process: judges documents that it is fed on standard input, holds no key and no connection.

Started by `workers` as `python -m services.verifier.worker MEMORY_BYTES`. It dies with its parent, cannot open many
files, cannot write any, and cannot grow beyond its memory limit.
"""

from __future__ import annotations

import ctypes
import json
import os
import resource
import signal
import sys
from typing import Any, BinaryIO

from services.verifier import rendering, wire
from services.verifier.domain import DocumentReport
from services.verifier.formats.cms_file import CmsFormat
from services.verifier.formats.pdf import PdfFormat
from services.verifier.ports import SubmittedDocument, TrustMaterial
from services.verifier.service import VerificationService

_PR_SET_PDEATHSIG = 1
_FORMATS = (PdfFormat(), CmsFormat())


def main() -> None:
    """Answer documents until standard input ends."""
    _confine(int(sys.argv[1]))
    source = sys.stdin.buffer
    # The pipe is for frames alone: whatever a library prints must not get between them.
    sink = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    trust = TrustMaterial()
    while (head := source.read(wire.HEADER.size)) and len(head) == wire.HEADER.size:
        kind, size = wire.HEADER.unpack(head)
        body = source.read(size)
        if kind == wire.TRUST:
            trust = wire.read_trust(body)
        elif kind == wire.START:
            answer = _judge(source, body, trust)
            sink.write(len(answer).to_bytes(4, "big") + answer)
            sink.flush()


def _confine(memory_bytes: int) -> None:
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    # An interrupt at the terminal is the parent's to handle; it drains first.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_AS, (memory_bytes, memory_bytes))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    resource.setrlimit(resource.RLIMIT_NOFILE, (32, 32))


def _judge(source: BinaryIO, start: bytes, trust: TrustMaterial) -> bytes:
    at, integrity_only, with_detached = wire.read_start(start)
    document, detached = bytearray(), bytearray()
    while True:
        kind, size = wire.HEADER.unpack(source.read(wire.HEADER.size))
        if kind == wire.END:
            break
        (document if kind == wire.DOCUMENT else detached).extend(source.read(size))
    submitted = SubmittedDocument(bytes(document), bytes(detached) if with_detached else None)
    try:
        report = VerificationService(_FORMATS, trust, integrity_only=integrity_only).verify(submitted, at)
    except (MemoryError, RecursionError):
        report = DocumentReport.undecided(submitted.data, at, integrity_only)
    return _encoded(rendering.document(report))


def _encoded(report: dict[str, Any]) -> bytes:
    return json.dumps(report, ensure_ascii=False).encode("utf-8")


if __name__ == "__main__":
    main()
