"""A worker process: judges documents that it is fed on standard input, holds no key and no connection.

Started by `pool` as `python -m services.verifier.workers.worker MEMORY_BYTES [FONT]`. It dies with its parent, cannot
grow beyond its memory limit, and reaches no file but the code and no network, as far as the kernel can see to that;
what it gave up is the first that it says.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any, BinaryIO

from services.kernel.runtime import confinement
from services.verifier import examination
from services.verifier.examination import Answer
from services.verifier.formats.asic import AsicFormat
from services.verifier.formats.cms_file import CmsFormat
from services.verifier.formats.jades import JadesFormat
from services.verifier.formats.pdf import PdfFormat
from services.verifier.formats.smime import SmimeFormat
from services.verifier.formats.time_stamp_file import TimeStampFileFormat
from services.verifier.formats.xml_signature import XmlFormat
from services.verifier.ports import SubmittedDocument, TrustMaterial
from services.verifier.reports.files import ReportPrinter
from services.verifier.workers import wire

# Before PDF: containers, CMS and mail may hold a PDF file within their first kilobyte, where PDF readers look for it.
FORMATS = (
    AsicFormat(),
    TimeStampFileFormat(),
    CmsFormat(),
    SmimeFormat(),
    PdfFormat(),
    XmlFormat(),
    JadesFormat(),
)


def main() -> None:
    """Answer documents until standard input ends."""
    printer = ReportPrinter.read(Path(sys.argv[2]) if len(sys.argv) > 2 else None)
    given_up = _confine(int(sys.argv[1]))
    source = sys.stdin.buffer
    # The pipe is for frames alone: whatever a library prints must not get between them.
    sink = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    _send(sink, {"given_up": sorted(given_up)})
    trust = TrustMaterial()
    while (head := source.read(wire.HEADER.size)) and len(head) == wire.HEADER.size:
        kind, size = wire.HEADER.unpack(head)
        body = source.read(size)
        if kind == wire.TRUST:
            trust = wire.read_trust(body)
        elif kind == wire.START:
            for piece in wire.answer(_judge(source, body, trust, printer)):
                sink.write(piece)
            sink.flush()


def _confine(memory_bytes: int) -> frozenset[str]:
    """Give up what judging does not need; return what of it this process cannot reach any more."""
    confinement.limit_resources(memory_bytes)
    given_up = frozenset({confinement.NETWORK} if confinement.leave_network() else ())
    confinement.die_with_parent()
    return given_up | confinement.leave_files()


def _judge(source: BinaryIO, start: bytes, trust: TrustMaterial, printer: ReportPrinter) -> Answer:
    inquiry = wire.read_start(start)
    document, contents, names = bytearray(), list[bytearray](), list[str]()
    while True:
        kind, size = wire.HEADER.unpack(source.read(wire.HEADER.size))
        if kind == wire.END:
            break
        body = source.read(size)
        if kind == wire.CONTENT:
            names.append(body.decode("utf-8"))
            contents.append(bytearray())
        else:
            (document if kind == wire.DOCUMENT else contents[-1]).extend(body)
    whole = [bytes(content) for content in contents]
    named = {name: content for name, content in zip(names, whole, strict=True) if name}
    submitted = SubmittedDocument(bytes(document), whole[0] if whole else None, named)
    return examination.examine(FORMATS, trust, submitted, inquiry, printer)


def _send(sink: BinaryIO, answer: dict[str, Any]) -> None:
    data = json.dumps(answer, ensure_ascii=False).encode("utf-8")
    sink.write(len(data).to_bytes(4, "big") + data)
    sink.flush()


if __name__ == "__main__":
    main()
