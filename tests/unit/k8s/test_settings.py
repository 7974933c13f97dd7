"""The settings files of the cluster: each service's own model takes them, and the bus' server its own."""

from __future__ import annotations

import re
import socket
import subprocess
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

from deploy.local.bus import OUTSIDE, permissions
from gateway.config import GatewaySettings
from services.kernel.runtime.config import BusSettings, ProcessSettings, RpcClientSettings, load, parse
from services.registry.config import RegistrySettings
from services.signer.config import SignerSettings
from services.verifier.config import VerifierSettings
from tests.support.deployments import assert_crls_pass, assert_streams_fit
from tests.support.manifests import K8S, Manifest, containers_of, of_kind, pod_of, render
from tests.support.nats_cluster import PROGRAM, lay_out
from tests.support.pki import MeshCa

MODELS: dict[str, type[ProcessSettings]] = {
    "gateway": GatewaySettings,
    "signer": SignerSettings,
    "verifier": VerifierSettings,
    "registry": RegistrySettings,
}
FILES = sorted(K8S.glob("*/config/*.toml")) + sorted(K8S.glob("overlays/*/config/*.toml"))
# Where the signer keeps payloads, and what it and the registry are told by secrets and config maps.
MOUNT_POINTS = re.compile(r"^/(etc/kyso|opt/hsm|var/lib/kyso)")


def values(document: Any) -> list[Any]:
    if isinstance(document, dict):
        return [value for each in document.values() for value in values(each)]
    if isinstance(document, list):
        return [value for each in document for value in values(each)]
    return [document]


def differences(one: dict[str, Any], other: dict[str, Any], path: str = "") -> set[str]:
    found = set()
    for key in one.keys() | other.keys():
        here = f"{path}{key}"
        if isinstance(one.get(key), dict) and isinstance(other.get(key), dict):
            found |= differences(one[key], other[key], f"{here}.")
        elif one.get(key) != other.get(key):
            found.add(here)
    return found


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(K8S)))
def test_a_settings_file_is_what_its_service_takes(path: Path) -> None:
    settings = load(MODELS[path.stem], path)
    assert settings.telemetry.http_listen == "0.0.0.0:9000"


def test_every_service_has_a_settings_file() -> None:
    assert {path.stem for path in K8S.glob("base/config/*.toml")} == set(MODELS)


@pytest.mark.parametrize(
    ("name", "changed"),
    [("gateway", {"http.public_url"}), ("registry", {"ca.public_base_url"})],
)
def test_the_overlay_changes_the_public_names_and_nothing_else(name: str, changed: set[str]) -> None:
    base = tomllib.loads((K8S / f"base/config/{name}.toml").read_text(encoding="utf-8"))
    overlay = tomllib.loads((K8S / f"overlays/production/config/{name}.toml").read_text(encoding="utf-8"))
    assert differences(base, overlay) == changed


@pytest.mark.parametrize(("name", "pod"), [("signer", "signer-1"), ("registry", "registry-7d9c5f8b4-x2x7q")])
def test_replicas_are_named_by_their_pods(name: str, pod: str) -> None:
    document = tomllib.loads((K8S / f"base/config/{name}.toml").read_text(encoding="utf-8"))
    assert "replica" not in document, "it would be every pod's"
    assert MODELS[name].model_fields["replica"].default_factory is socket.gethostname
    parse(MODELS[name], document | {"replica": pod})


def test_every_target_is_a_service_with_that_port_and_its_certificates_name(
    manifests: list[Manifest],
) -> None:
    services = of_kind(manifests, "Service")
    for name, model in MODELS.items():
        settings = load(model, K8S / f"base/config/{name}.toml")
        targets = [value for _, value in settings if isinstance(value, RpcClientSettings)]
        assert targets, name
        for target in targets:
            host, _, port = target.target.partition(":")
            assert int(port) in {each["port"] for each in services[host]["spec"]["ports"]}
            assert services[host]["spec"]["selector"] == {"app.kubernetes.io/name": target.server_name}
            assert services[host]["spec"]["clusterIP"] == "None", "one address would be one replica for long"


@pytest.mark.parametrize("name", ["signer", "verifier", "registry"])
def test_a_service_is_found_before_it_is_ready(manifests: list[Manifest], name: str) -> None:
    # Else registry and signer, which need each other to become ready, would never meet where the CA is our own.
    assert of_kind(manifests, "Service")[name]["spec"]["publishNotReadyAddresses"] is True


