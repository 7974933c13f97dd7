"""After one signing and one verification /metrics shows what rules, dashboard and operators rely on."""

from __future__ import annotations

import base64
import hashlib
import json
import math

import pytest
from prometheus_client import Metric
from prometheus_client.parser import text_string_to_metric_families

from tests.support import monitoring
from tests.support.pdfs import one_page_pdf
from tests.support.platform import TestPlatform
from tests.support.world import World, multipart_body, until

PROCESSES = ("gateway", "signer-1", "verifier", "registry")
# Which processes export a metric, by the beginning of its name; the longest that fits counts.
EXPORTERS = {
    "kyso_gateway_": {"gateway"},
    "kyso_signer_": {"signer-1"},
    "kyso_verifier_": {"verifier"},
    "kyso_registry_": {"registry"},
    "kyso_rpc_": {"signer-1", "verifier", "registry"},
    "kyso_bus_": {"signer-1", "registry"},
    "kyso_consumer_": {"signer-1", "registry"},
    "kyso_outbox_": {"signer-1", "registry"},
    "kyso_ready": set(PROCESSES),
    "process_": set(PROCESSES),
}
_SUFFIXES = {"counter": ("_total",), "histogram": ("_bucket", "_sum", "_count"), "gauge": ("",)}


def families(platform: TestPlatform, process: str) -> list[Metric]:
    return list(text_string_to_metric_families(platform.metrics(process)))


def series_of(found: list[Metric]) -> set[str]:
    """Return the names that a process exports, also those of metrics that have counted nothing yet."""
    return {family.name + suffix for family in found for suffix in _SUFFIXES.get(family.type, ("",))}


def total(platform: TestPlatform, process: str, name: str, **labels: str) -> float:
    """Return the sum of a series over all labels that are not given; 0 where there is none."""
    return sum(
        sample.value
        for family in families(platform, process)
        for sample in family.samples
        if sample.name == name and labels.items() <= sample.labels.items()
    )


@pytest.fixture(scope="module")
def used(world: World) -> TestPlatform:
    """The platform after hashes and a document were signed, one call refused, one document verified, all audited."""
    digest = base64.b64encode(hashlib.sha256(b"content").digest()).decode()
    declared = {"document_type": "cong-van", "label": "none"}
    hashes = {
        "credential_id": world.ec_credential,
        "digest_algorithm": "SHA-256",
        "digests": [digest],
        **declared,
    }
    answer = world.post("/v1/hashes:sign", hashes)
    assert answer.status_code == 200, answer.text
    assert world.post("/v1/hashes:sign", hashes | {"credential_id": "ce_unknown"}).status_code == 404
    asked = {
        "credential_id": world.rsa_credential, "format": "pades", "level": "B-B", "digest_algorithm": "SHA-256",
        "mode": "sync", **declared,
    }  # fmt: skip
    parts = [("request", json.dumps(asked).encode()), ("document", one_page_pdf())]
    body, content_type = multipart_body(parts)
    headers = world.headers() | {"Idempotency-Key": world.new_key(), "Content-Type": content_type}
    signed = world.http.post("/v1/signatures", content=body, headers=headers)
    assert signed.status_code == 200, signed.text
    headers = world.headers() | {"Content-Type": "application/pdf"}
    verified = world.http.post("/v1/verifications", content=signed.content, headers=headers)
    assert verified.status_code == 200, verified.text
    _await_records(world.platform)
    return world.platform


def _await_records(platform: TestPlatform) -> None:
    """Wait until the audit log has every entry of the ledger, and the relays have nothing left."""

    def audited() -> bool | None:
        made = total(platform, "signer-1", "kyso_signer_ledger_sequence")
        kept = total(platform, "registry", "kyso_registry_audit_ledger_sequence", ledger="signer-1")
        return True if made == kept > 0 else None

    until("the audit log to have the whole ledger", audited)


@pytest.mark.parametrize("process", PROCESSES)
def test_a_process_exports_every_series_that_rules_and_dashboard_name(
    used: TestPlatform, process: str
) -> None:
    exported = series_of(families(used, process))
    missing = set()
    for name in monitoring.named_series():
        prefix = max((each for each in EXPORTERS if name.startswith(each)), key=len)
        if process in EXPORTERS[prefix] and name not in exported:
            missing.add(name)
    assert missing == set()


@pytest.mark.parametrize("process", PROCESSES)
def test_the_labels_that_rules_and_dashboard_select_by_are_on_the_samples(
    used: TestPlatform, process: str
) -> None:
    target = {"job", "namespace", "pod", "instance"}
    named = monitoring.named_series()
    seen = 0
    for family in families(used, process):
        for sample in family.samples:
            if sample.name in named:
                assert named[sample.name] - target <= sample.labels.keys(), sample.name
                seen += 1
    assert seen > 0


