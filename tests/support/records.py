"""Reads a signer's database and says what is wrong with it after a fault."""

from __future__ import annotations

import hashlib
import json
import sqlite3
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Records:
    """What a signer's SQLite file holds."""

    states: dict[str, str]
    """Operation id -> state."""
    ledger: list[tuple[str, int, bytes, bytes, bytes]]
    """(ledger, sequence, hash, previous hash, data), in order."""

    @classmethod
    def read(cls, path: Path) -> Records:
        """Read the file as another process may, without changing it."""
        connection = sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=10)
        try:
            states = dict(connection.execute("SELECT id, state FROM signing").fetchall())
            query = "SELECT ledger, sequence, hash, previous_hash, data FROM ledger ORDER BY ledger, sequence"
            ledger = [
                (row[0], row[1], bytes(row[2]), bytes(row[3]), _bytes(row[4]))
                for row in connection.execute(query)
            ]
        finally:
            connection.close()
        return cls(states, ledger)

    def entries(self) -> list[dict[str, Any]]:
        """Return every ledger entry's record."""
        return [json.loads(row[4]) for row in self.ledger]

    def ledger_faults(self) -> list[str]:
        """Return every gap and every broken link of every chain."""
        faults = []
        heads: dict[str, tuple[int, bytes]] = {}
        for ledger, sequence, value, previous, data in self.ledger:
            last, link = heads.get(ledger, (0, bytes(32)))
            if sequence != last + 1:
                faults.append(f"{ledger}: {sequence} follows {last}")
            if previous != link or hashlib.sha256(previous + data).digest() != value:
                faults.append(f"{ledger}: the chain breaks at {sequence}")
            heads[ledger] = (sequence, value)
        return faults

    def without_intent(self, operations: Iterable[str]) -> list[str]:
        """Return the operations that were answered and that no row knows."""
        return [operation for operation in operations if operation not in self.states]


def _bytes(value: bytes | str) -> bytes:
    return value.encode() if isinstance(value, str) else bytes(value)
