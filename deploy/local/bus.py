"""The bus of one machine: nats-server with TLS, JetStream on disk, and one user for each service.

Every user may do what its part of `proto/kyso/v1/events.proto` says and nothing else, and has an inbox of its own, so
that none reads what another is answered. The outside system's user may
publish jobs of its own client only, and read the results of its own client only.
"""

from __future__ import annotations

import json
import secrets
from dataclasses import dataclass
from pathlib import Path

from deploy.local.pki import Identity
from deploy.local.secretfiles import read_secret, write_private, write_secret
from deploy.local.settings import HOST, Ports

SERVICES = ("gateway", "signer", "registry", "verifier")
OUTSIDE = "one-stop-shop"
STREAMS = {"signer": ("KYSO_JOBS", "KYSO_RESULTS"), "registry": ("KYSO_EVENTS", "KYSO_PARKED")}
"""Who makes and changes which stream."""
PRIORITIES = ("high", "normal", "low")
NOTHING = ["kyso.nothing"]
MAX_PAYLOAD = 1024 * 1024
MAX_STORE = 8 * 1024**3


@dataclass(frozen=True, slots=True)
class Bus:
    """The server's configuration file and each user's password file."""

    configuration: Path
    passwords: dict[str, Path]


def provide_bus(folder: Path, identity: Identity, ports: Ports, outside_client: str | None) -> Bus:
    """Write the server's configuration, with passwords made once. `outside_client` is the client id of the outside user."""
    users = (*SERVICES, OUTSIDE)
    passwords = {name: folder / f"{name}.password" for name in users}
    for path in passwords.values():
        if not path.exists():
            write_secret(path, secrets.token_urlsafe(24))
    entries = [
        {
            "user": name,
            "password": read_secret(passwords[name]),
            "permissions": permissions(name, outside_client),
        }
        for name in users
    ]
    configuration = {
        "server_name": "kyso-one-machine",
        "listen": f"{HOST}:{ports.bus}",
        "http": f"{HOST}:{ports.bus_monitor}",
        "max_payload": MAX_PAYLOAD,
        "tls": {
            "cert_file": str(identity.certificate), "key_file": str(identity.private_key),
            "ca_file": str(identity.ca), "timeout": 5,
        },
        # Acknowledge after fsync: by default JetStream answers before the data is safe.
        "jetstream": {"store_dir": str(folder / "jetstream"), "sync_interval": "always", "max_file_store": MAX_STORE},
        "accounts": {"KYSO": {"jetstream": "enabled", "users": entries}},
    }  # fmt: skip
    path = folder / "nats.conf"
    # The server's format takes JSON.
    write_private(path, json.dumps(configuration, indent=2).encode())
    return Bus(path, passwords)


def permissions(user: str, outside_client: str | None) -> dict[str, dict[str, list[str]]]:
    """What a user may publish and subscribe, in nats-server's own terms."""
    match user:
        case "signer":
            publish = ["kyso.event.signature.>", "kyso.event.operation.>", "kyso.job.>", "kyso.result.>", "kyso.parked.>",
                       "kyso.directory.confirmed", *_streams(user), *_consumers("KYSO_JOBS")]  # fmt: skip
            subscribe = ["kyso.directory.changed", "kyso.directory.heartbeat", "_INBOX.signer.>"]
        case "registry":
            publish = ["kyso.event.credential.>", "kyso.event.crl.>", "kyso.parked.>", "kyso.directory.changed",
                       "kyso.directory.heartbeat", *_streams(user), *_consumers("KYSO_EVENTS")]  # fmt: skip
            subscribe = ["kyso.directory.confirmed", "_INBOX.registry.>"]
        case _ if user == OUTSIDE and outside_client:
            # Each by its name: whatever else it might store there, nobody would take out again.
            publish = [f"kyso.job.{outside_client}.sign.{priority}" for priority in PRIORITIES]
            subscribe = [f"kyso.result.{outside_client}.>", f"_INBOX.{OUTSIDE}.>"]
        case _:
            publish, subscribe = NOTHING, NOTHING
    return {"publish": {"allow": publish}, "subscribe": {"allow": subscribe}}


def _streams(user: str) -> list[str]:
    """Make and change one's own streams, ask for all of them; delete or purge none."""
    return [
        "$JS.API.INFO",
        "$JS.API.STREAM.NAMES",
        *(f"$JS.API.STREAM.{verb}.{name}" for verb in ("CREATE", "UPDATE") for name in STREAMS[user]),
        *(f"$JS.API.STREAM.INFO.{name}" for names in STREAMS.values() for name in names),
    ]


def _consumers(stream: str) -> list[str]:
    return [f"$JS.API.CONSUMER.CREATE.{stream}.>", f"$JS.API.CONSUMER.DURABLE.CREATE.{stream}.>",
            f"$JS.API.CONSUMER.INFO.{stream}.>", f"$JS.API.CONSUMER.MSG.NEXT.{stream}.>", f"$JS.ACK.{stream}.>"]  # fmt: skip
