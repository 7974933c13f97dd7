"""One replica of a time-stamp authority as a process of its own, to be killed: it stamps until it is.

    python -m tests.support.tsa_replica DATABASE_URL FILE BLOCK

Each token that it releases is one line of FILE, its serial number in hexadecimal, written before the next is made.
"""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path

import structlog

from services.kernel.runtime.config import DatabaseSettings
from services.kernel.runtime.database import Database
from services.kernel.values import Digest, DigestAlgorithm
from services.signer.main import MIGRATIONS
from services.signer.store.serials import SqlSerialStore
from services.signer.tsa.check import check_token
from tests.support.tsa_world import tsa_world

AT_ONCE = 8


async def stamp(url: str, file: Path, block: int) -> None:
    """Stamp until killed."""
    structlog.configure(logger_factory=structlog.ReturnLoggerFactory())
    database = await Database.open(DatabaseSettings(url=url, pool_size=2), MIGRATIONS)
    world = await tsa_world(SqlSerialStore(database), block=block)
    released = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_APPEND)

    async def again_and_again() -> None:
        digest = Digest(DigestAlgorithm.SHA256, os.urandom(32))
        while True:
            token = await world.authority.token(digest.value, digest.algorithm)
            serial = check_token(token, digest, None).serial
            os.write(released, f"{serial:x}\n".encode())

    await asyncio.gather(*(again_and_again() for _ in range(AT_ONCE)))


if __name__ == "__main__":
    asyncio.run(stamp(sys.argv[1], Path(sys.argv[2]), int(sys.argv[3])))
