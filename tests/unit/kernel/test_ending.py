from __future__ import annotations

import asyncio
import contextlib

import pytest

from services.kernel.runtime import ending
from services.kernel.runtime.ending import end
from tests.support.rpc import make_runtime


@pytest.fixture(autouse=True)
def _soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ending, "AGAIN_SECONDS", 0.01)


async def loses(cancellations: int) -> None:
    """Work for ever, and lose so many cancellations, as a wait of Python 3.11 may."""
    for _ in range(cancellations):
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.Event().wait()
    await asyncio.Event().wait()


async def begun(task: asyncio.Task[None]) -> asyncio.Task[None]:
    await asyncio.sleep(0)
    assert not task.done()
    return task


async def test_a_task_that_loses_cancellations_ends_all_the_same() -> None:
    deaf = await begun(asyncio.create_task(loses(3)))
    good = await begun(asyncio.create_task(loses(0)))
    async with asyncio.timeout(20):
        await end(deaf, good)
    assert deaf.cancelled()
    assert good.cancelled()
    # A second time, and without any task, there is nothing to do.
    await end(deaf, good)
    await end()


async def test_how_a_task_ended_is_nobodys_trouble() -> None:
    async def breaks() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            raise ZeroDivisionError

    async def answers() -> int:
        await asyncio.sleep(0)
        return 1

    broken, answered = asyncio.create_task(breaks()), asyncio.create_task(answers())
    await answered
    async with asyncio.timeout(20):
        await end(broken, answered)
    assert isinstance(broken.exception(), ZeroDivisionError)
    assert answered.result() == 1


async def test_who_waits_for_the_end_can_be_cancelled() -> None:
    deaf = await begun(asyncio.create_task(loses(1)))
    waiting = await begun(asyncio.create_task(end(deaf)))
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    await end(deaf)


async def test_a_background_task_that_loses_its_cancellation_holds_up_no_stop() -> None:
    runtime = make_runtime()
    async with asyncio.timeout(20), runtime.background("relay", loses(1)) as task:
        await asyncio.sleep(0)
    assert task.cancelled()
    assert runtime.failure is None
