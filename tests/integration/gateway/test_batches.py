"""Batches through the door: an outcome for each item, shared images, going on where it broke off."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
from jsonschema import Draft202012Validator  # type: ignore[import-untyped]

from gateway.routes.batches import item_key
from kyso.v1 import signer_pb2 as signer
from services.kernel.errors import CredentialHeld, HsmTimeout
from tests.integration.gateway.conftest import MAX_DOCUMENT, Door, until
from tests.integration.gateway.test_formats import (
    CONTENT,
    IMAGE,
    parts_of,
)

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def batch(door: Door, key: str, request: dict[str, Any], *files: tuple[str, str, bytes, str]) -> Any:
    headers = {**door.headers("sign:document"), "Idempotency-Key": key}
    answer = await door.http.post("/v1/signatures:batch", files=parts_of(request, *files), headers=headers)
    assert answer.status_code == 200, answer.text
    document = (await door.http.get("/openapi.json")).json()
    root = {"$ref": "#/components/schemas/BatchAnswer", "components": document["components"]}
    Draft202012Validator(root).validate(answer.json())
    return answer.json()["outcomes"]


def letters(*keys: str) -> list[tuple[str, str, bytes, str]]:
    return [(key, f"{key}.pdf", b"%PDF " + key.encode(), "application/pdf") for key in keys]


async def test_a_batch_has_an_outcome_for_each_item_and_one_that_fails_stops_no_other(door: Door) -> None:
    door.services.signer.refuse_names = {"b.pdf": CredentialHeld("it is on hold")}
    big = ("c", "c.pdf", bytes(MAX_DOCUMENT + 1), "application/pdf")
    items = [
        {"key": "a", "reference": "1/CV"}, {"key": "b"}, {"key": "c"}, {"key": "d", "level": "B-X"},
        {"key": "missing"}, {"key": "đ", "file_name": "đơn.pdf", "format": "cades", "label": None},
    ]  # fmt: skip
    rows = letters("a", "b", "d", "đ")
    outcomes = await batch(door, "day-1", {"items": items}, *rows[:2], big, *rows[2:])
    assert [row["key"] for row in outcomes] == ["a", "b", "c", "d", "missing", "đ"]
    codes = [row["error"] and row["error"]["code"] for row in outcomes]
    assert codes == [None, "CREDENTIAL_HELD", "BODY_TOO_LARGE", "FIELD_INVALID", "PART_ORDER", None]
    assert [row["state"] for row in outcomes] == ["accepted", None, None, None, None, "accepted"]
    assert outcomes[0]["status_url"] == f"/v1/signatures/{outcomes[0]['operation_id']}"
    signed = {header.file_name: header for header in door.services.signer.headers}
    assert (signed["a.pdf"].context.reference, signed["a.pdf"].idempotency_key) == ("1/CV", "day-1:a")
    assert signed["đơn.pdf"].format == signer.SIGNATURE_FORMAT_CADES
    assert signed["đơn.pdf"].context.label == 0
    assert set(door.services.signer.submitted) == {"day-1:a", item_key("day-1", "đ")}


async def test_a_batch_goes_on_where_it_broke_off(door: Door) -> None:
    items = [{"key": key} for key in "abc"]
    first = await batch(door, "day-2", {"items": items}, *letters("a"))
    again = await batch(door, "day-2", {"items": items[1:]}, *letters("c", "b"))
    whole = await batch(door, "day-2", {"items": items}, *letters("b", "a", "c"))
    assert [row["replayed"] for row in whole] == [True, True, True]
    ids = [row["operation_id"] for row in whole]
    assert ids == [first[0]["operation_id"], *(row["operation_id"] for row in again)]
    assert len(door.services.signer.submitted) == 3


async def test_a_batch_shares_its_images(door: Door) -> None:
    visible = {"profile": "nd30.agency", "image_width_mm": 36, "image_height_mm": 36}
    items = [{"key": "a"}, {"key": "b", "pdf": {}}, {"key": "c"}]
    seal = ("image", "dấu.png", bytes(60_000), "image/png")
    await batch(door, "day-3", {"items": items, "pdf": {"visible": visible}}, seal, *letters("a", "b", "c"))
    assert [[file.role for file in files] for files in door.services.signer.files] == [
        [CONTENT, IMAGE],
        [CONTENT],
        [CONTENT, IMAGE],
    ]
    first, _, last = (header.pdf.visible for header in door.services.signer.headers)
    assert first == last
    assert (first.image_width_mm, door.services.signer.files[2][1].size) == (36, 60_000)
    assert door.services.signer.completed == 3


async def test_an_item_of_a_batch_names_the_image_that_it_shows(door: Door) -> None:
    seal = {"visible": {"profile": "nd30.agency", "image_width_mm": 36, "image_height_mm": 36}}
    person, text = {"visible": {"profile": "nd30.person"}}, {"visible": {"profile": "nd30.attachment"}}
    items = [
        {"key": "a", "image": "ký.png", "pdf": person}, {"key": "b"}, {"key": "c", "pdf": text, "image": None},
        {"key": "d", "image": None}, {"key": "e", "image": "none.png"}, {"key": "f", "pdf": text},
        {"key": "g", "image": "two.png"},
    ]  # fmt: skip
    images = [
        ("image", name, bytes(size), "image/png")
        for name, size in (("dấu.png", 600), ("ký.png", 700), ("two.png", 1), ("two.png", 2))
    ]
    request = {"items": items, "pdf": seal, "image": "dấu.png"}
    outcomes = await batch(door, "day-6", request, *images, *letters(*"abcdefg"))
    assert [row["error"] and row["error"]["code"] for row in outcomes] == [
        None, None, None, "FIELD_INVALID", "FIELD_INVALID", "FIELD_INVALID", "FIELD_INVALID",
    ]  # fmt: skip
    assert [[file.size for file in files if file.role == IMAGE] for files in door.services.signer.files] == [
        [700],
        [600],
        [],
    ]


async def test_the_only_image_of_a_batch_goes_to_profiles_that_show_one(door: Door) -> None:
    profiles = ["nd30.person", "nd30.agency", "free", "nd30.attachment", "nd30.copy", "archive05", "block"]
    items = [{"key": name, "pdf": {"visible": {"profile": name}}} for name in profiles]
    seal = ("image", "dấu.png", bytes(600), "image/png")
    await batch(door, "day-7", {"items": items}, seal, *letters(*profiles))
    assert [len(files) for files in door.services.signer.files] == [2, 2, 2, 1, 1, 1, 1]


async def test_a_batch_waits_for_its_signatures(door: Door) -> None:
    door.services.signer.asked_before_end = 3
    outcomes = await batch(
        door, "day-4", {"items": [{"key": "a"}, {"key": "b"}], "wait_seconds": 20}, *letters("a", "b")
    )
    assert [row["state"] for row in outcomes] == ["signed", "signed"]
    assert outcomes[0]["document_url"] == f"/v1/signatures/{outcomes[0]['operation_id']}/document"


async def test_a_batch_that_waited_in_vain_tells_how_far_it_is(door: Door) -> None:
    door.services.signer.asked_before_end = 10**6
    outcomes = await batch(door, "day-5", {"items": [{"key": "a"}], "wait_seconds": 0.3}, *letters("a"))
    assert [(row["state"], row["document_url"]) for row in outcomes] == [("begun", None)]


async def test_a_signer_that_is_away_is_every_items_outcome(door: Door) -> None:
    door.services.signer.refuse = HsmTimeout("later")
    outcomes = await batch(door, "day-6", {"items": [{"key": "a"}, {"key": "b"}]}, *letters("a", "b"))
    assert [row["error"]["retryable"] for row in outcomes] == [True, True]


async def test_a_caller_that_goes_away_leaves_whole_items_accepted_and_half_ones_alone(door: Door) -> None:
    headers = door.headers("sign:document")
    body = json.dumps({"credential_id": "cr_1", "format": "pades", "items": [{"key": "a"}, {"key": "b"}]})
    head = '--b\r\nContent-Disposition: form-data; name="{}"\r\nContent-Type: {}\r\n\r\n'
    whole = (
        head.format("request", "application/json") + body + "\r\n" + head.format("a", "application/pdf")
    ).encode()
    content = whole + b"%PDF a\r\n" + head.format("b", "application/pdf").encode() + b"%PDF half"
    lines = [f"{name}: {value}\r\n" for name, value in headers.items()]
    _, writer = await asyncio.open_connection("127.0.0.1", door.port)
    start = (
        "POST /v1/signatures:batch HTTP/1.1\r\nHost: a\r\nContent-Type: multipart/form-data; boundary=b\r\n"
    )
    writer.write(f"{start}{''.join(lines)}Content-Length: {len(content) + 100}\r\n\r\n".encode() + content)
    await writer.drain()
    signer_side = door.services.signer

    async def half_came() -> bool:
        return len(signer_side.submitted) == 1 and len(signer_side.headers) == 2

    async def ended() -> bool:
        return door.figure("kyso_gateway_in_flight") == 0

    await until(half_came)
    writer.close()
    await until(ended)
    assert list(door.services.signer.submitted) == [headers["Idempotency-Key"] + ":a"]
    assert door.services.signer.completed == 1


async def test_item_keys_are_the_same_for_the_same_two_keys_only() -> None:
    keys = [("a", "b:c"), ("a:b", "c"), ("a", "b%3Ac"), ("k" * 128, "x"), ("k" * 127, "kx"), ("a", "đ" * 100)]
    made = [item_key(batch_key, key) for batch_key, key in keys]
    assert len(set(made)) == len(made)
    assert all(key.isascii() and key.isprintable() and 1 <= len(key) <= 128 for key in made)
    assert item_key("a", "x.pdf") == "a:x.pdf"
