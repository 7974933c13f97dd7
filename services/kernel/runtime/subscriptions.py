"""Core subscriptions that outlive the connections they are made on."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import nats.errors
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.aio.subscription import Subscription

CoreHandler = Callable[[str, bytes], Awaitable[None]]
"""Takes subject and data of a core message."""


@dataclass(eq=False)
class CoreSubscription:
    """What is to be heard, and where it is heard now."""

    subject: str
    handler: CoreHandler
    client: Client | None = None
    """Whose subscription it is, or is just being made to be. The library renews it over its own reconnections."""
    live: Subscription | None = None


class CoreSubscriptions:
    """All core subscriptions of one bus, each made once on the client that is there."""

    def __init__(self, log: Any) -> None:
        """Start with none."""
        self._wanted: list[CoreSubscription] = []
        self._log = log

    def add(self, subject: str, handler: CoreHandler) -> CoreSubscription:
        """Want a subject; nothing is heard before `renew`."""
        subscription = CoreSubscription(subject, handler)
        self._wanted.append(subscription)
        return subscription

    async def remove(self, subscription: CoreSubscription) -> None:
        """Want it no more, and end what there is of it."""
        if subscription in self._wanted:
            self._wanted.remove(subscription)
        await self._end(subscription)

    async def renew(self, client: Client) -> Exception | None:
        """Subscribe what has no subscription of this client; return the last error, None where there was none.

        Without a connection nothing is done: it is called again when there is one.
        """
        failure: Exception | None = None
        for subscription in [wanted for wanted in self._wanted if wanted.client is not client]:
            # Looked at each time: another task may have been quicker.
            if not client.is_connected or subscription.client is client:
                continue
            try:
                await self._subscribe(client, subscription)
            except (nats.errors.Error, OSError) as error:
                failure = error
        return failure

    async def _subscribe(self, client: Client, subscription: CoreSubscription) -> None:
        async def deliver(message: Msg) -> None:
            try:
                await subscription.handler(message.subject, message.data)
            except Exception:  # noqa: BLE001
                # One bad message must not end the subscription; core messages are not delivered again anyway.
                self._log.exception("core_message_failed", subject=subscription.subject)

        # Noted before it is done, so that two tasks do not both do it.
        subscription.client = client
        try:
            subscription.live = await client.subscribe(subscription.subject, cb=deliver)
        except BaseException:
            subscription.client = None
            raise
        if subscription not in self._wanted:
            await self._end(subscription)

    async def _end(self, subscription: CoreSubscription) -> None:
        client, live = subscription.client, subscription.live
        subscription.live = None
        if client is not None and live is not None and not client.is_closed:
            # Also while the connection is away: the library would renew it with the next one.
            with suppress(nats.errors.Error, OSError):
                await live.unsubscribe()
