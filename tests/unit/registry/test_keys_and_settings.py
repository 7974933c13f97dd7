"""Token keys in their file, client secrets, settings that contradict themselves, forged tokens."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, cast

import pytest
from joserfc import jwt
from joserfc.jwk import ECKey, OctKey
from prometheus_client import CollectorRegistry
from pydantic import ValidationError

from services.kernel.errors import TokenExpired, TokenInvalid
from services.kernel.runtime.process import StartError
from services.registry.config import CaSettings
from services.registry.domain import secrets
from services.registry.metrics import RegistryMetrics
from services.registry.ports import Store
from services.registry.service.tokens import TokenService
from services.registry.tokenkeys import TokenKeys

NOW = datetime(2026, 11, 22, 8, tzinfo=UTC)


def test_the_key_file_is_made_once_for_its_owner_only(tmp_path: Path) -> None:
    path = tmp_path / "keys" / "token-keys.json"
    first = TokenKeys.open(path)
    assert path.stat().st_mode & 0o777 == 0o600
    assert [entry.name for entry in path.parent.iterdir()] == [path.name]
    again = TokenKeys.open(path)
    assert first.public_jwks == again.public_jwks
    assert '"d"' not in first.public_jwks


@pytest.mark.parametrize(
    "content", ["", "{", "{}", '{"keys": []}', '{"keys": [{"kty": "oct", "k": "AAAA"}]}', "[" * 5000]
)
def test_a_key_file_that_cannot_be_used_stops_the_start_without_quoting_it(
    tmp_path: Path, content: str
) -> None:
    path = tmp_path / "token-keys.json"
    path.write_text(content)
    path.chmod(0o600)
    with pytest.raises(StartError, match=r"token keys|JWK"):
        TokenKeys.open(path)


def test_a_key_file_open_to_others_or_without_private_keys_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "token-keys.json"
    TokenKeys.open(path)
    public = json.loads(TokenKeys.open(path).public_jwks)
    for mode in (0o644, 0o660):
        path.chmod(mode)
        with pytest.raises(StartError, match="chmod 600"):
            TokenKeys.open(path)
    path.chmod(0o600)
    path.write_text(json.dumps(public))
    with pytest.raises(StartError, match="private"):
        TokenKeys.open(path)


def test_of_two_keys_the_last_signs_and_both_verify(tmp_path: Path) -> None:
    path = tmp_path / "token-keys.json"
    old = TokenKeys.open(path)
    document = json.loads(path.read_text())
    document["keys"].append(ECKey.generate_key("P-256", auto_kid=True).as_dict(private=True))
    path.write_text(json.dumps(document))
    both = TokenKeys.open(path)
    assert both.signing.kid != old.signing.kid
    service(both).verify(token(old.signing))


def test_secrets_match_themselves_only() -> None:
    secret = secrets.make()
    kept = secrets.keep(secret)
    assert len(secret) == 43
    assert secrets.matches(secret, kept)
    assert not secrets.matches(secret + "x", kept)
    assert not secrets.matches("", kept)
    assert not secrets.matches(secret, None)
    long = "x" * 300
    assert not secrets.matches(long, secrets.keep(long[:256]))
    assert secret.encode() not in kept.salt + kept.hash
    assert secrets.keep(secret) != kept


def ca(**changes: Any) -> CaSettings:
    return CaSettings.model_validate({"public_base_url": "http://kyso.example/pki", **changes})


@pytest.mark.parametrize(
    "changes",
    [
        {"public_base_url": "https://kyso.example/pki"},
        {"public_base_url": "http://kyso.example/pki/"},
        {"public_base_url": "http://kyso.example/pki?x"},
        {"issuing_crl_interval_seconds": 100, "issuing_crl_validity_seconds": 100},
        {"root_crl_interval_seconds": 100, "root_crl_validity_seconds": 50},
        {"root": {"organization": "x", "common_name": "x", "validity_days": 7306}},
        {"unknown": 1},
    ],
)
def test_settings_that_cannot_work_are_refused(changes: dict[str, Any]) -> None:
    ca()
    with pytest.raises(ValidationError):
        ca(**changes)


def service(keys: TokenKeys) -> TokenService:
    # Verifying asks no store.
    metrics = RegistryMetrics.register(CollectorRegistry())
    return TokenService(cast("Store", None), keys, 600, lambda: NOW, metrics)


@pytest.fixture
def keys(tmp_path: Path) -> TokenKeys:
    return TokenKeys.open(tmp_path / "token-keys.json")


def token(key: Any, *, header: dict[str, Any] | None = None, **changes: Any) -> str:
    now = int(NOW.timestamp())
    claims: dict[str, Any] = {
        "iss": "kyso", "aud": "kyso", "sub": "cl_a", "agency": "ag_a", "scope": "verify", "iat": now, "exp": now + 600,
    } | changes  # fmt: skip
    whole = {"alg": "ES256", "typ": "at+jwt", "kid": key.kid, **(header or {})}
    left = {name: value for name, value in claims.items() if value is not None}
    return jwt.encode(whole, left, key, algorithms=[whole["alg"]])


def test_a_good_token_says_who_asks(keys: TokenKeys) -> None:
    caller = service(keys).verify(token(keys.signing, scope="verify registry:read"))
    assert (caller.client_id, caller.agency_id) == ("cl_a", "ag_a")
    assert caller.scopes == {"verify", "registry:read"}


def test_forged_foreign_and_old_tokens_are_refused(keys: TokenKeys) -> None:
    now, key = int(NOW.timestamp()), keys.signing
    stranger = ECKey.generate_key("P-256", auto_kid=True)
    public_as_secret = OctKey.import_key(json.dumps(key.as_dict(private=False)), {"kid": str(key.kid)})
    good = token(key)
    head, payload, signature = good.split(".")
    wrong = [
        "", "x", "a.b.c", "x" * 9000, good[:-4] + "AAAA", f"{head}.{payload}.", f"{payload}.{payload}.{signature}",
        token(stranger), token(stranger, header={"kid": key.kid}),
        token(public_as_secret, header={"alg": "HS256"}),
        token(key, iss="other"), token(key, aud="other"), token(key, exp=None), token(key, agency=None),
        token(key, iat=now + 3600), token(key, header={"typ": "JWT"}),
    ]  # fmt: skip
    for each in wrong:
        with pytest.raises(TokenInvalid) as caught:
            service(keys).verify(each)
        assert not each or each not in str(caught.value)
    with pytest.raises(TokenExpired):
        service(keys).verify(token(key, iat=now - 700, exp=now - 100))
