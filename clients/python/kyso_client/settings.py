"""Where the command finds the platform: flags, then the environment, then the configuration file."""

from __future__ import annotations

import os
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from kyso_client.tokens import ClientProof, ClientSecret, PrivateKey

DEFAULT_URL = "http://127.0.0.1:8080"
KEYS = ("url", "client_id", "client_secret_file", "private_key_file", "key_id")
VARIABLES = {
    "url": "KYSO_URL",
    "client_id": "KYSO_CLIENT_ID",
    "client_secret_file": "KYSO_CLIENT_SECRET_FILE",
    "private_key_file": "KYSO_PRIVATE_KEY_FILE",
    "key_id": "KYSO_KEY_ID",
}
MAX_FILE_BYTES = 64 * 1024


class SettingsError(Exception):
    """The command does not know enough; the text says what to set."""


@dataclass(frozen=True, slots=True)
class Settings:
    """Address of the gateway, and how the client proves who it is. Secrets come from files only."""

    url: str
    client_id: str = ""
    client_secret_file: str = ""
    private_key_file: str = ""
    key_id: str = ""

    def proof(self) -> ClientProof:
        """Read the secret or the key; raise SettingsError where something is missing."""
        if not self.client_id:
            raise SettingsError(
                "no client: set KYSO_CLIENT_ID, --client-id or client_id in the configuration file"
            )
        if self.private_key_file:
            try:
                return PrivateKey(self.client_id, _read(self.private_key_file), self.key_id)
            except ValueError as error:
                raise SettingsError(f"{self.private_key_file}: {error}") from None
        if not self.client_secret_file:
            raise SettingsError(
                "no proof: set KYSO_CLIENT_SECRET_FILE, --client-secret-file, or client_secret_file or"
                " private_key_file in the configuration file"
            )
        secret = _read(self.client_secret_file).decode("utf-8", "replace").strip()
        if not secret:
            raise SettingsError(f"{self.client_secret_file} is empty")
        return ClientSecret(self.client_id, secret)


def default_file(environment: Mapping[str, str]) -> Path:
    """Return where the configuration file lies if nobody says otherwise."""
    base = environment.get("XDG_CONFIG_HOME") or str(Path.home() / ".config")
    return Path(base) / "kyso" / "config.toml"


def load(
    flags: Mapping[str, str | None], file: Path | None = None, environment: Mapping[str, str] | None = None
) -> Settings:
    """Put the settings together; a flag beats the environment, the environment beats the file."""
    environment = os.environ if environment is None else environment
    values = _of_file(file, environment)
    values.update({key: environment[name] for key, name in VARIABLES.items() if environment.get(name)})
    values.update({key: value for key in KEYS if (value := flags.get(key))})
    if flags.get("client_secret_file"):
        # The nearest proof wins, also against a key that lies further away.
        values.pop("private_key_file", None)
    return Settings(**{"url": DEFAULT_URL, **values})


def _of_file(file: Path | None, environment: Mapping[str, str]) -> dict[str, str]:
    path = file or default_file(environment)
    if file is None and not path.exists():
        return {}
    try:
        document = tomllib.loads(_read(str(path)).decode("utf-8"))
    except (UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise SettingsError(f"{path} is not a TOML file: {error}") from None
    wrong = [key for key, value in document.items() if key not in KEYS or not isinstance(value, str)]
    if wrong:
        raise SettingsError(f"{path}: {wrong[0]!r} is not one of {', '.join(KEYS)}, or no text")
    return {key: str(value) for key, value in document.items()}


def _read(path: str) -> bytes:
    try:
        with Path(path).expanduser().open("rb") as file:
            return file.read(MAX_FILE_BYTES)
    except OSError as error:
        raise SettingsError(f"{path}: {error.strerror}") from None
