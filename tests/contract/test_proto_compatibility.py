"""The published contract may grow, never break: checked by buf against the image that was published last.

When a change is meant to be published, `python tests/contract/publish_contract.py` writes a new image, and refuses
where the change would break those who use the old one.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.contract import PUBLISHED, breaking, compile_contract, lint


@pytest.fixture(scope="module")
def current(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return compile_contract(tmp_path_factory.mktemp("contract") / "current.binpb")


def test_every_element_has_a_comment_and_the_standard_form(current: Path) -> None:
    assert lint(current) == []


def test_nothing_published_was_broken(current: Path) -> None:
    assert breaking(current, PUBLISHED) == []


@pytest.mark.parametrize(
    ("before", "after", "complaint"),
    [
        ("bytes spki = 2;", "string spki = 2;", "type"),
        ("repeated bytes digests = 5;", "repeated bytes digests = 50;", "digests"),
        ("  rpc SignHashes(SignHashesRequest) returns (SignHashesResponse);", "", "SignHashes"),
        ("AUTHORITY_PURPOSE_CRL = 2;", "AUTHORITY_PURPOSE_CRL = 3;", "AuthorityPurpose"),
    ],
)
def test_a_breaking_change_is_found(before: str, after: str, complaint: str, tmp_path: Path) -> None:
    changed = compile_contract(tmp_path / "changed.binpb", replace=("signer.proto", before, after))
    assert any(complaint in line for line in breaking(changed, PUBLISHED))


def test_a_field_without_a_comment_is_found(tmp_path: Path) -> None:
    comment = "  // Opaque id of the key in the signer.\n"
    changed = compile_contract(tmp_path / "changed.binpb", replace=("signer.proto", comment, ""))
    assert any("key_id" in line and "comment" in line for line in lint(changed))
