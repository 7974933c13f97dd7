"""The page on reports says what the code does: every sub-indication, those of the standard that are never given."""

from __future__ import annotations

import re
from pathlib import Path

from services.verifier.domain import OwnerResult, SubIndication
from services.verifier.reports import sheet
from services.verifier.reports.etsi_objects import MAX_FULL_BYTES, VR

PAGE = (Path(__file__).resolve().parents[3] / "docs" / "verification-reports.md").read_text(encoding="utf-8")
TABLE_6 = (
    "FORMAT_FAILURE HASH_FAILURE SIG_CRYPTO_FAILURE REVOKED EXPIRED NOT_YET_VALID SIG_CONSTRAINTS_FAILURE "
    "CHAIN_CONSTRAINTS_FAILURE CERTIFICATE_CHAIN_GENERAL_FAILURE CRYPTO_CONSTRAINTS_FAILURE POLICY_PROCESSING_ERROR "
    "SIGNATURE_POLICY_NOT_AVAILABLE TIMESTAMP_ORDER_FAILURE NO_SIGNING_CERTIFICATE_FOUND NO_CERTIFICATE_CHAIN_FOUND "
    "NO_CERTIFICATE_CHAIN_FOUND_NO_POE REVOKED_NO_POE REVOKED_CA_NO_POE OUT_OF_BOUNDS_NOT_REVOKED "
    "OUT_OF_BOUNDS_NO_POE REVOCATION_OUT_OF_BOUNDS_NO_POE CRYPTO_CONSTRAINTS_FAILURE_NO_POE NO_POE TRY_LATER "
    "SIGNED_DATA_NOT_FOUND CUSTOM GENERIC"
)
"""Of ETSI EN 319 102-1."""


def rows(part: str) -> list[str]:
    """First cells of the table's rows in code style."""
    return re.findall(r"^\| `([A-Za-z_]+)` \|", part, re.MULTILINE)


def test_every_sub_indication_is_in_one_of_the_two_tables() -> None:
    given, never = (
        PAGE.split("## Sub-indications")[1].split("## The ETSI report")[0].split("which Kyso never gives")
    )
    assert rows(given) == [sub.value for sub in SubIndication]
    assert sorted(rows(given) + rows(never)) == sorted(TABLE_6.split())


def test_the_owners_results_and_the_limits_are_those_of_the_code() -> None:
    assert rows(PAGE.split("## The dossier's owner")[1].split("## Sub-indications")[0]) == list(OwnerResult)
    assert f"beyond the {sheet.MAX_SIGNATURES}th" in PAGE
    assert f"up to {MAX_FULL_BYTES >> 20} MiB" in PAGE
    assert VR in PAGE
