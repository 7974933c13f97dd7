"""Certificate policies along a path: RFC 5280 6.1 in the form of RFC 9618.

RFC 9618 replaces the tree of RFC 5280 by a graph with one node for each policy and depth, which gives the same answer
and cannot grow exponentially. Certificates are told one by one, from the one under the anchor to the last.
"""

from __future__ import annotations

from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field

ANY_POLICY = "2.5.29.32.0"
MAX_NODES = 4096
"""Nodes of one depth; a path that needs more does not pass."""


class PolicyError(ValueError):
    """The policies of a path do not hold; the message says at which clause."""


@dataclass(frozen=True, slots=True)
class CertificatePolicy:
    """What one certificate says of policies. Numbers are SkipCerts; None where the certificate does not say.

    `policies` None: no certificatePolicies extension. `mappings`: issuer domain policy to subject domain policies.
    """

    policies: AbstractSet[str] | None = None
    mappings: Mapping[str, AbstractSet[str]] = field(default_factory=dict)
    require_explicit: int | None = None
    inhibit_mapping: int | None = None
    inhibit_any: int | None = None


@dataclass(slots=True)
class _Node:
    expected: set[str]
    parents: set[str]


class PolicyGraph:
    """State variables (a), (d), (e) and (f) of RFC 5280 6.1.2 for a path of `length` certificates."""

    def __init__(self, length: int, *, explicit: bool, inhibit_mapping: bool, inhibit_any: bool) -> None:
        """The flags are the initial ones of 6.1.1 (e) to (g)."""
        self._length = length
        self._depth = 0
        self._explicit = 0 if explicit else length + 1
        self._mapping = 0 if inhibit_mapping else length + 1
        self._any = 0 if inhibit_any else length + 1
        # The graph, one dict of nodes by policy for each depth; empty stands for NULL.
        self._levels: list[dict[str, _Node]] = [{ANY_POLICY: _Node({ANY_POLICY}, set())}]

    def constrain(self, said: CertificatePolicy) -> None:
        """Take over the constraints of an anchor's own certificate (RFC 5937 section 3.2)."""
        if said.require_explicit is not None:
            self._explicit = min(self._explicit, said.require_explicit)
        if said.inhibit_mapping is not None:
            self._mapping = min(self._mapping, said.inhibit_mapping)
        if said.inhibit_any is not None:
            self._any = min(self._any, said.inhibit_any)

    def add(self, said: CertificatePolicy, *, self_issued: bool) -> None:
        """Process the next certificate: 6.1.3 (d) to (f), and when it is not the last 6.1.4 (a), (b), (h) to (j)."""
        self._depth += 1
        last = self._depth == self._length
        if said.policies is None:
            self._levels = []
        elif self._levels:
            self._grow(said.policies, self._any > 0 or (not last and self_issued))
        if self._explicit == 0 and not self._levels:
            raise PolicyError("an acceptable policy is required and none is left (RFC 5280 6.1.3 f)")
        if not last:
            self._prepare(said, self_issued)

    def close(self, said: CertificatePolicy, accepted: AbstractSet[str] | None) -> None:
        """Wrap up (6.1.5 a, b and g) with the last certificate; `accepted` None stands for any policy."""
        explicit = max(0, self._explicit - 1)
        if said.require_explicit == 0:
            explicit = 0
        if explicit == 0 and not self._acceptable(accepted):
            raise PolicyError("no policy of the path is among those accepted (RFC 5280 6.1.5 g)")

    def _acceptable(self, accepted: AbstractSet[str] | None) -> bool:
        if not self._levels:
            return False
        if accepted is None or ANY_POLICY in accepted or ANY_POLICY in self._levels[-1]:
            return True
        # 6.1.5 (g) (iii) 1: nodes whose parent is anyPolicy speak in the policies of the anchor's own domain.
        domain = {p for level in self._levels for p, node in level.items() if ANY_POLICY in node.parents}
        return not domain.isdisjoint(accepted)

    def _grow(self, policies: AbstractSet[str], any_allowed: bool) -> None:
        above = self._levels[-1]
        expecting: dict[str, set[str]] = {}
        for name, node in above.items():
            for expected in node.expected:
                expecting.setdefault(expected, set()).add(name)
        level: dict[str, _Node] = {}
        for policy in policies - {ANY_POLICY}:
            if policy in expecting:
                level[policy] = _Node({policy}, expecting[policy])
            elif ANY_POLICY in above:
                level[policy] = _Node({policy}, {ANY_POLICY})
        if ANY_POLICY in policies and any_allowed:
            for expected, parents in expecting.items():
                if expected not in level:
                    level[expected] = _Node({expected}, parents)
        if len(level) > MAX_NODES:
            raise PolicyError(f"more than {MAX_NODES} policies at one depth of the path")
        self._levels.append(level)
        self._prune()

    def _prune(self) -> None:
        """6.1.3 (d) (3): nodes without children go, level by level upwards; without a root there is no graph."""
        levels = self._levels
        for index in range(len(levels) - 1, 0, -1):
            used = {parent for node in levels[index].values() for parent in node.parents}
            levels[index - 1] = {name: node for name, node in levels[index - 1].items() if name in used}
        if not levels[0] or not levels[-1]:
            self._levels = []

    def _prepare(self, said: CertificatePolicy, self_issued: bool) -> None:
        if ANY_POLICY in said.mappings or any(ANY_POLICY in to for to in said.mappings.values()):
            raise PolicyError("anyPolicy is mapped (RFC 5280 6.1.4 a)")
        if self._levels and said.mappings:
            self._map(said.mappings)
        if not self_issued:
            self._explicit, self._mapping, self._any = (
                max(0, n - 1) for n in (self._explicit, self._mapping, self._any)
            )
        self.constrain(said)

    def _map(self, mappings: Mapping[str, AbstractSet[str]]) -> None:
        """6.1.4 (b): with mapping allowed nodes expect the subject's policies, without it mapped nodes go."""
        level = self._levels[-1]
        for policy, subjects in mappings.items():
            if self._mapping == 0:
                level.pop(policy, None)
            elif policy in level:
                level[policy].expected = set(subjects)
            elif ANY_POLICY in level:
                level[policy] = _Node(set(subjects), {ANY_POLICY})
        self._prune()
