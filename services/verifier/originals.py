"""The documents that were signed, taken out of the signed file, under names that do no harm.

Only what an intact signature is over is given out: what comes back is what somebody signed, whatever else the file
holds. That the signature is also trusted is the verdict's to say, which goes with it.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Sequence

from services.verifier.domain import DocumentReport, Integrity, SignatureKind
from services.verifier.inquiry import AnswerFile, FileKind
from services.verifier.ports import Content, Findings

MAX_NAME_BYTES = 200
MAX_ORIGINALS = 1000
_KINDS = (
    (b"%PDF-", "application/pdf", ".pdf"),
    (b"<?xml", "application/xml", ".xml"),
    (b"PK\x03\x04", "application/zip", ".zip"),
    (b"\x89PNG\r\n", "image/png", ".png"),
    (b"\xff\xd8\xff", "image/jpeg", ".jpg"),
)
_UNTOLD = "application/octet-stream"


def carried(data: bytes, findings: Findings) -> Sequence[Content]:
    """What the file carries; of a PDF file each state in which it was signed, with the signature."""
    revisions: dict[bytes, tuple[int, list[str]]] = {}
    for found in findings.signatures:
        if found.kind is not SignatureKind.SIGNATURE or not found.coverage.revision:
            continue
        # Loaded already where there are revisions.
        from services.verifier.formats.pdf import revision_of

        state = revision_of(data, found.coverage)
        if state is not None:
            revisions.setdefault(state, (found.coverage.revision, []))[1].append(found.name)
    states = [
        Content(f"revision-{number}.pdf", state, tuple(names)) for state, (number, names) in revisions.items()
    ]
    return (*findings.contents, *states)


def signed(contents: Iterable[Content], report: DocumentReport, limit: int) -> tuple[list[AnswerFile], int]:
    """The originals in at most `limit` bytes, and how many had no room in them.

    Names are unique among them without regard to case, whatever the file called them.
    """
    intact = {
        one.name for one in report.signatures if one.integrity in {Integrity.INTACT, Integrity.EXTENDED}
    }
    taken: list[AnswerFile] = []
    names: set[str] = set()
    left_out = 0
    for content in contents:
        over = tuple(name for name in content.signed_by if name in intact)
        if not over:
            continue
        if len(content.data) > limit or len(taken) >= MAX_ORIGINALS:
            left_out += 1
            continue
        limit -= len(content.data)
        media_type, extension = _kind(content.data)
        name = _unique(safe_name(content.name) or f"original-{len(taken) + 1}{extension}", names)
        names.add(name.casefold())
        taken.append(AnswerFile(FileKind.ORIGINAL, content.data, media_type, name, over))
    return taken, left_out


def safe_name(name: str) -> str:
    """The last component of a name, NFC, without control and direction characters; empty where nothing is left."""
    last = unicodedata.normalize("NFC", name).replace("\\", "/").rpartition("/")[2]
    kept = "".join(c for c in last if unicodedata.category(c)[0] != "C" and c not in '<>:"|?*')
    # A leading dot hides a file, a trailing one or a blank is lost on some systems.
    kept = kept.strip(" .")
    while len(kept.encode()) > MAX_NAME_BYTES:
        stem, dot, extension = kept.rpartition(".")
        kept = f"{stem[:-1]}.{extension}" if dot and len(extension) <= 16 and stem else kept[:-1]
    return kept


def _unique(name: str, taken: set[str]) -> str:
    if name.casefold() not in taken:
        return name
    stem, dot, extension = name.rpartition(".")
    stem, tail = (stem, f".{extension}") if dot and stem else (name, "")
    return next(
        made for n in range(2, MAX_ORIGINALS + 2) if (made := f"{stem} ({n}){tail}").casefold() not in taken
    )


def _kind(data: bytes) -> tuple[str, str]:
    start = data[:1024].lstrip(b"\xef\xbb\xbf \t\r\n")
    return next(((media, ext) for mark, media, ext in _KINDS if start.startswith(mark)), (_UNTOLD, ".bin"))