def test_requests_errors_and_latency_are_shown_per_rpc(used: TestPlatform) -> None:
    sign, verify = "/kyso.v1.SignerService/SignHashes", "/kyso.v1.VerifierService/ExamineDocument"
    resolve = "/kyso.v1.DirectoryService/ResolveCredential"
    for process, method in (("signer-1", sign), ("verifier", verify), ("registry", resolve)):
        assert total(used, process, "kyso_rpc_requests_total", method=method, code="OK") > 0
        assert total(used, process, "kyso_rpc_seconds_count", method=method) > 0
        assert total(used, process, "kyso_rpc_seconds_sum", method=method) > 0
    assert total(used, "signer-1", "kyso_rpc_requests_total", method=sign, code="CREDENTIAL_NOT_FOUND") > 0
    assert total(used, "gateway", "kyso_gateway_requests_total", route="/v1/signatures", status="200") > 0
    assert total(used, "gateway", "kyso_gateway_requests_total", route="/v1/hashes:sign", status="404") > 0
    assert total(used, "gateway", "kyso_gateway_seconds_count", route="/v1/hashes:sign") > 0


def test_time_in_the_hsm_and_use_of_its_pool_are_shown(used: TestPlatform) -> None:
    for mechanism in ("CKM_ECDSA", "CKM_RSA_PKCS"):
        labels = {"group": "documents", "operation": "sign", "mechanism": mechanism}
        assert total(used, "signer-1", "kyso_signer_hsm_operation_seconds_count", **labels) > 0
        assert total(used, "signer-1", "kyso_signer_hsm_operation_seconds_sum", **labels) > 0
    for group in ("documents", "authority"):
        assert total(used, "signer-1", "kyso_signer_hsm_pool_workers", group=group) > 0
    busy = {
        sample.labels["group"]
        for family in families(used, "signer-1")
        for sample in family.samples
        if sample.name in {"kyso_signer_hsm_pool_busy", "kyso_signer_hsm_queue"}
    }
    assert busy == {"documents", "authority"}


def test_outbox_and_consumer_lag_are_shown(used: TestPlatform) -> None:
    for process in ("signer-1", "registry"):
        names = {sample.name for family in families(used, process) for sample in family.samples}
        assert {"kyso_outbox_lag_seconds", "kyso_outbox_pending", "kyso_consumer_lag"} <= names
        assert total(used, process, "kyso_outbox_published_total") > 0
        assert total(used, process, "kyso_bus_connected") == 1
        assert 0 <= total(used, process, "kyso_consumer_lag") < math.inf
    assert total(used, "registry", "kyso_consumer_messages_total", outcome="ack") > 0


def test_look_up_age_and_ledger_sequence_are_shown(used: TestPlatform) -> None:
    # A heartbeat comes every second; past three seconds the signer would ask at every signature.
    until(
        "a fresh heartbeat",
        lambda: True if total(used, "signer-1", "kyso_signer_directory_age_seconds") < 3 else None,
    )
    assert total(used, "signer-1", "kyso_signer_ledger_sequence", ledger="signer-1") >= 3
    assert total(used, "registry", "kyso_registry_directory_head") > 0


def test_signatures_and_verdicts_are_counted(used: TestPlatform) -> None:
    for kind in ("hashes", "document"):
        assert total(used, "signer-1", "kyso_signer_signatures_total", kind=kind, outcome="signed") > 0
    assert total(used, "verifier", "kyso_verifier_signatures_total", indication="TOTAL-PASSED") > 0
    assert total(used, "verifier", "kyso_verifier_seconds_count") > 0
    for ca in ("root", "issuing"):
        assert 0 <= total(used, "registry", "kyso_registry_crl_age_seconds", ca=ca) < 3600


def test_a_hold_is_measured(used: TestPlatform) -> None:
    # The world held one credential when it was made.
    assert total(used, "registry", "kyso_registry_hold_seconds_count") > 0
    assert total(used, "registry", "kyso_registry_hold_seconds_bucket", le="3.0") > 0


@pytest.mark.parametrize("process", PROCESSES)
def test_readiness_is_shown_by_reason(used: TestPlatform, process: str) -> None:
    def all_fine() -> dict[str, float] | None:
        reasons = {
            sample.labels["reason"]: sample.value
            for family in families(used, process)
            for sample in family.samples
            if sample.name == "kyso_ready"
        }
        return reasons if set(reasons.values()) == {1.0} else None

    reasons = until(f"{process} to be ready", all_fine)
    assert "starting" in reasons
    assert len(reasons) > 1
