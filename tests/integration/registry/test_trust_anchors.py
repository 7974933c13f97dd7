"""Anchors on terms and trust lists: what verifiers are told of them, and which list may take another's place."""

from __future__ import annotations

import base64
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from kyso.v1 import registry_pb2, registry_pb2_grpc
from services.kernel.runtime.config import ConfigError, parse
from services.registry import trust_lists
from services.registry.config import OutsideAnchorSettings
from services.registry.domain.anchors import SIGNATURE, TIME_STAMP, Anchor, ListHead
from services.registry.service.outside_anchors import OutsideAnchors
from services.registry.trust_lists import TrustListUnreadable
from tests.integration.registry.conftest import Registry, Stand
from tests.support.outside_ca import OutsideCa, der

LATER = datetime(2031, 1, 1, tzinfo=UTC)
EARLIER = datetime(2020, 1, 1, tzinfo=UTC)


def listed(number: int, certificate: bytes, **changes: Any) -> dict[str, Any]:
    """A list as the verifier's command writes it."""
    anchor = {
        "certificate": base64.b64encode(certificate).decode(),
        "sha256": "00" * 32,
        "name": "Service",
        "scope": "foreign",
        "trusted_from": EARLIER.isoformat(),
        "trusted_until": None,
        "purposes": ["signature"],
    }
    return {
        "kind": "kyso-trust-list",
        "version": 1,
        "operator": "Scheme",
        "territory": "AT",
        "sequence_number": number,
        "issued_at": EARLIER.isoformat(),
        "next_update": LATER.isoformat(),
        "sha256": f"{number:064x}",
        "signer_sha256": "11" * 32,
        "anchors": [anchor],
    } | changes


async def told(registry: Registry) -> registry_pb2.GetTrustResponse:
    """What verifiers are told."""
    pki = registry.stub(registry_pb2_grpc.PkiServiceStub, "verifier")
    answer: registry_pb2.GetTrustResponse = await pki.GetTrust(registry_pb2.GetTrustRequest())
    return answer


async def test_verifiers_are_told_the_terms_of_each_anchor(stand: Stand) -> None:
    outside, other = OutsideCa(), OutsideCa()
    file = stand.folder / "list.json"
    file.write_text(json.dumps(listed(5, der(other.root))), "utf-8")
    on_terms = {
        "file": outside.write_root(stand.folder / "government.pem"),
        "scope": "government",
        "trusted_from": EARLIER,
        "trusted_until": LATER,
        "purposes": ["time-stamp"],
    }
    settings = stand.settings(
        ca={
            "outside_anchor_files": (outside.write_root(stand.folder / "anchor.pem"),),
            "outside_anchors": [on_terms],
            "trust_lists": [{"name": "austria", "file": file}],
            "trust_list_seconds": 0.05,
        }
    )
    async with stand.signer.serving(stand.mesh, stand.signer_port), stand.running(settings) as registry:
        await registry.ready()
        answer = await told(registry)
        own, plain, limited, foreign = answer.anchors
        assert (own.scope, plain.scope, limited.scope, foreign.scope) == (
            "own",
            "outside",
            "government",
            "foreign",
        )
        assert not plain.HasField("trusted_from")
        assert not plain.purposes
        assert limited.trusted_from.ToDatetime(UTC) == EARLIER
        assert limited.trusted_until.ToDatetime(UTC) == LATER
        assert list(limited.purposes) == ["time-stamp"]
        assert (list(foreign.purposes), foreign.trust_list) == (["signature"], "austria")
        (state,) = answer.trust_lists
        assert (state.name, state.sequence_number, state.next_update.ToDatetime(UTC)) == ("austria", 5, LATER)
        # A newer file is taken while the registry runs; an older one is not.
        file.write_text(json.dumps(listed(6, der(other.root), next_update=None)), "utf-8")
        while (await told(registry)).trust_lists[0].sequence_number != 6:
            pass
        assert not (await told(registry)).trust_lists[0].HasField("next_update")
        file.write_text(json.dumps(listed(4, der(other.root))), "utf-8")
        assert (await told(registry)).trust_lists[0].sequence_number == 6
    # Nor after a restart: then no list is in use at all, and readiness says so.
    async with stand.signer.serving(stand.mesh, stand.signer_port), stand.running(settings) as registry:
        assert len((await told(registry)).anchors) == 3
        reason = registry.runtime.health.reasons["trust-lists"]
        assert "austria (no. 4 is older than no. 6" in str(reason)


