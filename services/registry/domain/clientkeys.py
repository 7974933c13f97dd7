"""Public keys that a client brings for private_key_jwt (RFC 7523): read, checked, written anew without extras."""

from __future__ import annotations

import json
import warnings
from typing import Any

from joserfc.errors import JoseError, SecurityWarning
from joserfc.jwk import ECKey, KeySet, OKPKey, RSAKey

from services.kernel.errors import FieldInvalid

MAX_CHARACTERS = 16 * 1024
MAX_KEYS = 8
MIN_RSA_BITS = 2048
MAX_RSA_BITS = 4096
_CURVES = ("P-256", "P-384")


def parse(jwks: str) -> str:
    """Check a JWK Set and return it with public members only; raise FieldInvalid."""
    if len(jwks) > MAX_CHARACTERS:
        raise _wrong(f"at most {MAX_CHARACTERS} characters")
    try:
        document: Any = json.loads(jwks)
        if not isinstance(document, dict) or not isinstance(document.get("keys"), list):
            raise _wrong('a JWK Set: {"keys": [...]}')
        if not 1 <= len(document["keys"]) <= MAX_KEYS:
            raise _wrong(f"1 to {MAX_KEYS} keys")
        with warnings.catch_warnings():
            # The library warns of weak keys; here they are refused.
            warnings.simplefilter("error", SecurityWarning)
            # Typed as a finished set; the library checks each key, and raises what is caught below.
            keys = KeySet.import_key_set(document)  # type: ignore[arg-type]
        public = keys.as_dict(private=False)
    except (ValueError, KeyError, TypeError, RecursionError, JoseError, SecurityWarning):
        # Not the library's text: somebody may have sent a private key.
        raise _wrong("a JWK Set (RFC 7517) that can be read") from None
    for key in keys:
        _check(key)
    if len({key.kid for key in keys}) != len(keys.keys):
        raise _wrong("keys with different kids")
    return json.dumps(public, sort_keys=True)


def _check(key: Any) -> None:
    match key:
        case ECKey() | OKPKey() | RSAKey() if key.is_private:
            raise _wrong("public keys only: what you sent holds a private key, replace it")
        case ECKey() if key.curve_name in _CURVES:
            return
        case OKPKey() if key.curve_name == "Ed25519":
            return
        case RSAKey() if MIN_RSA_BITS <= key.public_key.key_size <= MAX_RSA_BITS:
            return
    raise _wrong("keys on P-256, P-384 or Ed25519, or RSA keys of 2048 to 4096 bits")


def _wrong(wanted: str) -> FieldInvalid:
    return FieldInvalid(f"jwks must be {wanted}", field="jwks")
