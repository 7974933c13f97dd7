"""PDF files larger than one wants to write: most of them is a hole in one stream."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tests.support.pdfs import one_page_pdf

if TYPE_CHECKING:
    from pathlib import Path

_SIGN = """
import json, resource, sys
from pathlib import Path
from services.signer.formats.format import Document, Signed
from services.signer.formats.pades import PadesBaseline
from services.signer.formats.parameters import Level
from tests.support.document_signers import authority, signer
from tests.support.stamping import raise_to

path, level = Path(sys.argv[1]), Level(sys.argv[2])
who, form = signer(), PadesBaseline()
parameters = who.parameters(level=level)
raise_to, authority()
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
with path.open("rb") as stream:
    document = Document(stream, path.stat().st_size)
    prepared = form.prepare(document, parameters)
    addition = form.complete(document, parameters, prepared.state, who.sign(prepared.digest))
    addition = raise_to(form, Signed(document, addition), level)
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
with path.open("ab") as stream:
    stream.write(addition)
print(json.dumps({"before": before, "peak": peak, "added": len(addition)}))
"""


@dataclass(frozen=True)
class Measured:
    """What signing took in a process of its own: memory in KiB before it and at its peak, bytes added."""

    before: int
    peak: int
    added: int


def write_with_hole(path: Path, hole: int) -> None:
    """Write a one-page file with a stream of so many zeros, which take no room on the disk."""
    data = one_page_pdf()
    at = data.rindex(b"xref\n0 1\n")
    table = data[at : data.index(b"trailer", at)]
    with path.open("wb") as file:
        file.write(data[:at])
        stream_at = file.tell()
        file.write(b"6 0 obj\n<</Length %d>>\nstream\n" % hole)
        file.seek(hole, 1)
        file.write(b"\nendstream\nendobj\n")
        table_at = file.tell()
        file.write(table + b"6 1\n%010d 00000 n \n" % stream_at)
        file.write(b"trailer\n<</Size 7 /Root 1 0 R>>\nstartxref\n%d\n%%%%EOF\n" % table_at)


def sign_apart(path: Path, level: str) -> Measured:
    """Sign a file in a process of its own, append the result, and tell the memory that it took."""
    done = subprocess.run(
        [sys.executable, "-c", _SIGN, str(path), level], capture_output=True, text=True, check=True
    )
    return Measured(**json.loads(done.stdout))
