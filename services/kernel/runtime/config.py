"""Settings: one TOML file for each process, read once, checked whole, then frozen.

Unknown keys are refused, so that a misspelt key cannot silently leave a default in force. Secrets are never in the
file: a `*_file` key names the file that holds one, and what is read from it does not print.
"""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, SecretStr, ValidationError

MAX_CONFIG_BYTES = 1024 * 1024
"""A settings file larger than this is a mistake, not a configuration."""
MAX_SECRET_BYTES = 64 * 1024


class ConfigError(Exception):
    """The settings cannot be used. `problems` has one line for each wrong key, without the values."""

    def __init__(self, problems: list[str]) -> None:
        """Take one line a problem, such as "rpc.listen: Field required"."""
        super().__init__("; ".join(problems))
        self.problems = problems


def split_address(address: str) -> tuple[str, int]:
    """Split "host:port" or "[v6]:port"; raise ValueError where it is neither. Port 0 means any free port."""
    host, separator, port = address.rpartition(":")
    if not separator or not host or not port.isascii() or not port.isdigit() or int(port) > 65535:
        raise ValueError('must be "host:port" with a port of 0 to 65535')
    return host.strip("[]"), int(port)


def _checked_address(address: str) -> str:
    split_address(address)
    return address


Address = Annotated[str, AfterValidator(_checked_address)]
"""Text "host:port"."""


class Settings(BaseModel):
    """Base of every settings section: frozen, and a key that it does not know is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class TlsSettings(Settings):
    """This process's own certificate and key, and the CA that the other side's certificate must come from (PEM)."""

    certificate_file: Path
    private_key_file: Path
    ca_file: Path


class RpcServerSettings(Settings):
    """The gRPC server of a service."""

    listen: Address
    tls: TlsSettings
    drain_seconds: float = Field(default=10, ge=0, le=600)
    """How long calls under way may still take after a stop was asked for."""
    max_message_bytes: int = Field(default=4 * 1024 * 1024, ge=1024, le=64 * 1024 * 1024)
    """Largest message, in and out; documents come in chunks and stay far below."""
    max_call_seconds: float = Field(default=120, gt=0, le=3600)
    """Deadline of a call whose caller set none."""
    max_concurrent_calls: int = Field(default=1024, ge=1)
    """Calls beyond this number are refused with RESOURCE_EXHAUSTED before any work."""


class RpcClientSettings(Settings):
    """How another service of the mesh is reached."""

    target: Address
    server_name: str = Field(min_length=1, max_length=253)
    """The DNS name that the server's certificate must carry, such as "signer"."""
    tls: TlsSettings
    timeout_seconds: float = Field(default=10, gt=0, le=3600)
    """Deadline of a call that sets none itself."""
    max_message_bytes: int = Field(default=4 * 1024 * 1024, ge=1024, le=64 * 1024 * 1024)


StreamName = Literal["KYSO_JOBS", "KYSO_EVENTS", "KYSO_RESULTS", "KYSO_PARKED"]


class StreamSettings(Settings):
    """The streams that this process makes, and how large they may become; the others belong to another process.

    JetStream reserves the bytes of all four: together they must fit in the server's `max_file_store`. `jobs_bytes` holds
    more than one client's queues when they are full (three priorities x `jobs_per_subject` x 128 KiB), so that no client
    alone fills the stream.
    """

    made_here: tuple[StreamName, ...] = ("KYSO_JOBS", "KYSO_EVENTS", "KYSO_RESULTS", "KYSO_PARKED")
    """Streams that this process makes and brings up to date."""
    jobs_bytes: int = Field(default=4 * 1024**3, ge=1024**2)
    """A full queue refuses new jobs."""
    jobs_per_subject: int = Field(default=10_000, ge=1)
    """Jobs of one client and priority that wait; further ones are refused until some are done."""
    events_bytes: int = Field(default=2 * 1024**3, ge=1024**2)
    """Beyond it the oldest events go before their 30 days are over."""
    results_bytes: int = Field(default=768 * 1024**2, ge=1024**2)
    """Beyond it the oldest results go before their 7 days are over."""
    parked_bytes: int = Field(default=512 * 1024**2, ge=1024**2)
    """Beyond it the oldest parked messages go before their 365 days are over."""


