"""What the gateway lets through, what the signer takes and what is published is one limit for each text."""

from __future__ import annotations

from typing import Any

import pytest

from gateway.fields import Fields
from gateway.schemas import SCHEMAS
from gateway.signing import read_header
from services.kernel.errors import FieldInvalid
from services.signer.formats.parameters import Envelope

LIMITS = {"reason": 200, "location": 200, "field_name": 128, "xml.target_id": 200, "xml.parent": 512}


def through_the_gateway(name: str, text: str) -> None:
    holder, _, member = name.rpartition(".")
    asked: dict[str, Any] = {
        "credential_id": "cr_1",
        "format": "xades" if holder else "pades",
        "label": "none",
    }
    asked |= {holder: {member: text}} if holder else {member: text}
    read_header(Fields(asked), "key")


def by_the_signer(name: str, text: str) -> None:
    options: dict[str, Any] = {name.replace(".", "_"): text}
    if name.startswith("xml."):
        Envelope("XADES", **options)
    else:
        Envelope("PADES", **options)


@pytest.mark.parametrize("name", LIMITS)
@pytest.mark.parametrize("taken", [through_the_gateway, by_the_signer])
def test_a_text_has_one_limit_everywhere(name: str, taken: Any) -> None:
    limit = LIMITS[name]
    taken(name, "x" * limit)
    with pytest.raises(FieldInvalid) as caught:
        taken(name, "x" * (limit + 1))
    assert caught.value.data["field"] == name


@pytest.mark.parametrize("name", LIMITS)
@pytest.mark.parametrize("schema", ["SignatureRequest", "BatchRequest", "BatchItem"])
def test_the_published_limit_is_that_limit(name: str, schema: str) -> None:
    holder, _, member = name.rpartition(".")
    properties = SCHEMAS["XmlOptions" if holder else schema]["properties"]
    assert properties[member]["maxLength"] == LIMITS[name]
