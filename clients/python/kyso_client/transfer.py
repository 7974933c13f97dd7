"""Documents on their way: files that are read again for each try, and files that appear whole or not at all."""

from __future__ import annotations

import json
import os
import re
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from typing import IO, Any
from urllib.parse import unquote

import httpx

from kyso_client.results import SignedDocument

Progress = Callable[[int, int], None]
"""Called with the bytes sent so far and the size of the document (0 where it is not known)."""
Content = Path | bytes | IO[bytes]
"""A document: a file's path, its bytes, or a file open for reading that can seek."""


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


@contextmanager
def opened(content: Content, file_name: str, progress: Progress | None) -> Iterator[tuple[Any, str]]:
    """Yield a file that can be read from its start again and again, and the name to send with it."""
    if isinstance(content, Path):
        with content.open("rb") as opened_file:
            yield (_Counted(opened_file, progress) if progress else opened_file), file_name or content.name
    else:
        file = BytesIO(content) if isinstance(content, bytes) else content
        yield (_Counted(file, progress) if progress else file), file_name or "document"


def signing_parts(asked: Mapping[str, str], name: str, file: Any) -> list[tuple[str, Any]]:
    """Return the parts of a signing request; `file` is read from its start."""
    file.seek(0)
    request = json.dumps({key: value for key, value in asked.items() if value}, ensure_ascii=False).encode()
    # The gateway takes them in this order only: it refuses before it reads a document in vain.
    return [
        ("request", (None, request, "application/json")),
        ("document", (name, file, "application/octet-stream")),
    ]


def receive(answer: httpx.Response, output: Path | None) -> SignedDocument:
    """Read a signed document off an answer, into the file `output` or into the result."""
    size = 0
    content: bytes | None = None
    if output is None:
        content = answer.read()
        size = len(content)
    else:
        with _whole_or_nothing(output) as file:
            for piece in answer.iter_bytes():
                size += len(piece)
                file.write(piece)
    return SignedDocument(
        operation_id=answer.headers.get("x-kyso-operation-id", ""),
        media_type=answer.headers.get("content-type", "").partition(";")[0],
        file_name=_proposed_name(answer.headers.get("content-disposition", "")),
        size=size,
        content=content,
    )


@contextmanager
def _whole_or_nothing(path: Path) -> Iterator[IO[bytes]]:
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