class BusSettings(Settings):
    """NATS with JetStream. Without `ca_file` the connection is plain: for a server on this machine in tests only."""

    servers: tuple[str, ...] = Field(min_length=1)
    user: str = Field(min_length=1)
    password_file: Path
    ca_file: Path | None = None
    replicas: int = Field(default=1, ge=1, le=5)
    """Copies of each stream: 1 for one server, 3 for a cluster."""
    streams: StreamSettings = StreamSettings()
    publish_timeout_seconds: float = Field(default=5, gt=0, le=60)


class DatabaseSettings(Settings):
    """The service's own database: `sqlite+aiosqlite:///path` or `postgresql+psycopg://user@host/name`."""

    url: str = Field(pattern=r"^(sqlite\+aiosqlite:///.+|postgresql\+psycopg://.*)$")
    password_file: Path | None = None
    pool_size: int = Field(default=8, ge=1, le=100)
    migrate_at_start: bool = True
    """Bring the tables up to date before serving. Where a job of its own does that: false, then only check."""


class TelemetrySettings(Settings):
    """Logs to stderr; metrics and health by plain HTTP at /metrics, /livez, /readyz."""

    log_level: str = Field(default="info", pattern=r"^(debug|info|warning|error)$")
    http_listen: Address


class ProcessSettings(Settings):
    """Base of the settings of a whole process: `process.main` needs these keys."""

    telemetry: TelemetrySettings
    stop_seconds: float = Field(default=30, gt=0, le=3600)
    """After this time a stop that hangs is cut off and the process exits with 1. More than any drain_seconds."""


S = TypeVar("S", bound=Settings)


def load(model: type[S], path: Path) -> S:
    """Read and check one TOML file; raise ConfigError that names every wrong key."""
    try:
        with path.open("rb") as file:
            raw = file.read(MAX_CONFIG_BYTES + 1)
    except OSError as error:
        raise ConfigError([f"{path}: {error.strerror or error}"]) from error
    if len(raw) > MAX_CONFIG_BYTES:
        raise ConfigError([f"{path}: larger than {MAX_CONFIG_BYTES} bytes"])
    try:
        document = tomllib.loads(raw.decode("utf-8"))
    except (UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ConfigError([f"{path}: not a TOML file: {error}"]) from error
    return parse(model, document)


def parse(model: type[S], document: dict[str, Any]) -> S:
    """Check settings that are already a mapping; raise ConfigError that names every wrong key."""
    try:
        return model.model_validate(document)
    except ValidationError as error:
        # Never the value: somebody may have written a password where a file name belongs.
        problems = [f"{_dotted(item['loc'])}: {item['msg']}" for item in error.errors(include_input=False)]
        raise ConfigError(problems) from None


def _dotted(location: tuple[int | str, ...]) -> str:
    return ".".join(str(part) for part in location) or "(whole file)"


def read_secret(path: Path) -> SecretStr:
    """Read a secret from its file, without the newline that editors add; raise ConfigError where it is not there."""
    try:
        with path.open("rb") as file:
            raw = file.read(MAX_SECRET_BYTES + 1)
        text = raw.decode("utf-8").rstrip("\r\n")
    except (OSError, UnicodeDecodeError) as error:
        # A decode error's own text would quote the secret's bytes.
        reason = error.strerror if isinstance(error, OSError) else "not UTF-8 text"
        raise ConfigError([f"secret file {path}: {reason}"]) from None
    if not text or len(raw) > MAX_SECRET_BYTES:
        raise ConfigError([f"secret file {path}: empty or larger than {MAX_SECRET_BYTES} bytes"])
    return SecretStr(text)


def read_pem(path: Path, what: str) -> bytes:
    """Read a PEM file whole (at most 64 KiB); raise ConfigError that names it by `what` where it cannot be read."""
    try:
        with path.open("rb") as file:
            data = file.read(MAX_SECRET_BYTES + 1)
    except OSError as error:
        raise ConfigError([f"{what} {path}: {error.strerror or error}"]) from error
    if not data or len(data) > MAX_SECRET_BYTES:
        raise ConfigError([f"{what} {path}: empty or larger than {MAX_SECRET_BYTES} bytes"])
    return data
