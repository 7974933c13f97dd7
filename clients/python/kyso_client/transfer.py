"""Documents on their way: files that are read again for each try, and files that appear whole or not at all."""

from __future__ import annotations

import json
import mimetypes
import os
import re
import unicodedata
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path, PurePath
from typing import IO, Any
from urllib.parse import unquote

import httpx

from kyso_client.options import as_json
from kyso_client.results import SignedDocument

Progress = Callable[[int, int], None]
"""Called with the bytes sent so far and the size of the document (0 where it is not known)."""
Content = Path | bytes | IO[bytes]
"""A document: a file's path, its bytes, or a file open for reading that can seek."""
UNTOLD = "application/octet-stream"


@dataclass(frozen=True, slots=True)
class File:
    """A content with the name and the media type that go with it into containers and references."""

    content: Content
    name: str = ""
    """Absent: the path's, or "document"."""
    media_type: str = ""
    """Absent: guessed by the name."""


Source = File | Content


class _Counted:
    """A file that tells how much of it was read."""

    def __init__(self, file: IO[bytes], progress: Progress) -> None:
        self._file = file
        self._progress = progress
        start = file.tell()
        self._size = file.seek(0, os.SEEK_END)
        file.seek(start)

    def read(self, size: int = -1) -> bytes:
        data = self._file.read(size)
        self._progress(self._file.tell(), self._size)
        return data

    def seek(self, offset: int, whence: int = 0) -> int:
        return self._file.seek(offset, whence)

    def tell(self) -> int:
        return self._file.tell()


@dataclass(frozen=True, slots=True)
class OpenPart:
    """A file that is open, and the part that it becomes."""

    part: str
    name: str
    media_type: str
    file: Any

    def again(self) -> tuple[str, tuple[str, Any, str]]:
        """Return the part with its file at its start."""
        self.file.seek(0)
        return self.part, (self.name, self.file, self.media_type)


@contextmanager
def opened(
    sources: Iterable[tuple[str, Source]], progress: Progress | None = None, file_name: str = ""
) -> Iterator[list[OpenPart]]:
    """Yield the files open; progress is told, and `file_name` is given, for the first one only."""
    with ExitStack() as stack:
        parts: list[OpenPart] = []
        for part, source in sources:
            given = source if isinstance(source, File) else File(source)
            content = given.content
            name = given.name or (content.name if isinstance(content, Path) else "document")
            if not parts:
                name = file_name or name
            if isinstance(content, Path):
                file: Any = stack.enter_context(content.open("rb"))
            else:
                file = BytesIO(content) if isinstance(content, bytes) else content
            if progress is not None and not parts:
                file = _Counted(file, progress)
            media_type = given.media_type or mimetypes.guess_type(name)[0] or UNTOLD
            parts.append(OpenPart(part, name, media_type, file))
        yield parts


def request_parts(asked: Mapping[str, Any], files: Iterable[OpenPart]) -> list[tuple[str, Any]]:
    """Return the parts of a request; every file is read from its start."""
    request = json.dumps(as_json(asked), ensure_ascii=False).encode()
    # The gateway takes them in this order only: it refuses before it reads a document in vain.
    return [("request", (None, request, "application/json")), *(file.again() for file in files)]


def receive(answer: httpx.Response, output: Path | None, sent_name: str = "") -> SignedDocument:
    """Read a signed document off an answer, into the file or folder `output` or into the result."""
    headers = answer.headers
    proposed = _proposed_name(headers.get("content-disposition", ""))
    size = 0
    content: bytes | None = None
    path = _path_in(output, proposed, sent_name) if output is not None and output.is_dir() else output
    if path is None:
        content = answer.read()
        size = len(content)
    else:
        with whole_or_nothing(path) as file:
            for piece in answer.iter_bytes():
                size += len(piece)
                file.write(piece)
    return SignedDocument(
        operation_id=headers.get("x-kyso-operation-id", ""),
        media_type=headers.get("content-type", "").partition(";")[0],
        file_name=proposed,
        size=size,
        content=content,
        path=path,
        level=headers.get("x-kyso-level", ""),
        level_missed=headers.get("x-kyso-level-missed", ""),
        warnings=tuple(code for code in headers.get("x-kyso-warning", "").split(", ") if code),
    )


def _path_in(folder: Path, proposed: str, sent_name: str) -> Path:
    # A name that the platform makes up must not replace another file of that folder.
    stem = unicodedata.normalize("NFC", PurePath(sent_name).stem) or "document"
    return folder / (proposed if proposed.startswith(stem) else f"{sent_name or 'document'}.signed")


@contextmanager
def whole_or_nothing(path: Path) -> Iterator[IO[bytes]]:
    """Write beside `path`, then rename: half a signed document must not lie where a whole one is looked for."""
    partial = path.with_name(f".{path.name[:200]}.{uuid.uuid4().hex}")
    try:
        with partial.open("xb") as file:
            yield file
        partial.replace(path)
    except BaseException:
        partial.unlink(missing_ok=True)
        raise


def _proposed_name(disposition: str) -> str:
    match = re.search(r"filename\*=UTF-8''([^;]+)", disposition)
    name = unquote(match[1]) if match else "document"
    # Whatever a server says, it is a name and no path.
    return name.replace("\\", "/").rpartition("/")[2] or "document"