def test_the_signers_pods_have_names_below_their_service(manifests: list[Manifest]) -> None:
    assert of_kind(manifests, "StatefulSet")["signer"]["spec"]["serviceName"] == "signer"


def test_the_bus_is_three_servers_with_three_copies(manifests: list[Manifest]) -> None:
    nats = of_kind(manifests, "StatefulSet")["nats"]
    wanted = {f"tls://nats-{number}.{nats['spec']['serviceName']}:4222" for number in range(3)}
    for name in ("signer", "registry"):
        bus = load(MODELS[name], K8S / f"base/config/{name}.toml").bus  # type: ignore[attr-defined]
        assert isinstance(bus, BusSettings)
        assert set(bus.servers) == wanted
        assert bus.replicas == nats["spec"]["replicas"]
        assert bus.user == name


def test_every_file_that_the_settings_name_is_mounted_or_in_the_image(manifests: list[Manifest]) -> None:
    image = (K8S.parent / "Dockerfile").read_text(encoding="utf-8")
    for name in MODELS:
        workload = of_kind(manifests, "Deployment", "StatefulSet")[name]
        (container,) = pod_of(workload)["spec"]["containers"]
        mounts = [mount["mountPath"] for mount in container["volumeMounts"]]
        document = tomllib.loads((K8S / f"base/config/{name}.toml").read_text(encoding="utf-8"))
        paths = [value for value in values(document) if isinstance(value, str) and value.startswith("/")]
        for path in paths:
            if path.startswith("/usr/share/kyso/font/"):
                assert "COPY --from=font /font /usr/share/kyso/font" in image
                assert f"/{path.rpartition('/')[2]} " in image
                continue
            assert MOUNT_POINTS.match(path), path
            assert any(path == mount or path.startswith(f"{mount}/") for mount in mounts), f"{name}: {path}"


def test_tables_are_made_by_the_jobs_and_no_ca_makes_itself() -> None:
    signer = load(SignerSettings, K8S / "base/config/signer.toml")
    registry = load(RegistrySettings, K8S / "base/config/registry.toml")
    assert not signer.database.migrate_at_start
    assert not registry.database.migrate_at_start
    assert not registry.ca.create_at_first_start
    assert signer.authority.keys == ()
    assert not signer.development
    assert signer.hsm.documents.token_label != signer.hsm.authority.token_label
    assert signer.hsm.documents.pin_file != signer.hsm.authority.pin_file


def test_signers_and_registries_agree_on_the_times_of_a_hold() -> None:
    signer = load(SignerSettings, K8S / "base/config/signer.toml").directory
    registry = load(RegistrySettings, K8S / "base/config/registry.toml").directory
    assert signer.heartbeat_limit_seconds == registry.heartbeat_limit_seconds
    assert signer.entry_seconds <= registry.cache_seconds


def test_the_containers_listen_where_the_settings_say(manifests: list[Manifest]) -> None:
    for name in MODELS:
        (container,) = pod_of(of_kind(manifests, "Deployment", "StatefulSet")[name])["spec"]["containers"]
        ports = {port["name"]: port["containerPort"] for port in container["ports"]}
        document = tomllib.loads((K8S / f"base/config/{name}.toml").read_text(encoding="utf-8"))
        door = (
            ("http", document["http"]["listen"]) if name == "gateway" else ("grpc", document["rpc"]["listen"])
        )
        assert ports == {
            door[0]: int(door[1].rpartition(":")[2]),
            "metrics": int(document["telemetry"]["http_listen"].rpartition(":")[2]),
        }
        assert container["args"] == ["--config", f"/etc/kyso/{name}.toml"]


def _nats(folder: Path, accounts: str, mesh_ca: MeshCa) -> subprocess.CompletedProcess[str]:
    """Have nats-server check the cluster's configuration, laid out below `folder`."""
    return subprocess.run(
        [PROGRAM, "-t", "-c", lay_out(folder, mesh_ca, accounts)],
        env={"POD_NAME": "nats-0"}, check=False, capture_output=True, text=True, timeout=60,
    )  # fmt: skip


