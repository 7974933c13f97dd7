"""Where a document waits while it is signed: an anonymous file that no other process can find by name."""

from __future__ import annotations

import os
import tempfile
from typing import Self

MEMORY_SPOOL_BYTES = 4 << 20
"""Documents up to this size stay in memory; larger ones go to an unlinked temporary file."""
COPY_BYTES = 64 * 1024


class Descriptor:
    """A read-only descriptor with an offset of its own, closed on leaving."""

    def __init__(self, number: int) -> None:
        self.number = number

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self.number)


class Spool:
    """An anonymous file: in memory while small, else unlinked on disk; gone with its last descriptor."""

    def __init__(self) -> None:
        self.size = 0
        self._file = os.memfd_create("document", os.MFD_CLOEXEC)
        self._on_disk = False

    def in_memory(self, more: int) -> bool:
        """Say whether the document stays in memory with `more` bytes."""
        return self.size + more <= MEMORY_SPOOL_BYTES

    def write(self, chunk: bytes) -> None:
        """Append."""
        if not self._on_disk and not self.in_memory(len(chunk)):
            self._move_to_disk()
        with memoryview(chunk) as view:
            done = 0
            while done < len(view):
                done += os.pwrite(self._file, view[done:], self.size + done)
        self.size += len(chunk)

    def _move_to_disk(self) -> None:
        with tempfile.TemporaryFile() as file:
            for offset in range(0, self.size, COPY_BYTES):
                file.write(self.read(offset, COPY_BYTES))
            file.flush()
            disk = os.dup(file.fileno())
        os.close(self._file)
        self._file, self._on_disk = disk, True

    def read(self, offset: int, length: int) -> bytes:
        """Read from anywhere."""
        return os.pread(self._file, length, offset)

    def read_only(self) -> Descriptor:
        """Open the file once more, for reading only."""
        return Descriptor(os.open(f"/proc/self/fd/{self._file}", os.O_RDONLY | os.O_CLOEXEC))

    def close(self) -> None:
        """Forget the document."""
        os.close(self._file)
