"""The demo's agency, subscriber, API client and credential: made once, through the public REST API like anyone's.

What was made is written down after each step, so that a start that was cut off goes on where it stopped.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from deploy.local.console import step
from deploy.local.rest import Api
from deploy.local.secretfiles import read_secret, write_private, write_secret

AGENCY = {"name": "Ủy ban nhân dân tỉnh Ví Dụ", "organ_id": "000.00.01.H99"}
SUBSCRIBER = {
    "kind": "organization",
    "name": "Ủy ban nhân dân tỉnh Ví Dụ",
    "tax_code": "0109999991",
    "email": "vanthu@vidu.example",
}
CLIENT = {
    "name": "Cổng dịch vụ công tỉnh Ví Dụ",
    "scopes": ["sign:hash", "sign:document", "verify", "credentials:read", "credentials:write", "audit:read"],
    "document_types": ["*"],
}
CREDENTIAL = {"key_algorithm": "RSA-2048", "activation": "client", "issuer": "own_ca"}


@dataclass(frozen=True, slots=True)
class DemoData:
    """Ids of what was made, and where the client's secret lies."""

    agency_id: str
    client_id: str
    secret_file: Path
    credential_id: str


class Record:
    """What the demo made so far: a JSON object in a file."""

    def __init__(self, path: Path) -> None:
        """`path` need not exist yet."""
        self._path = path
        self._made: dict[str, str] = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}

    def get(self, name: str) -> str | None:
        """Return the id that was written down under `name`."""
        return self._made.get(name)

    def put(self, name: str, value: str) -> str:
        """Write `value` down under `name` and return it."""
        self._made[name] = value
        write_private(self._path, json.dumps(self._made, indent=2).encode())
        return value


def recorded_client(state: Path) -> str | None:
    """The demo client's id, if it was made already: the bus lets its outside user act for this client."""
    return Record(state / "demo.json").get("client_id")


async def provide_demo_data(operator: Api, state: Path) -> DemoData:
    """Make what is missing with the operator's own rights and return it all."""
    record = Record(state / "demo.json")
    secret_file = state / "demo-client.secret"
    with step("demo data") as current:
        agency = record.get("agency_id") or record.put(
            "agency_id", _id(await operator.create("/v1/agencies", AGENCY))
        )
        subscriber = record.get("subscriber_id") or record.put(
            "subscriber_id",
            _id(await operator.create("/v1/subscribers", {**SUBSCRIBER, "agency_id": agency})),
        )
        client = record.get("client_id")
        if client is None:
            made = await operator.create("/v1/clients", {**CLIENT, "agency_id": agency})
            write_secret(secret_file, str(made["secret"]))
            client = record.put("client_id", _id(made["client"]))
        credential = record.get("credential_id") or record.put(
            "credential_id",
            _id(await operator.create("/v1/credentials", {**CREDENTIAL, "subscriber_id": subscriber})),
        )
        current.note(f"agency {agency}, client {client}, credential {credential}")
    read_secret(secret_file)
    return DemoData(agency, client, secret_file, credential)


def _id(made: dict[str, Any]) -> str:
    return str(made["id"])
