"""Parameters refuse what no format could write, and survive the way to a worker."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from typing import Any

import pytest

from services.kernel.errors import FieldInvalid
from services.signer.formats.parameters import SignatureParameters
from tests.support.document_signers import signer


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("reason", "x" * 513),
        ("reason", ""),
        ("location", "Hà\nNội"),
        ("signer_name", "lone surrogate \ud800"),
        ("field_name", "x" * 129),
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


def test_a_worker_reads_what_the_signer_wrote() -> None:
    parameters = signer().parameters(
        reason="Phê duyệt", location="Huế", signer_name="Bà A", field_name="Chữ ký"
    )
    assert SignatureParameters.from_json(parameters.to_json()) == parameters
