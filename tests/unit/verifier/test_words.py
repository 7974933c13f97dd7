"""Identifiers, sentences and verdicts: the rules that need no document."""

from __future__ import annotations

import pytest

from services.verifier.domain import Code, Identifier, SubIndication
from services.verifier.reports import sentences
from services.verifier.x509 import identifiers


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("MST:0106793535", Identifier("tax", "0106793535", "MST", True)),
        ("mst: 0301519977-029 ", Identifier("tax", "0301519977-029", "MST", True)),
        ("MST:0301519977029", Identifier("tax", "0301519977-029", "MST", True)),
        ("MST:012345678901", Identifier("tax", "012345678901", "MST", True)),
        ("MST_0100109106-998", Identifier("tax", "0100109106-998", "MST", True)),
        ("CCCD:012 345\u00a0678 901", Identifier("citizen", "012345678901", "CCCD", True)),
        ("MST:0301519977\u2013029", Identifier("tax", "0301519977-029", "MST", True)),
        ("\u00a0MST :\u00a00106 793 535", Identifier("tax", "0106793535", "MST", True)),
        ("MST:01067935351", Identifier("tax", "01067935351", "MST", False)),
        ("MST:0106793535-02", Identifier("tax", "0106793535-02", "MST", False)),
        (
            "CCCD:\uff10\uff11\uff12345678901",
            Identifier("citizen", "\uff10\uff11\uff12345678901", "CCCD", False),
        ),
        (
            "CCCD:\u0660\u0661\u0662345678901",
            Identifier("citizen", "\u0660\u0661\u0662345678901", "CCCD", False),
        ),
        ("MNS: 105 7402", Identifier("other", "105 7402", "MNS", True)),
        ("MST:", None),
        ("MST0106793535", None),
        ("CMND:123456789", Identifier("old_id", "123456789", "CMND", True)),
        ("CMT_0123456789", Identifier("old_id", "0123456789", "CMT", False)),
        ("HC:B1234567", Identifier("passport", "B1234567", "HC", True)),
        ("XYZ:7", Identifier("other", "7", "XYZ", True)),
        ("CCCD:12", Identifier("citizen", "12", "CCCD", False)),
        ("no prefix", None),
        ("", None),
    ],
)
def test_an_identifier_is_read_as_the_field_writes_it(text: str, expected: Identifier | None) -> None:
    assert identifiers.parse(text, only_known=False) == expected


def test_unknown_prefixes_count_in_uid_only() -> None:
    found = identifiers.collect(
        ["AB:1", "MST:0106793535"], ["O:2", "MST:0100231226", "MST:0106793535", "Sở Y tế: Hà Nội"]
    )
    assert [(i.kind, i.value) for i in found] == [
        ("other", "1"),
        ("tax", "0106793535"),
        ("tax", "0100231226"),
    ]


def test_a_number_is_masked_for_logs() -> None:
    assert identifiers.masked("012345678901") == "012******901"
    assert identifiers.masked("12345") == "*****"


@pytest.mark.parametrize("code", list(Code))
def test_every_code_speaks_both_languages(code: Code) -> None:
    vi, en = sentences.of_code(code)
    assert vi
    assert en
    assert vi != en


@pytest.mark.parametrize("sub", list(SubIndication))
def test_every_sub_indication_has_its_reason_in_both_languages(sub: SubIndication) -> None:
    vi, en = sentences.reason(sub)
    assert vi
    assert en
    assert vi != en
