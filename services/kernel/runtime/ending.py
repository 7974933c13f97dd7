"""The end of tasks: for certain, also where one of them loses a cancellation."""

from __future__ import annotations

import asyncio
from typing import Any

AGAIN_SECONDS = 0.5
"""How long a cancelled task may take before it is cancelled again."""


async def end(*tasks: asyncio.Future[Any]) -> None:
    """Cancel tasks until all of them have ended; how each ended is of no interest.

    More than once, because `asyncio.wait_for` of Python 3.11 (and with it every wait of the NATS library) loses a
    cancellation that comes in the same turn of the loop as what it waits for: the task then goes on as if nobody had
    asked it to stop. What a task does in order to end is cancelled again too: it has to bear that.
    """
    running = {task for task in tasks if not task.done()}
    while running:
        for task in running:
            task.cancel()
        _, running = await asyncio.wait(running, timeout=AGAIN_SECONDS)
    for task in tasks:
        if not task.cancelled():
            # Read, so that asyncio does not report it as overlooked.
            task.exception()
