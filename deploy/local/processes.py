"""The settings file and the command of each process of the one-machine platform."""

from __future__ import annotations

import secrets
import sys
from dataclasses import dataclass, replace
from pathlib import Path

from deploy.local.bus import STREAMS, Bus
from deploy.local.pki import Identity
from deploy.local.secretfiles import write_private, write_secret
from deploy.local.settings import HOST, Ports, Settings
from deploy.local.supervisor import Part
from deploy.local.token import AUTHORITY, DOCUMENTS, TokenStore
from deploy.local.toml import Row, Section, toml_text

OPERATOR_ID = "operator"
CA_ORGANIZATION = "Kyso (máy thử nghiệm)"
TSA_KEY = "tsa"
ROOT_DAYS = 3650
ISSUING_DAYS = 1826
CRL_MESSAGE_BYTES = 40 * 1024 * 1024
"""Where CRLs pass: one may have 32 MiB, and a message has more to say than that."""


@dataclass(frozen=True, slots=True)
class Provisions:
    """What was made or found before anything starts."""

    nats_server: Path
    tokens: TokenStore
    mesh: dict[str, Identity]
    bus: Bus
    font_file: Path | None = None
    """What visible signatures print with."""


def waves(settings: Settings, provisions: Provisions) -> list[tuple[Part, ...]]:
    """Write every settings file and return the processes in the order of their start.

    Registry and signer start together: the one needs the other's keys for its CA, the other the one's directory.
    """
    ports = settings.ports
    bus = Part(
        "nats",
        (str(provisions.nats_server), "--config", str(provisions.bus.configuration)),
        f"http://{HOST}:{ports.bus_monitor}/healthz",
    )
    register = _service(settings, "registry", registry(settings, provisions), ports.registry_metrics)
    signing = _service(settings, "signer", signer(settings, provisions), ports.signer_metrics)
    verifying = _service(settings, "verifier", verifier(settings, provisions), ports.verifier_metrics)
    door = _service(settings, "gateway", gateway(settings, provisions), ports.gateway_metrics)
    # A PKCS#11 module that was unpacked rather than installed finds its libraries by the environment.
    signing = replace(signing, environment=provisions.tokens.environment())
    return [(bus,), (register, signing), (verifying,), (door,)]


def public_url(ports: Ports) -> str:
    """Where callers on this machine reach the gateway."""
    return f"http://{HOST}:{ports.gateway_http}"


def _service(settings: Settings, name: str, configuration: Section, metrics: int) -> Part:
    path = settings.state / "config" / f"{name}.toml"
    write_private(path, toml_text(configuration).encode())
    module = name if name == "gateway" else f"services.{name}"
    command = (sys.executable, "-m", module, "--config", str(path))
    return Part(name, command, f"http://{HOST}:{metrics}/readyz")


def _tls(provisions: Provisions, name: str) -> Section:
    identity = provisions.mesh[name]
    return {
        "certificate_file": identity.certificate,
        "private_key_file": identity.private_key,
        "ca_file": identity.ca,
    }


def _client(provisions: Provisions, own: str, server: str, port: int) -> Section:
    section: Section = {"target": f"{HOST}:{port}", "server_name": server, "tls": _tls(provisions, own)}
    # CRLs, and reports on documents with hundreds of signatures.
    is_large = "registry" in {own, server} or server == "verifier"
    return _for_crls(section) if is_large else section


def _server(provisions: Provisions, name: str, port: int) -> Section:
    section: Section = {"listen": f"{HOST}:{port}", "tls": _tls(provisions, name)}
    return _for_crls(section) if name in {"registry", "signer", "verifier"} else section


def _for_crls(section: Section) -> Section:
    return {**section, "max_message_bytes": CRL_MESSAGE_BYTES}


def _bus(settings: Settings, provisions: Provisions, user: str) -> Section:
    return {
        "servers": [f"tls://{HOST}:{settings.ports.bus}"],
        "user": user,
        "password_file": provisions.bus.passwords[user],
        "ca_file": provisions.mesh["nats"].ca,
        "streams": {"made_here": list(STREAMS[user])},
    }


def _database(settings: Settings, name: str) -> Section:
    return {"url": f"sqlite+aiosqlite:///{settings.state / f'{name}.sqlite'}", "migrate_at_start": True}


def _telemetry(port: int) -> Section:
    return {"http_listen": f"{HOST}:{port}"}


