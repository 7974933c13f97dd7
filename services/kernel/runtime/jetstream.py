"""JetStream's client, with the refusals of publications that the library loses."""

from __future__ import annotations

from nats.aio.msg import Msg
from nats.js import JetStreamContext
from nats.js.errors import APIError


class JetStream(JetStreamContext):
    """Tells a publisher that the server refused (a full queue, say), where the library has it wait for its time-out.

    The library makes the refusal's error by a function that raises it, in the callback of its own subscription: it ends
    in the log, and the future of the publication stays open.
    """

    async def _handle_async_reply(self, msg: Msg) -> None:
        try:
            await super()._handle_async_reply(msg)
        except APIError as error:
            token = msg.subject.rpartition(".")[2]
            future = self._publish_async_futures.get(token)
            if future is not None and not future.done():
                future.set_exception(error)