def test_the_bus_server_takes_its_configuration_with_the_example_users(
    tmp_path: Path, mesh_ca: MeshCa
) -> None:
    example = (K8S / "accounts.example.conf").read_text(encoding="utf-8")
    done = _nats(tmp_path, example, mesh_ca)
    assert done.returncode == 0, done.stderr
    assert "is valid" in done.stderr


def test_the_bus_server_refuses_a_configuration_that_is_wrong(tmp_path: Path, mesh_ca: MeshCa) -> None:
    # So that the test above says something.
    assert _nats(tmp_path, "accounts: { KYSO: { jetstream: perhaps } }", mesh_ca).returncode != 0


def test_the_bus_acknowledges_after_fsync_and_its_store_fits_its_volume(manifests: list[Manifest]) -> None:
    text = (K8S / "base/config/nats.conf").read_text(encoding="utf-8")
    assert re.search(r"^\s*sync_interval: always$", text, re.MULTILINE)
    store = re.search(r"max_file_store: (\d+)GB", text)
    assert store
    (claim,) = of_kind(manifests, "StatefulSet")["nats"]["spec"]["volumeClaimTemplates"]
    assert (
        int(store[1]) * 10**9
        < int(claim["spec"]["resources"]["requests"]["storage"].removesuffix("Gi")) * 2**30
    )


def test_each_stream_has_one_maker_and_all_of_them_fit_in_the_store() -> None:
    store = re.search(r"max_file_store: (\d+)GB", (K8S / "base/config/nats.conf").read_text(encoding="utf-8"))
    assert store
    signer = load(SignerSettings, K8S / "base/config/signer.toml")
    registry = load(RegistrySettings, K8S / "base/config/registry.toml")
    assert_streams_fit(signer.bus.streams, registry.bus.streams, int(store[1]) * 10**9)


def test_a_crl_passes_wherever_one_has_to() -> None:
    signer, registry, gateway, verifier = (
        load(MODELS[name], K8S / f"base/config/{name}.toml")
        for name in ("signer", "registry", "gateway", "verifier")
    )
    assert_crls_pass(signer, registry, gateway, verifier)


def test_no_address_alone_takes_the_places_of_callers_without_a_token() -> None:
    gateway = load(GatewaySettings, K8S / "base/config/gateway.toml")
    name = "nginx.ingress.kubernetes.io/limit-connections"
    ingresses = of_kind(render("overlays/production"), "Ingress").values()
    found = [int(ingress["metadata"]["annotations"][name]) for ingress in ingresses]
    assert found
    assert sum(found) < gateway.http.max_open_in_flight


def test_the_example_users_may_do_on_the_cluster_what_they_may_on_one_machine() -> None:
    text = (K8S / "accounts.example.conf").read_text(encoding="utf-8")
    users = re.findall(
        r'user: "([^"]+)".*?publish: \{\s*allow: \[(.*?)\].*?subscribe: \{\s*allow: \[(.*?)\]',
        text,
        re.DOTALL,
    )
    found = {
        user: {"publish": {"allow": _texts(publish)}, "subscribe": {"allow": _texts(subscribe)}}
        for user, publish, subscribe in users
    }
    wanted = {name: permissions(name, None) for name in ("signer", "registry")}
    assert found == wanted | {OUTSIDE: permissions(OUTSIDE, "cl_of_the_one_stop_shop")}


def _texts(block: str) -> list[str]:
    return [str(yaml.safe_load(line)) for line in block.splitlines() if line.strip()]


def test_the_database_is_named_by_the_secret_alone(manifests: list[Manifest]) -> None:
    for name, workload in of_kind(manifests, "Deployment", "StatefulSet", "Job").items():
        room = name.removeprefix("migrate-")
        for container in containers_of(workload):
            environment = {each["name"]: each for each in container.get("env", ())}
            if room in {"signer", "registry"} and container["image"].find(f"kyso-{room}") >= 0:
                keys = {
                    variable: environment[variable]["valueFrom"]["secretKeyRef"]
                    for variable in ("PGHOST", "PGPORT", "PGUSER", "PGDATABASE", "PGSSLMODE")
                }
                assert {each["name"] for each in keys.values()} == {f"{room}-database"}
                assert environment["PGSSLROOTCERT"]["value"] == "/etc/kyso-database/ca.crt"