def gateway(settings: Settings, provisions: Provisions) -> Section:
    """Settings of the public door: plain HTTP, on this machine only."""
    ports = settings.ports
    return {
        "telemetry": _telemetry(ports.gateway_metrics),
        "http": {"listen": f"{HOST}:{ports.gateway_http}", "public_url": public_url(ports)},
        "signer": _client(provisions, "gateway", "signer", ports.signer_rpc),
        "verifier": _client(provisions, "gateway", "verifier", ports.verifier_rpc),
        "registry": _client(provisions, "gateway", "registry", ports.registry_rpc),
    }


def registry(settings: Settings, provisions: Provisions) -> Section:
    """Settings of the register: it makes its own CA at the first start, as a development platform may."""
    ports, state = settings.ports, settings.state
    return {
        "replica": "registry-1",
        "telemetry": _telemetry(ports.registry_metrics),
        "rpc": _server(provisions, "registry", ports.registry_rpc),
        "signer": _client(provisions, "registry", "signer", ports.signer_rpc),
        "bus": _bus(settings, provisions, "registry"),
        "database": _database(settings, "registry"),
        "ca": {
            "public_base_url": f"{public_url(ports)}/pki",
            "create_at_first_start": True,
            "reconcile_seconds": 1,
            "root": {
                "organization": CA_ORGANIZATION,
                "common_name": "Kyso Demo Root CA",
                "validity_days": ROOT_DAYS,
            },
            "issuing": {
                "organization": CA_ORGANIZATION,
                "common_name": "Kyso Demo Issuing CA",
                "validity_days": ISSUING_DAYS,
            },
        },
        "time_stamp": {
            "key": TSA_KEY,
            "organization": CA_ORGANIZATION,
            "common_name": "Kyso Demo Time-Stamp Unit",
        },
        "tokens": {"key_file": state / "token-keys.jwks"},
        "bootstrap": {"client_id": OPERATOR_ID, "client_secret_file": operator_secret_file(settings)},
    }


def operator_secret_file(settings: Settings) -> Path:
    """Where the first client's secret lies, made when it is first asked for."""
    path = settings.state / "operator.secret"
    if not path.exists():
        write_secret(path, secrets.token_urlsafe(32))
    return path


def signer(settings: Settings, provisions: Provisions) -> Section:
    """Settings of the signer: both token groups, and the keys of CA and time-stamp authority, made when they are first
    asked for.
    """
    ports, workers = settings.ports, settings.workers
    keys: list[Row] = [{"name": name, "role": name, "create": True} for name in ("root", "issuing")]
    keys.append(
        {
            "name": TSA_KEY,
            "role": "time_stamping",
            "algorithm": "ECDSA-P256",
            "may_sign": ["time_stamp"],
            "create": True,
        }
    )
    return {
        "replica": "signer-1",
        "telemetry": _telemetry(ports.signer_metrics),
        "rpc": _server(provisions, "signer", ports.signer_rpc),
        "registry": _client(provisions, "signer", "registry", ports.registry_rpc),
        "verifier": _client(provisions, "signer", "verifier", ports.verifier_rpc),
        "bus": _bus(settings, provisions, "signer"),
        "database": _database(settings, "signer"),
        "hsm": {
            "documents": _token_group(provisions.tokens, DOCUMENTS, workers.document_token_workers),
            "authority": _token_group(provisions.tokens, AUTHORITY, workers.authority_token_workers),
        },
        "documents": _documents(settings, provisions),
        "blobs": {"folder": settings.state / "blobs"},
        "authority": {"keys": keys},
        "time_stamp": {"key": TSA_KEY},
    }


def _documents(settings: Settings, provisions: Provisions) -> Section:
    section: Section = {"workers": settings.workers.document_workers}
    return section if provisions.font_file is None else {**section, "font_file": provisions.font_file}


def _token_group(tokens: TokenStore, label: str, workers: int) -> Section:
    return {
        "module": tokens.module,
        "token_label": label,
        "pin_file": tokens.pins[label],
        "workers": workers,
        "environment": {"SOFTHSM2_CONF": str(tokens.configuration)},
    }


def verifier(settings: Settings, provisions: Provisions) -> Section:
    """Settings of the verifier. No host outside may be asked: the CRLs of our own CA come with the registry's trust."""
    ports = settings.ports
    return {
        "telemetry": _telemetry(ports.verifier_metrics),
        "rpc": _server(provisions, "verifier", ports.verifier_rpc),
        "registry": _client(provisions, "verifier", "registry", ports.registry_rpc),
        **({} if provisions.font_file is None else {"reports": {"font_file": provisions.font_file}}),
    }
