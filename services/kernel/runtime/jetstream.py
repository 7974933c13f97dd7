"""JetStream's client, with a way to publish many messages that costs little and loses no refusal.

The library's own `publish_async` starts a task for each message, reads each acknowledgement into objects that nobody
asks for, and where the server refuses a message (a full queue, say) it raises in a callback of its own, so that the
publisher waits for its time-out.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from secrets import token_hex

from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.js import JetStreamContext
from nats.js.errors import APIError, NoStreamResponseError

_NO_RESPONDERS = "503"


class JetStream(JetStreamContext):
    """One connection's JetStream."""

    def __init__(self, client: Client, timeout: float) -> None:
        """Bind a connection; `timeout`, in seconds, is that of the library's own requests."""
        super().__init__(client, timeout=timeout)
        self._client = client
        self._replies = ""
        self._number = 0
        self._awaited: dict[str, asyncio.Future[None]] = {}

    async def send(self, subject: str, data: bytes, headers: Mapping[str, str]) -> asyncio.Future[None]:
        """Send a message without waiting; the future ends once it is stored, or with the server's refusal (APIError).

        Whoever gives the future up cancels it. Raises what the library raises where there is no connection.
        """
        if not self._replies:
            replies = f"{self._client._inbox_prefix.decode()}.{token_hex(8)}."  # noqa: SLF001
            await self._client.subscribe(f"{replies}*", cb=self._answered)
            self._replies = replies
        self._number += 1
        reply = f"{self._replies}{self._number:x}"
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._awaited[reply] = future
        future.add_done_callback(lambda _: self._awaited.pop(reply, None))
        try:
            await self._client.publish(subject, data, reply=reply, headers=dict(headers))
        except BaseException:
            future.cancel()
            raise
        return future

    async def _answered(self, message: Msg) -> None:
        future = self._awaited.get(message.subject)
        if future is None or future.done():
            return
        if message.headers and message.headers.get("Status") == _NO_RESPONDERS:
            future.set_exception(NoStreamResponseError())
        elif b'"error"' in message.data:
            try:
                APIError.from_error(json.loads(message.data)["error"])
            except APIError as refusal:
                future.set_exception(refusal)
            except (ValueError, KeyError, TypeError) as unreadable:
                future.set_exception(unreadable)
        else:
            future.set_result(None)
