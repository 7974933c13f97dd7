"""The keys that sign access tokens: the registry's own, in a file of mode 0600, not in the HSM.

They live minutes in tokens, not years in documents; a new file and a restart replaces them. The file is a JWK Set
(RFC 7517): the last key signs, every key verifies, so that a key can be added before the one before it is removed.
"""

from __future__ import annotations

import json
import os
from contextlib import suppress
from pathlib import Path
from typing import Any, cast

from joserfc.errors import JoseError
from joserfc.jwk import ECKey, KeySet

from services.kernel.runtime.process import StartError

ALGORITHM = "ES256"
_MAX_BYTES = 64 * 1024


class TokenKeys:
    """A set of ES256 keys. Made by `open`."""

    def __init__(self, keys: KeySet) -> None:
        """Wrap keys that are known to be private P-256 keys."""
        self.all = keys
        self.signing = cast("ECKey", keys.keys[-1])
        self.public_jwks = json.dumps(
            {"keys": [{**key.as_dict(private=False), "use": "sig", "alg": ALGORITHM} for key in keys.keys]}
        )

    @classmethod
    def open(cls, path: Path) -> TokenKeys:
        """Read the key file, or make it; raise StartError where it cannot be used."""
        if not path.exists():
            try:
                _make(path)
            except OSError as error:
                raise StartError(
                    f"token keys {path}: not there, and they cannot be made ({error.strerror}); "
                    "where replicas share them they come from a secret"
                ) from error
        try:
            # The group may read: a pod reads its secrets as their group, for their owner is root.
            if path.stat().st_mode & 0o037:
                raise StartError(f"{path} must be closed to others and to its group's writing: chmod 600 it")
            with path.open("rb") as file:
                document: Any = json.loads(file.read(_MAX_BYTES))
            if any(key["kty"] != "EC" for key in document["keys"]):
                raise ValueError("a key that is not on a curve")
            keys = KeySet.import_key_set(document)
        except (OSError, ValueError, KeyError, TypeError, RecursionError, JoseError) as error:
            # Not the error's text: it may quote the key.
            raise StartError(f"token keys {path}: not a readable JWK Set ({type(error).__name__})") from None
        if not all(isinstance(key, ECKey) and key.is_private and key.curve_name == "P-256" for key in keys):
            raise StartError(f"token keys {path}: every key must be a private key on P-256")
        return cls(keys)


def _make(path: Path) -> None:
    document = KeySet([ECKey.generate_key("P-256", auto_kid=True)]).as_dict(private=True)
    path.parent.mkdir(parents=True, exist_ok=True)
    staged = path.with_name(f".{path.name}.{os.getpid()}")
    # Written aside with its final mode, then linked into place: no moment with half a key or open to others, and of
    # two replicas on one file system the second takes the first one's key.
    descriptor = os.open(staged, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            json.dump(document, file)
            file.flush()
            os.fsync(file.fileno())
        with suppress(FileExistsError):
            os.link(staged, path)
    finally:
        staged.unlink()
