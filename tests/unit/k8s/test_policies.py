"""The network policies allow what the services' own allow-lists allow, and nothing more."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import permutations
from typing import Any

from services.registry.main import allow_list
from services.signer.servicer import ALLOW as SIGNER_ALLOW
from services.verifier.main import ALLOW as VERIFIER_ALLOW
from tests.support.manifests import Policies

SERVICES = ("gateway", "signer", "verifier", "registry")
RPC, BUS, BUS_CLUSTER, METRICS, HTTP, DATABASE = 7000, 4222, 6222, 9000, 8080, 5432
DATABASE_USERS = {"signer", "registry", "migrate-signer", "migrate-registry"}
OPEN_WORLD = "0.0.0.0/0"


def callers_of(allow: Mapping[str, Iterable[str]]) -> set[str]:
    return {caller for callers in allow.values() for caller in callers}


def allowed_pairs() -> set[tuple[str, str]]:
    servers = {"signer": SIGNER_ALLOW, "verifier": VERIFIER_ALLOW, "registry": allow_list()}
    return {(caller, server) for server, allow in servers.items() for caller in callers_of(allow)}


def outside_peers(policies: Policies, workload: str) -> list[tuple[dict[str, Any], list[int]]]:
    """Return where a workload may go that is no pod of this namespace, with the ports; name resolution left out."""
    return [
        (peer, ports)
        for rule in policies.rules(workload, "egress")
        for ports in [[port["port"] for port in rule.get("ports", ())]]
        for peer in rule["to"]
        if set(peer) != {"podSelector"} and set(ports) != {53}
    ]


def test_everything_is_denied_that_is_not_allowed(policies: Policies) -> None:
    for workload in policies.labels:
        assert policies.isolated(workload, "ingress"), workload
        assert policies.isolated(workload, "egress"), workload


def test_a_service_reaches_another_exactly_where_the_allow_list_names_it(policies: Policies) -> None:
    reachable = {pair for pair in permutations(policies.labels, 2) if policies.allowed(*pair, RPC)}
    assert reachable == allowed_pairs()
    assert len(reachable) == 7


def test_only_signer_and_registry_reach_the_bus(policies: Policies) -> None:
    assert {name for name in policies.labels if policies.allowed(name, "nats", BUS)} == {"signer", "registry"}
    assert {name for name in policies.labels if policies.allowed(name, "nats", BUS_CLUSTER)} == {"nats"}


def test_only_the_verifier_may_go_out_besides_database_and_hsm(policies: Policies) -> None:
    outside = {name: outside_peers(policies, name) for name in policies.labels}
    world = {
        name
        for name, peers in outside.items()
        for peer, _ in peers
        if peer.get("ipBlock", {}).get("cidr") == OPEN_WORLD
    }
    assert world == {"verifier"}
    assert {port for _, ports in outside["verifier"] for port in ports} == {80, 443}
    ((way_out, _),) = outside["verifier"]
    assert "10.0.0.0/8" in way_out["ipBlock"]["except"], (
        "the verifier must not reach the cluster's own network"
    )
    assert outside["gateway"] == []
    assert outside["nats"] == []
    for name in DATABASE_USERS - {"signer"}:
        assert [ports for _, ports in outside[name]] == [[DATABASE]], name
    # The signer alone has one more way: to the HSM.
    extra = [(peer, ports) for peer, ports in outside["signer"] if ports != [DATABASE]]
    assert extra
    assert len(extra) + 1 == len(outside["signer"])
    for peer, _ in extra:
        cidr = peer.get("ipBlock", {}).get("cidr", "")
        assert cidr.endswith("/32") or peer["namespaceSelector"]["matchLabels"] == {
            "kubernetes.io/metadata.name": "hsm"
        }


def test_name_resolution_is_all_that_every_pod_shares(policies: Policies) -> None:
    for workload in policies.labels:
        rules = [
            rule
            for rule in policies.rules(workload, "egress")
            if {p["port"] for p in rule.get("ports", ())} == {53}
        ]
        assert len(rules) == 1, workload
        (peer,) = rules[0]["to"]
        assert set(peer) == {"namespaceSelector", "podSelector"}


def test_from_outside_the_namespace_only_the_door_and_the_metrics_are_reached(policies: Policies) -> None:
    for workload in policies.labels:
        entries = {
            port["port"]
            for rule in policies.rules(workload, "ingress")
            for peer in rule["from"]
            if set(peer) != {"podSelector"}
            for port in rule["ports"]
        }
        assert entries == ({METRICS, HTTP} if workload == "gateway" else {METRICS}), workload
