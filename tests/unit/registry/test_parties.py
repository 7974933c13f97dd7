"""Identifiers and names: what is taken, what is refused, and that a refusal never repeats a citizen number."""

from __future__ import annotations

import pytest

from services.kernel.errors import FieldInvalid
from services.registry.domain import parties
from services.registry.profiles import SubscriberKind


@pytest.mark.parametrize("value", ["", "000.00.01.H56", "A1B.00.12.G01"])
def test_organ_ids_of_qcvn_102_are_taken(value: str) -> None:
    assert parties.organ_id(value) == (value or None)


@pytest.mark.parametrize(
    "value", ["H56", "000.00.01.h56", "000.00.01.H56 ", "000.00.01.H567", "０００.00.01.H56", "1"]
)
def test_other_organ_ids_are_refused(value: str) -> None:
    with pytest.raises(FieldInvalid, match="000"):
        parties.organ_id(value)


@pytest.mark.parametrize("value", ["", "0106793535", "0106489944-001"])
def test_tax_codes_are_taken(value: str) -> None:
    assert parties.tax_code(value) == value


@pytest.mark.parametrize(
    "value", ["010679353", "01067935350", "0106793535-1", "0106793535 ", "٠١٠٦٧٩٣٥٣٥", "MST:0106793535"]
)
def test_other_tax_codes_are_refused(value: str) -> None:
    with pytest.raises(FieldInvalid):
        parties.tax_code(value)


@pytest.mark.parametrize("value", ["01234567890", "0123456789012", "01234567890x", "٠" * 12])
def test_a_wrong_citizen_number_is_refused_without_repeating_it(value: str) -> None:
    with pytest.raises(FieldInvalid) as caught:
        parties.citizen_number(value, SubscriberKind.PERSON)
    assert value not in caught.value.message
    assert value not in str(caught.value.data)


def test_a_citizen_number_is_a_persons_and_masked_when_shown() -> None:
    assert parties.citizen_number("012345678901", SubscriberKind.PERSON) == "012345678901"
    assert parties.masked("012345678901") == "012******901"
    assert parties.masked("") == ""
    for kind in (SubscriberKind.ORGANIZATION, SubscriberKind.DEVICE_OR_SERVICE):
        with pytest.raises(FieldInvalid, match="persons"):
            parties.citizen_number("012345678901", kind)


def test_names_are_normalised_and_measured_after_that() -> None:
    decomposed = "So\u031b\u0309 No\u0323\u0302i vu\u0323"
    assert parties.text(f"  {decomposed} ", "name") == "Sở Nội vụ"
    with pytest.raises(FieldInvalid):
        parties.text("x" * 201, "name")
    assert parties.text("", "title", required=False) == ""


@pytest.mark.parametrize("value", ["", "   ", "a\nb", "a\x00b", "a\u202eb", "a\ue000"])
def test_names_without_print_or_with_controls_are_refused(value: str) -> None:
    with pytest.raises(FieldInvalid):
        parties.text(value, "name")


@pytest.mark.parametrize("value", ["", "vanthu@lamdong.gov.vn", "a.b+c@x-y.example.vn"])
def test_mailboxes_are_taken(value: str) -> None:
    assert parties.email(value) == value


@pytest.mark.parametrize(
    "value",
    [
        "a",
        "@x.vn",
        "a@x",
        "a b@x.vn",
        "a@x..vn",
        "a@-x.vn",
        "a@x.vn\n",
        f"{'a' * 65}@x.vn",
        f"a@{'x.' * 130}vn",
    ],
)
def test_what_is_no_mailbox_is_refused(value: str) -> None:
    with pytest.raises(FieldInvalid):
        parties.email(value)
