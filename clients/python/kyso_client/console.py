"""What the commands share: exit codes, the answer in words or JSON, progress on a terminal."""

from __future__ import annotations

import argparse
import json
import sys
from typing import Any, Self

OK, NOT_VALID, USAGE, REFUSED, UNREACHABLE, UNKNOWN = range(6)


def answer(asked: argparse.Namespace, document: dict[str, Any], text: str) -> None:
    """Print one line of JSON, or the text."""
    print(json.dumps(document, ensure_ascii=False) if asked.json else text)


class Bar:
    """Progress on a terminal, one line on stderr; silent where stderr is no terminal."""

    def __init__(self, asked: argparse.Namespace, verb: str) -> None:
        self._verb = verb
        self._shown = sys.stderr.isatty() and not asked.json
        self._last = ""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._last:
            sys.stderr.write("\r" + " " * len(self._last) + "\r")
            sys.stderr.flush()

    def progress(self, sent: int, size: int) -> None:
        """Show how much of the document went out."""
        if not self._shown:
            return
        share = f"{100 * sent // size} %" if size else ""
        text = f"{self._verb} {share} of {size / 1e6:.1f} MB" if sent < size else "waiting for the platform"
        if text != self._last:
            sys.stderr.write("\r" + text.ljust(len(self._last)))
            sys.stderr.flush()
            self._last = text
