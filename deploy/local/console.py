"""How the local platform tells what it does: one line per step, with the time it took.

Standard library only: the installation runs before anything is installed.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager


class PlatformError(Exception):
    """Something that a person can mend; the message says what was wrong and what to do next."""


class Step:
    """One running step; `note` adds a few words to the line that is printed when it ends."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.notes: list[str] = []
        self.started = time.monotonic()

    def note(self, text: str) -> None:
        """Add `text` to the closing line."""
        self.notes.append(text)

    @property
    def seconds(self) -> float:
        """Seconds since the step began."""
        return time.monotonic() - self.started


def say(text: str = "") -> None:
    """Print one line at once, also into a pipe."""
    print(text, flush=True)


@contextmanager
def step(name: str) -> Iterator[Step]:
    """Run a block as a step and print its name, its notes and its seconds when it ends.

    On a terminal the name is shown while the step runs; in a log there is one line per step.
    """
    current = Step(name)
    live = sys.stdout.isatty()
    if live:
        print(f"  ...  {name}", end="", flush=True)
    outcome = "fail"
    try:
        yield current
        outcome = " ok "
    finally:
        detail = f": {', '.join(current.notes)}" if current.notes else ""
        say(f"{chr(13) if live else ''} {outcome}  {name}{detail} ({current.seconds:.2f} s)")
