"""The cluster's manifests: the schema's word on each, and what the house asks of every workload."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from importlib import metadata
from pathlib import Path

import kubernetes_validate
import pytest
import yaml

from tests.support import monitoring
from tests.support.manifests import (
    NAME,
    ROOT,
    WORKLOADS,
    Manifest,
    containers_of,
    of_kind,
    pod_of,
    selects,
)

SERVICES = {"gateway", "signer", "verifier", "registry"}
JOBS = {"migrate-signer", "migrate-registry"}
SCHEMA = "1.37"
# Prometheus Operator's kinds have no schema of Kubernetes' own; their shape is checked below and in test_monitoring.
FOREIGN_KINDS = {"ServiceMonitor", "PrometheusRule"}
# What deploy/k8s leaves to the operators: docs/operations.md says what is in each.
PROVIDED_CONFIG_MAPS = {"trust-anchors"}


def test_every_manifest_of_a_standard_kind_is_what_the_schema_says(manifests: list[Manifest]) -> None:
    checked = set()
    for one in manifests:
        if one["kind"] not in FOREIGN_KINDS:
            kubernetes_validate.validate(one, SCHEMA, strict=True)
            checked.add(one["kind"])
    assert checked >= {*WORKLOADS, "Service", "NetworkPolicy", "PodDisruptionBudget", "ConfigMap"}


def test_the_schema_check_would_find_a_misspelt_field(manifests: list[Manifest]) -> None:
    service = dict(of_kind(manifests, "Service")["signer"])
    service["spec"] = service["spec"] | {"clusterIp": "None"}
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(service, SCHEMA, strict=True)


def test_the_four_services_the_bus_and_the_migrations_are_there(manifests: list[Manifest]) -> None:
    assert set(of_kind(manifests, *WORKLOADS)) == SERVICES | JOBS | {"nats"}
    assert {one["metadata"].get("namespace", "kyso") for one in manifests} == {"kyso"}


def test_every_container_is_confined(manifests: list[Manifest]) -> None:
    for name, workload in of_kind(manifests, *WORKLOADS).items():
        pod = pod_of(workload)["spec"]
        assert pod["securityContext"]["runAsNonRoot"] is True, name
        assert pod["securityContext"]["runAsUser"] > 0, name
        assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}, name
        assert pod["automountServiceAccountToken"] is False, name
        for container in containers_of(workload):
            security = container["securityContext"]
            assert security == {
                "allowPrivilegeEscalation": False,
                "readOnlyRootFilesystem": True,
                "capabilities": {"drop": ["ALL"]},
            }, f"{name}/{container['name']}"


def test_every_container_says_what_it_needs_and_how_it_is(manifests: list[Manifest]) -> None:
    for name, workload in of_kind(manifests, *WORKLOADS).items():
        for container in containers_of(workload):
            where = f"{name}/{container['name']}"
            assert {"cpu", "memory"} <= container["resources"]["requests"].keys(), where
            assert "memory" in container["resources"]["limits"], where
        if workload["kind"] == "Job":
            assert workload["spec"]["activeDeadlineSeconds"] > 0
            continue
        for container in pod_of(workload)["spec"]["containers"]:
            ports = {port["name"] for port in container["ports"]}
            for probe in ("startupProbe", "livenessProbe", "readinessProbe"):
                assert container[probe]["httpGet"]["port"] in ports, f"{name} {probe}"


def test_every_workload_that_stays_has_a_disruption_budget(manifests: list[Manifest]) -> None:
    budgets = of_kind(manifests, "PodDisruptionBudget")
    for name in [*SERVICES, "nats"]:
        labels = pod_of(of_kind(manifests, *WORKLOADS)[name])["metadata"]["labels"]
        matching = [each for each in budgets.values() if selects(each["spec"]["selector"], labels)]
        assert len(matching) == 1, name
        assert matching[0]["spec"]["maxUnavailable"] == 1


def test_every_selector_takes_pods_that_are_there(manifests: list[Manifest]) -> None:
    pods = {name: pod_of(one)["metadata"]["labels"] for name, one in of_kind(manifests, *WORKLOADS).items()}
    for name, workload in of_kind(manifests, "Deployment", "StatefulSet").items():
        assert selects(workload["spec"]["selector"], pods[name])
    for name, service in of_kind(manifests, "Service").items():
        chosen = [
            key
            for key, labels in pods.items()
            if selects({"matchLabels": service["spec"]["selector"]}, labels)
        ]
        assert len(chosen) == 1, name
        (container,) = pod_of(of_kind(manifests, *WORKLOADS)[chosen[0]])["spec"]["containers"]
        offered = {port["name"] for port in container["ports"]}
        assert {port["targetPort"] for port in service["spec"]["ports"]} <= offered, name


def test_the_autoscaler_alone_says_how_many_replicas_there_are(manifests: list[Manifest]) -> None:
    scalers = of_kind(manifests, "HorizontalPodAutoscaler")
    assert set(scalers) == {"gateway", "signer", "verifier"}
    for scaler in scalers.values():
        target = of_kind(manifests, scaler["spec"]["scaleTargetRef"]["kind"])[scaler["metadata"]["name"]]
        assert "replicas" not in target["spec"], "each roll-out would set the number back"
        assert 2 <= scaler["spec"]["minReplicas"] < scaler["spec"]["maxReplicas"]


def test_a_pod_has_time_to_stop(manifests: list[Manifest]) -> None:
    # Longer than stop_seconds, its watchdog and the pause before: else SIGKILL would cut off signatures.
    for name in SERVICES:
        pod = pod_of(of_kind(manifests, *WORKLOADS)[name])["spec"]
        pause = (
            pod["containers"][0].get("lifecycle", {}).get("preStop", {}).get("sleep", {}).get("seconds", 0)
        )
        assert pod["terminationGracePeriodSeconds"] >= pause + 30 + 5 + 5, name


def test_module_and_pin_are_mounted_into_the_signer_only(manifests: list[Manifest]) -> None:
    holders = set()
    for name, workload in of_kind(manifests, *WORKLOADS).items():
        pod = pod_of(workload)["spec"]
        mounted = {mount["name"] for each in containers_of(workload) for mount in each["volumeMounts"]}
        secrets = {volume.get("secret", {}).get("secretName") for volume in pod["volumes"]}
        if mounted & {"hsm-module", "hsm-pin"} or "signer-hsm-pin" in secrets:
            holders.add(name)
    assert holders == {"signer"}
    signer = pod_of(of_kind(manifests, "StatefulSet")["signer"])["spec"]
    # What prepares the module sees no PIN.
    for container in signer.get("initContainers", ()):
        assert {mount["name"] for mount in container["volumeMounts"]} == {"hsm-module"}
    (main,) = signer["containers"]
    mounts = {mount["name"]: mount.get("readOnly", False) for mount in main["volumeMounts"]}
    assert mounts["hsm-module"] is True
    assert mounts["hsm-pin"] is True


def test_each_service_has_secrets_of_its_own(manifests: list[Manifest]) -> None:
    owners: dict[str, set[str]] = {}
    for name, workload in of_kind(manifests, *WORKLOADS).items():
        room = name.removeprefix("migrate-")
        for volume in pod_of(workload)["spec"]["volumes"]:
            if "secret" in volume:
                assert volume["secret"]["defaultMode"] == 0o440, volume
                owners.setdefault(volume["secret"]["secretName"], set()).add(room)
    assert owners == {
        secret: {secret.split("-")[0]}
        for secret in (
            "gateway-tls", "signer-tls", "verifier-tls", "registry-tls", "nats-tls", "nats-users",
            "signer-database", "registry-database", "signer-bus", "registry-bus",
            "signer-hsm-pin", "registry-token-key", "registry-bootstrap",
        )
    }  # fmt: skip


def test_every_volume_that_is_mounted_is_there_and_every_config_map_is_made(
    manifests: list[Manifest],
) -> None:
    made = set(of_kind(manifests, "ConfigMap")) | PROVIDED_CONFIG_MAPS
    claims = set(of_kind(manifests, "PersistentVolumeClaim"))
    for name, workload in of_kind(manifests, *WORKLOADS).items():
        volumes = {volume["name"]: volume for volume in pod_of(workload)["spec"]["volumes"]}
        volumes |= {
            each["metadata"]["name"]: each for each in workload["spec"].get("volumeClaimTemplates", ())
        }
        for container in containers_of(workload):
            for mount in container["volumeMounts"]:
                assert mount["name"] in volumes, f"{name}: {mount}"
        for volume in volumes.values():
            if "configMap" in volume:
                assert volume["configMap"]["name"] in made, name
            if "persistentVolumeClaim" in volume:
                assert volume["persistentVolumeClaim"]["claimName"] in claims, name


def test_payloads_lie_where_every_signer_reaches_them(manifests: list[Manifest]) -> None:
    assert of_kind(manifests, "PersistentVolumeClaim")["signer-blobs"]["spec"]["accessModes"] == [
        "ReadWriteMany"
    ]


def test_three_bus_servers_run_on_three_machines(manifests: list[Manifest]) -> None:
    nats = of_kind(manifests, "StatefulSet")["nats"]
    assert nats["spec"]["replicas"] == 3
    (rule,) = pod_of(nats)["spec"]["affinity"]["podAntiAffinity"][
        "requiredDuringSchedulingIgnoredDuringExecution"
    ]
    assert rule["topologyKey"] == "kubernetes.io/hostname"
    assert selects(rule["labelSelector"], pod_of(nats)["metadata"]["labels"])


def test_no_image_floats(manifests: list[Manifest]) -> None:
    for name, workload in of_kind(manifests, *WORKLOADS).items():
        for container in pod_of(workload)["spec"]["containers"]:
            tag = container["image"].rpartition("/")[2].partition(":")[2]
            assert tag, f"{name}: {container['image']}"
            assert tag != "latest", name


def test_the_monitor_finds_the_metrics_port_of_each_service_once(manifests: list[Manifest]) -> None:
    spec = of_kind(manifests, "ServiceMonitor")["kyso"]["spec"]
    found = [
        name
        for name, service in of_kind(manifests, "Service").items()
        if selects(spec["selector"], service["metadata"].get("labels", {}))
    ]
    assert sorted(found) == sorted(SERVICES)
    assert spec["namespaceSelector"] == {"matchNames": ["kyso"]}
    (endpoint,) = spec["endpoints"]
    for name in found:
        ports = {port["name"]: port["port"] for port in of_kind(manifests, "Service")[name]["spec"]["ports"]}
        assert ports[endpoint["port"]] == 9000
    assert endpoint["path"] == "/metrics"
    assert spec["selector"]["matchExpressions"][0]["key"] == NAME


def image_stages() -> dict[str, list[str]]:
    """Return what each stage of the Dockerfile copies out of the repository."""
    stages: dict[str, list[str]] = {}
    parents: dict[str, str] = {}
    stage = ""
    for line in (ROOT / "deploy" / "Dockerfile").read_text(encoding="utf-8").splitlines():
        words = line.split()
        if words[:1] == ["FROM"]:
            stage, parents[words[3]] = words[3], words[1]
            stages[stage] = []
        elif words[:1] == ["COPY"] and not words[1].startswith("--from"):
            assert words[1] == words[2] or words[2] == ".", line
            stages[stage].append(words[1])
    return {name: [*stages.get(parents[name], ()), *copied] for name, copied in stages.items()}


def test_each_image_is_a_target_with_one_room_and_the_kernel(manifests: list[Manifest]) -> None:
    stages = image_stages()
    common = ["services/__init__.py", "services/kernel", "proto/gen"]
    for name in SERVICES:
        room = name if name == "gateway" else f"services/{name}"
        assert stages[name] == [*common, room]
        assert all((ROOT / source).exists() for source in stages[name])
    images = {
        container["image"].rpartition("/")[2].partition(":")[0]
        for workload in of_kind(manifests, *WORKLOADS).values()
        for container in pod_of(workload)["spec"]["containers"]
    }
    assert images == {f"kyso-{name}" for name in SERVICES} | {"nats"}


def test_each_image_runs_as_the_user_of_the_pods(manifests: list[Manifest]) -> None:
    text = (ROOT / "deploy" / "Dockerfile").read_text(encoding="utf-8")
    stages = {stage.split()[2]: stage for stage in text.split("\nFROM ")[1:]}
    for name in SERVICES:
        security = pod_of(of_kind(manifests, *WORKLOADS)[name])["spec"]["securityContext"]
        lines = stages[name].splitlines()
        assert f"USER {security['runAsUser']}:{security['runAsGroup']}" in lines, name
        assert lines.index(f"USER {security['runAsUser']}:{security['runAsGroup']}") > max(
            number for number, line in enumerate(lines) if line.startswith(("COPY", "RUN"))
        )


@pytest.mark.parametrize("name", sorted(SERVICES))
def test_what_an_image_holds_is_enough_to_start(name: str, tmp_path: Path) -> None:
    for source in image_stages()[name]:
        target = tmp_path / source
        target.parent.mkdir(parents=True, exist_ok=True)
        target.symlink_to(ROOT / source)
    module = name if name == "gateway" else f"services.{name}"
    libraries = next(Path(sys.prefix).glob("lib/python3*/site-packages"))
    settings = ROOT / "deploy" / "k8s" / "base" / "config" / f"{name}.toml"
    # Without `site` the installation in place is not seen: only what the image has.
    done = subprocess.run(
        [sys.executable, "-S", "-m", module, "--config", str(settings), "--check-config"],
        cwd=tmp_path,
        env={"PYTHONPATH": f"{tmp_path}:{tmp_path / 'proto/gen'}:{libraries}"},
        check=False, capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr


def test_every_library_that_the_rooms_import_is_in_the_images_lock() -> None:
    lock = (ROOT / "requirements.lock").read_text(encoding="utf-8")
    locked = {_plain(name) for name in re.findall(r"^([\w.-]+)(?:\[[\w,-]+\])?==", lock, re.MULTILINE)}
    known = metadata.packages_distributions()
    missing = {}
    for file in monitoring.sources():
        for name in _imported(ast.parse(file.read_bytes())):
            if name in sys.stdlib_module_names or name in {"services", "gateway", "kyso"}:
                continue
            if not locked.intersection(_plain(each) for each in known.get(name, ())):
                missing[name] = str(file.relative_to(ROOT))
    assert missing == {}


def _plain(distribution: str) -> str:
    return re.sub(r"[-_.]+", "-", distribution).lower()


def _imported(module: ast.Module) -> set[str]:
    found = set()
    for node in ast.walk(module):
        if isinstance(node, ast.Import):
            found |= {each.name.partition(".")[0] for each in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            found.add(str(node.module).partition(".")[0])
    return found


def test_the_manual_names_every_secret_and_its_keys(manifests: list[Manifest]) -> None:
    manual = (ROOT / "docs" / "operations.md").read_text(encoding="utf-8")
    table = {
        cells[1].strip().strip("`"): cells[2]
        for line in manual.splitlines()
        if line.startswith("| `") and len(cells := line.split("|")) > 4
    }
    wanted: dict[str, set[str]] = {}
    for workload in of_kind(manifests, *WORKLOADS).values():
        for volume in pod_of(workload)["spec"]["volumes"]:
            if "secret" in volume:
                wanted.setdefault(volume["secret"]["secretName"], set())
        for container in containers_of(workload):
            for variable in container.get("env", ()):
                reference = variable.get("valueFrom", {}).get("secretKeyRef")
                if reference:
                    wanted.setdefault(reference["name"], set()).add(reference["key"])
    for ingress in of_kind(manifests, "Ingress").values():
        wanted |= {tls["secretName"]: set() for tls in ingress["spec"].get("tls", ())}
    for secret, keys in wanted.items():
        assert secret in table, f"docs/operations.md does not name the secret {secret}"
        for key in keys:
            assert f"`{key}`" in table[secret], f"{secret}: {key}"
    assert yaml.safe_load(
        (ROOT / "deploy/k8s/base/kustomization.yaml").read_text(encoding="utf-8")
    )["namespace"] in manual  # fmt: skip
