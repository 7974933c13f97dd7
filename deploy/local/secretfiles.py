"""Secrets of one machine: files that only the user who runs the platform may read."""

from __future__ import annotations

import os
from pathlib import Path


def write_private(path: Path, data: bytes) -> None:
    """Write `data` so that no other user can read it at any moment, and never half of it."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    scratch = path.with_name(f".{path.name}.new")
    scratch.unlink(missing_ok=True)
    with os.fdopen(os.open(scratch, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(data)
    scratch.replace(path)


def write_secret(path: Path, value: str) -> str:
    """Write `value` with a newline and return it."""
    write_private(path, value.encode() + b"\n")
    return value


def read_secret(path: Path) -> str:
    """Read a secret that `write_secret` wrote."""
    return path.read_text(encoding="utf-8").rstrip("\n")
