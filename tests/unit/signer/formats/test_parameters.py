"""Parameters refuse what no format could write, and survive the way to a worker."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from typing import Any

import pytest

from services.kernel.errors import FieldInvalid
from services.signer.formats.parameters import Envelope, Level, Place, SignatureParameters, Visible
from tests.support.document_signers import signer


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("certificate_chain", ()),
        ("certificate_chain", (b"",)),
        ("certificate_chain", (b"x" * 32769,)),
        ("certificate_chain", (b"x",) * 9),
        ("signing_time", datetime(2026, 1, 1)),  # noqa: DTZ001 - that it has no zone is the point
    ],
)
def test_a_bad_value_is_refused_by_name(field: str, value: Any) -> None:
    with pytest.raises(FieldInvalid) as caught:
        replace(signer().parameters(), **{field: value})
    assert caught.value.data["field"] == field


@pytest.mark.parametrize(
    ("options", "field"),
    [
        ({"format": "PADES", "reason": "x" * 201}, "reason"),
        ({"format": "PADES", "reason": ""}, "reason"),
        ({"format": "PADES", "location": "Hà\nNội"}, "location"),
        ({"format": "PADES", "field_name": "x" * 129}, "field_name"),
        ({"format": "PADES", "packaging": "ENVELOPING"}, "packaging"),
        ({"format": "CADES", "reason": "Duyệt"}, "reason"),
        ({"format": "CADES", "certification": 2}, "pdf"),
        ({"format": "SMIME", "level": Level.B_T}, "level"),
        ({"format": "XMLDSIG", "level": Level.B_LTA}, "level"),
        ({"format": "JADES", "level": Level.B_LTA}, "level"),
        ({"format": "JADES", "level": Level.B_T, "json_serialization": "COMPACT"}, "json_serialization"),
        ({"format": "JADES", "xml_target_id": "a"}, "xml"),
        ({"format": "PADES", "cms_relation": "COUNTER"}, "cms_relation"),
        ({"format": "XADES", "xml_parent": "x" * 513}, "xml.parent"),
        ({"format": "XADES", "time_stamp_authority": "x" * 65}, "level_options.time_stamp_authority"),
    ],
)
def test_an_envelope_that_does_not_exist_is_refused_by_name(options: dict[str, Any], field: str) -> None:
    with pytest.raises(FieldInvalid) as caught:
        Envelope(**options)
    assert caught.value.data["field"] == field


@pytest.mark.parametrize(
    ("options", "field"),
    [
        ({"width": 0.0, "height": 1.0, "page": 1}, "visible.place"),
        ({"width": 1.0, "height": 20_000.0, "page": 1}, "visible.place"),
        ({"width": 1.0, "height": float("nan"), "page": 1}, "visible.place"),
        ({"width": 1.0, "height": 1.0}, "visible.place"),
        ({"width": 1.0, "height": 1.0, "page": 1, "anchor": "#"}, "visible.place"),
        ({"width": 1.0, "height": 1.0, "page": -1}, "visible.place"),
        ({"width": 1.0, "height": 1.0, "anchor": "x" * 101}, "visible.anchor"),
    ],
)
def test_a_place_that_is_on_no_page_is_refused(options: dict[str, Any], field: str) -> None:
    with pytest.raises(FieldInvalid) as caught:
        Place(**options)
    assert caught.value.data["field"] == field


def test_a_worker_reads_what_the_signer_wrote() -> None:
    visible = Visible(
        "free", Place(100.0, 40.0, anchor="Họ tên"), lines=("{name}", "{time}"), image_width_mm=36.0
    )
    parameters = signer().parameters(
        reason="Phê duyệt", location="Huế", field_name="Chữ ký", level=Level.B_LTA, visible=visible
    )
    assert SignatureParameters.from_json(parameters.to_json()) == parameters


@pytest.mark.parametrize(
    ("options", "field"),
    [
        ({"format": "PADES", "packaging": "DETACHED", "level": Level.B_LT}, "level"),
        ({"format": "XADES", "packaging": "DETACHED", "level": Level.B_LTA}, "level"),
        ({"format": "XADES", "packaging": "ENVELOPED"}, "content_digest"),
        ({"format": "ASIC_E"}, "content_digest"),
        ({"format": "SMIME"}, "content_digest"),
    ],
)
def test_what_needs_the_content_is_not_made_of_its_digest(options: dict[str, Any], field: str) -> None:
    with pytest.raises(FieldInvalid) as caught:
        Envelope(**options).require_digest_fits()
    assert caught.value.data["field"] == field


def test_levels_are_ordered() -> None:
    assert [level for level in Level if level.includes(Level.B_LT)] == [Level.B_LT, Level.B_LTA]


@pytest.mark.parametrize(
    ("options", "media_type"),
    [
        ({"format": "PADES"}, "application/pdf"),
        ({"format": "PADES", "packaging": "DETACHED"}, "application/pkcs7-signature"),
        ({"format": "CADES"}, "application/pkcs7-signature"),
        ({"format": "CADES", "packaging": "ENVELOPING"}, "application/pkcs7-mime"),
        ({"format": "XADES"}, "application/xml"),
        ({"format": "JADES"}, "application/jose"),
        ({"format": "JADES", "level": Level.B_T}, "application/jose+json"),
        ({"format": "JADES", "json_serialization": "GENERAL"}, "application/jose+json"),
        ({"format": "ASIC_S"}, "application/vnd.etsi.asic-s+zip"),
        ({"format": "ASIC_E"}, "application/vnd.etsi.asic-e+zip"),
        ({"format": "SMIME"}, "message/rfc822"),
    ],
)
def test_a_result_has_the_media_type_of_its_envelope(options: dict[str, Any], media_type: str) -> None:
    assert Envelope(**options).media_type == media_type
