"""POST /v1/signatures:batch: many documents in one call, each an operation of its own with its own outcome.

Every document takes the asynchronous road: it is accepted once row and payload are durable, so that a call that breaks
off loses nothing. Its idempotency key comes of the batch's key and the item's, so that the same call again, whole or
with the missing items only, continues instead of signing twice.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast
from urllib.parse import quote

from starlette.requests import Request
from starlette.responses import Response

from gateway import body, translate
from gateway.auth import Caller
from gateway.config import LimitSettings
from gateway.document import Upstream, forward
from gateway.endpoint import Endpoint, idempotency_key, json_response
from gateway.fields import Fields, parse_object
from gateway.files import document_part, read_request_part, tells_more
from gateway.multipart import MultipartBody, Part, safe_file_name
from gateway.routes import described
from gateway.signing import read_header
from kyso.v1 import signer_pb2 as messages
from services.kernel.errors import (
    BatchEmpty,
    BatchTooLarge,
    DomainError,
    FieldInvalid,
    PartOrder,
)

if TYPE_CHECKING:
    # These names exist for the type checker only.
    from kyso.v1.signer_pb2_grpc import SignerServiceAsyncStub

WHY = (
    "send part 'request' (application/json) first, then the parts 'image' that the documents show, then one part for"
    " each item, its name the item's key"
)
RESERVED = frozenset({"request", "image"})
MAX_KEY = 200
MAX_IMAGES = 4
PART_BYTES = 2 * 1024
WITHOUT_IMAGE = frozenset({
    messages.VISIBLE_PROFILE_ND30_ATTACHMENT,
    messages.VISIBLE_PROFILE_ND30_COPY,
    messages.VISIBLE_PROFILE_ARCHIVE05,
    messages.VISIBLE_PROFILE_BLOCK,
})  # fmt: skip
"""Profiles of text alone."""
FIRST_PAUSE_SECONDS = 0.1
LONGEST_PAUSE_SECONDS = 1.0
LAST_LOOK_SECONDS = 5.0
ENDED = frozenset({
    messages.OPERATION_STATE_SIGNED,
    messages.OPERATION_STATE_REFUSED,
    messages.OPERATION_STATE_FAILED,
    messages.OPERATION_STATE_OUTCOME_UNKNOWN,
})  # fmt: skip


@dataclass(slots=True)
class Item:
    """One document of a batch, and what has become of it."""

    key: str
    header: messages.SignDocumentHeader | None = None
    image: str = ""
    """File name of the shared image that it shows; empty: the only one, where its profile shows one."""
    error: DomainError | None = None
    came: bool = False
    operation_id: str = ""
    replayed: bool = False
    operation: messages.GetOperationResponse | None = None

    @property
    def open(self) -> bool:
        """Whether it was accepted and has not ended as far as is known."""
        return bool(self.operation_id) and (self.operation is None or self.operation.state not in ENDED)

    def outcome(self) -> dict[str, Any]:
        """Return what the answer says of it."""
        if not self.operation_id:
            error = self.error or PartOrder(f"no part {self.key!r} came: {WHY}", part=self.key)
            return {
                "key": self.key, "operation_id": None, "state": None, "replayed": False, "status_url": None,
                "document_url": None,
                "error": {"code": error.code, "message": error.message, "retryable": error.retryable},
            }  # fmt: skip
        known = translate.operation(self.operation) if self.operation is not None else {}
        return {
            "key": self.key,
            "operation_id": self.operation_id,
            "state": known.get("state") or "accepted",
            "replayed": self.replayed,
            "status_url": f"/v1/signatures/{self.operation_id}",
            "document_url": known.get("document_url"),
            "error": known.get("error"),
        }


class Batches:
    """Takes batches of documents."""

    def __init__(self, signer: SignerServiceAsyncStub, limits: LimitSettings) -> None:
        """Take the signer."""
        self._signer = signer
        self._limits = limits
        self._timeout = limits.body_seconds + limits.document_call_seconds

    def endpoints(self) -> tuple[Endpoint, ...]:
        """Return the endpoints of this resource."""
        scope = frozenset({"sign:document"})
        return (Endpoint("POST", "/v1/signatures:batch", self.sign, described.BATCH, scope),)

    async def sign(self, request: Request, caller: Caller) -> Response:
        """Hand every document in; answer one outcome for each, in the order of the items."""
        key = idempotency_key(request)
        body.require_media_type(request, "multipart/form-data")
        limits = self._limits
        extra = limits.max_json_bytes + MAX_IMAGES * limits.max_image_bytes
        limit = limits.max_batch_bytes + extra + limits.max_batch_items * PART_BYTES
        pieces = body.pieces(request, limit, limits, limits.batch_seconds)
        parts = MultipartBody(
            request.headers["content-type"], pieces, 1 + MAX_IMAGES + limits.max_batch_items
        )
        raw = await read_request_part(parts, WHY, limits.max_json_bytes)
        items, wait_seconds = read_batch(parse_object(raw, "part 'request'"), key, limits)
        await self._hand_in(parts, items, caller)
        if wait_seconds:
            await self._await_ends(items, wait_seconds, caller)
        return json_response({"outcomes": [item.outcome() for item in items.values()]})

    async def _hand_in(self, parts: MultipartBody, items: dict[str, Item], caller: Caller) -> None:
        images: list[tuple[Part, bytes]] = []
        places = asyncio.Semaphore(self._limits.batch_calls)
        waiting: list[asyncio.Task[None]] = []
        started = False
        try:
            while (part := await parts.next_part()) is not None:
                if part.name == "image" and not started and len(images) < MAX_IMAGES:
                    images.append((part, await part.read(self._limits.max_image_bytes)))
                    continue
                started = True
                item = items.get(part.name)
                if item is None or item.came:
                    raise PartOrder(f"part {part.name!r} was not expected there: {WHY}", part=part.name)
                item.came = True
                await places.acquire()
                call = await self._send(parts, part, item, images, caller)
                if call is None:
                    places.release()
                else:
                    waiting.append(asyncio.create_task(_accepted(item, call, places)))
            await asyncio.gather(*waiting)
        finally:
            for task in waiting:
                task.cancel()

    async def _send(
        self,
        parts: MultipartBody,
        part: Part,
        item: Item,
        images: Sequence[tuple[Part, bytes]],
        caller: Caller,
    ) -> Any:
        """Write one document to the signer and return the call, or None where the item has failed already."""
        if item.header is None:
            await part.discard()
            return None
        try:
            chosen = _chosen(item.image, item.header, images)
        except DomainError as error:
            item.error = error
            await part.discard()
            return None
        call = self._signer.SubmitDocument(timeout=self._timeout, metadata=caller.metadata)
        try:
            await forward(cast("Upstream", call), self._requests(item.header, part, chosen))
        except DomainError as error:
            if parts.broken:
                raise
            # The item's own failure, or the signer's no to it: the others go on behind it.
            item.error = error
            await part.discard()
            return None
        return call

    async def _requests(
        self, header: messages.SignDocumentHeader, part: Part, shown: tuple[Part, bytes] | None
    ) -> AsyncIterator[messages.SignDocumentRequest]:
        header.file_name = header.file_name or part.file_name
        yield messages.SignDocumentRequest(header=header)
        if tells_more(part, header.format):
            yield messages.SignDocumentRequest(next=document_part(part, messages.PART_ROLE_CONTENT))
        size = 0
        async for piece in part.pieces(self._limits.max_document_bytes):
            size += len(piece)
            yield messages.SignDocumentRequest(chunk=piece)
        if shown is not None:
            image, content = shown
            size += len(content)
            yield messages.SignDocumentRequest(next=document_part(image, messages.PART_ROLE_IMAGE))
            for start in range(0, len(content), body.PIECE_BYTES):
                yield messages.SignDocumentRequest(chunk=content[start : start + body.PIECE_BYTES])
        yield messages.SignDocumentRequest(end=messages.DocumentEnd(size=size))

    async def _await_ends(self, items: dict[str, Item], seconds: float, caller: Caller) -> None:
        """Ask until every operation has ended or the time is over.

        Jobs are done about in the order in which they came: only the first open ones are asked for, and all of them
        once more at the end. Asking for a thousand again and again would take the signers' time from signing.
        """
        pause = FIRST_PAUSE_SECONDS
        try:
            async with asyncio.timeout(seconds):
                while left := [item for item in items.values() if item.open]:
                    head = left[: self._limits.batch_calls]
                    await asyncio.gather(*(self._ask(item, caller) for item in head))
                    if any(item.open for item in head):
                        ended = len(head) - sum(item.open for item in head)
                        pause = FIRST_PAUSE_SECONDS if ended else min(2 * pause, LONGEST_PAUSE_SECONDS)
                        await asyncio.sleep(pause)
        except TimeoutError:
            await self._ask_all([item for item in items.values() if item.open], caller)

    async def _ask_all(self, items: Sequence[Item], caller: Caller) -> None:
        step = self._limits.batch_calls
        try:
            async with asyncio.timeout(LAST_LOOK_SECONDS):
                for start in range(0, len(items), step):
                    await asyncio.gather(*(self._ask(item, caller) for item in items[start : start + step]))
        except TimeoutError:
            return

    async def _ask(self, item: Item, caller: Caller) -> None:
        asked = messages.GetOperationRequest(operation_id=item.operation_id)
        try:
            item.operation = await self._signer.GetOperation(asked, metadata=caller.metadata)
        except DomainError:
            # It is accepted in any case; whoever wants to know more asks at its status_url.
            return


def _chosen(
    name: str, header: messages.SignDocumentHeader, images: Sequence[tuple[Part, bytes]]
) -> tuple[Part, bytes] | None:
    """Return the shared image that an item shows, or None. Raises FieldInvalid where it is not one of them."""
    shows = header.pdf.HasField("visible") and header.pdf.visible.profile not in WITHOUT_IMAGE
    if name and not shows:
        raise FieldInvalid(
            "field 'image' is for a visible signature by a profile that shows one: leave it out",
            field="image",
        )
    if not shows or not images:
        if name:
            raise FieldInvalid(f"no part 'image' has the file name {name!r}: none came", field="image")
        return None
    found = [image for image in images if not name or image[0].file_name == name]
    if len(found) != 1:
        what = (
            f"{len(found)} parts 'image' have the file name {name!r}" if name else f"{len(found)} images came"
        )
        raise FieldInvalid(
            f"{what}: say in field 'image' the file name that one of them alone has", field="image"
        )
    return found[0]


async def _accepted(item: Item, call: Any, places: asyncio.Semaphore) -> None:
    try:
        answer = await call
        item.operation_id, item.replayed = answer.operation_id, answer.replayed
    except DomainError as error:
        item.error = error
    finally:
        places.release()


def read_batch(fields: Fields, key: str, limits: LimitSettings) -> tuple[dict[str, Item], float]:
    """Read the request part: items by key, in order, and how long to wait. An item's own fault is its outcome."""
    rows = fields.required_items("items")
    wait_seconds = fields.number("wait_seconds", 0, limits.max_batch_wait_seconds, 0)
    common = fields.rest()
    if not rows:
        raise BatchEmpty("field 'items' is empty: name at least one document", field="items")
    if len(rows) > limits.max_batch_items:
        raise BatchTooLarge(
            f"field 'items' has {len(rows)} items; at most {limits.max_batch_items} in one call",
            field="items",
            limit=limits.max_batch_items,
        )
    items: dict[str, Item] = {}
    for index, row in enumerate(rows):
        path = f"items[{index}]."
        if not isinstance(row, dict):
            raise FieldInvalid(f"field 'items[{index}]' must be an object", field=f"items[{index}]")
        own = Fields(dict(row), path)
        item = Item(own.text("key", MAX_KEY))
        if item.key in items or item.key in RESERVED or set(item.key) & set('"\\'):
            raise FieldInvalid(
                f"field '{path}key' must be the item's own, neither 'request' nor 'image', without quote and backslash",
                field=f"{path}key",
            )
        items[item.key] = item
        try:
            item.header, item.image = _item_header({**common, **own.rest()}, path, item_key(key, item.key))
        except DomainError as error:
            item.error = error
    refused = [item.error for item in items.values() if item.error is not None]
    if len(refused) == len(items):
        # Nothing of it can be signed: told before a document is read.
        raise refused[0]
    return items, wait_seconds


def _item_header(members: dict[str, Any], path: str, key: str) -> tuple[messages.SignDocumentHeader, str]:
    """Read an item's header, and the file name of the image that it shows."""
    fields = Fields(members, path)
    file_name = safe_file_name(fields.optional_text("file_name", 255))
    image = safe_file_name(fields.optional_text("image", 255))
    header = read_header(fields, key)
    fields.done()
    header.file_name = file_name
    return header, image


def item_key(batch_key: str, key: str) -> str:
    """Return an item's idempotency key: 1 to 128 printable ASCII characters, the same for the same two keys only."""
    # Quoted, so that the last colon always parts the two.
    joined = f"{batch_key}:{quote(key, safe='')}"
    if len(joined) <= 128:
        return joined
    return "batch:" + hashlib.sha256(joined.encode("ascii")).hexdigest()
