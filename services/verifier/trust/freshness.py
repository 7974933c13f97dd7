"""How fresh the registry's material is: revocation lists and trust lists that should have been replaced by now."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime

from cryptography import x509
from cryptography.x509.oid import NameOID
from prometheus_client import CollectorRegistry, Gauge

from services.verifier.ports import TrustMaterial
from services.verifier.x509.certificates import name_key
from services.verifier.x509.revocation_lists import UNREADABLE

MAX_NAME = 100


@dataclass(frozen=True, slots=True)
class Freshness:
    """Until when what is at hand is good. `crls` are by the issuer's name, `lists` by the operator's word for each."""

    crls: Mapping[str, datetime] = field(default_factory=dict)
    lists: Mapping[str, datetime] = field(default_factory=dict)

    @classmethod
    def of(cls, material: TrustMaterial, lists: Mapping[str, datetime]) -> Freshness:
        """Read the material; a list that cannot be read is of no use, and so missing. Large lists: runs in a thread."""
        newest: dict[object, tuple[datetime, str, datetime]] = {}
        for der in material.crls:
            try:
                crl = x509.load_der_x509_crl(der)
                this_update, next_update, key = (
                    crl.last_update_utc,
                    crl.next_update_utc,
                    name_key(crl.issuer),
                )
                names = crl.issuer.get_attributes_for_oid(NameOID.COMMON_NAME)
            except UNREADABLE:
                continue
            name = str(names[0].value)[:MAX_NAME] if names else "a CA without a name"
            if next_update is not None and (key not in newest or newest[key][0] < this_update):
                newest[key] = this_update, name, next_update
        crls: dict[str, datetime] = {}
        for _, name, next_update in newest.values():
            crls[name] = min(next_update, crls.get(name, next_update))
        return cls(crls, dict(lists))

    def reason(self, at: datetime) -> str | None:
        """What should have been replaced by now; None when nothing."""
        overdue = [
            f"{what} {name} was to be replaced by {until:%F %T} UTC"
            for what, kept in (("the revocation list of", self.crls), ("the trust list", self.lists))
            for name, until in kept.items()
            if until < at
        ]
        return "; ".join(overdue) or None


def measure(
    registry: CollectorRegistry, current: Callable[[], Freshness], clock: Callable[[], datetime]
) -> None:
    """Let it be seen how long the first of the lists is good for; `current` is asked at each scrape."""

    def remaining(kept: Mapping[str, datetime]) -> float:
        # Not a number without any list: zero would look like one that ends now.
        return min(((until - clock()).total_seconds() for until in kept.values()), default=float("nan"))

    Gauge(
        "kyso_verifier_crl_remaining_seconds",
        "Seconds until the first of the registry's newest CRLs is to be replaced; negative: it should have been.",
        registry=registry,
    ).set_function(lambda: remaining(current().crls))
    Gauge(
        "kyso_verifier_trust_list_remaining_seconds",
        "Seconds until the first of the trust lists is to be replaced; negative: it should have been.",
        registry=registry,
    ).set_function(lambda: remaining(current().lists))