@pytest.mark.parametrize(
    "change",
    [
        {"kind": "other"},
        {"version": 2},
        {"sequence_number": "7"},
        {"sequence_number": 0},
        {"next_update": "2031-01-01T00:00:00"},
        {"next_update": 7},
        {"anchors": [{}]},
        {"anchors": "none"},
    ],
)
def test_a_file_that_no_command_wrote_is_refused(tmp_path: Path, change: dict[str, Any]) -> None:
    file = tmp_path / "list.json"
    file.write_text(json.dumps(listed(1, der(OutsideCa().root)) | change), "utf-8")
    with pytest.raises(TrustListUnreadable, match=r"list\.json"):
        trust_lists.read("list", file)


def test_damaged_files_are_refused_by_name(tmp_path: Path) -> None:
    file = tmp_path / "list.json"
    with pytest.raises(TrustListUnreadable, match="No such file"):
        trust_lists.read("list", file)
    for data in (
        b"",
        b"{",
        b"[]",
        b"[" * 100_000,
        b"\xff",
        json.dumps(listed(1, b"no certificate")).encode(),
    ):
        file.write_bytes(data)
        with pytest.raises(TrustListUnreadable):
            trust_lists.read("list", file)


def test_a_list_takes_the_place_of_an_older_one_only() -> None:
    seven = ListHead("Scheme (AT)", 7, "a")
    assert seven.refusal_of(ListHead("Scheme (AT)", 8, "b")) == ""
    assert seven.refusal_of(seven) == ""
    assert "older" in seven.refusal_of(ListHead("Scheme (AT)", 6, "b"))
    assert "another list" in seven.refusal_of(ListHead("Scheme (AT)", 7, "b"))
    assert "by Other" in seven.refusal_of(ListHead("Other (AT)", 8, "b"))


def test_an_anchor_is_trusted_within_its_terms_only() -> None:
    anchor = Anchor(b"", "public", EARLIER, LATER, frozenset({SIGNATURE}))
    assert anchor.is_trusted(SIGNATURE, EARLIER)
    assert not anchor.is_trusted(SIGNATURE, EARLIER - timedelta(seconds=1))
    assert not anchor.is_trusted(SIGNATURE, LATER)
    assert not anchor.is_trusted(TIME_STAMP, EARLIER)
    assert Anchor(b"").is_trusted(TIME_STAMP, EARLIER)
    with pytest.raises(ConfigError, match="later than trusted_from"):
        parse(
            OutsideAnchorSettings,
            {"file": "x", "scope": "public", "trusted_from": LATER, "trusted_until": EARLIER},
        )


def test_a_certificate_of_our_own_keys_leads_to_no_foreign_or_ended_authority() -> None:
    now = EARLIER + timedelta(days=1)
    outside = OutsideAnchors(
        (
            Anchor(b"unlimited"),
            Anchor(b"public", "public"),
            Anchor(b"public", "public", trusted_until=EARLIER),
            Anchor(b"ended", "public", trusted_until=now),
            Anchor(b"not yet", "public", trusted_from=LATER),
            Anchor(b"stamps", "public", purposes=frozenset({TIME_STAMP})),
            Anchor(b"foreign", "foreign"),
        ),
        (b"below",),
        {},
    )
    trust = outside.for_signatures(now)
    assert trust.anchors == (b"unlimited", b"public")
    assert trust.intermediates == (b"below",)
