"""Access tokens: what is believed, what is not, and how often the registry is asked for its keys."""

from __future__ import annotations

import asyncio
import base64
import hmac
import json
from typing import Any

import pytest
from joserfc import jwt
from joserfc.jwk import ECKey, KeySet

from services.kernel.errors import (
    DomainError,
    ServiceUnavailable,
    TokenExpired,
    TokenInvalid,
    Unauthenticated,
)
from services.signer import tokens as module
from services.signer.tokens import TokenVerifier

NOW = 1_800_000_000.0


class Issuer:
    def __init__(self) -> None:
        self.keys = [ECKey.generate_key("P-256", {"kid": "k1"})]
        self.asked = 0
        self.away = False
        self.time = NOW
        self.verifier = TokenVerifier(self.fetch, lambda: self.time)

    async def fetch(self) -> str:
        self.asked += 1
        if self.away:
            raise ServiceUnavailable("away")
        return json.dumps(KeySet(list(self.keys)).as_dict(private=False))

    def token(self, key: Any = None, head: dict[str, Any] | None = None, **changes: Any) -> str:
        claims = {
            "iss": "kyso",
            "aud": "kyso",
            "sub": "cl_1",
            "agency": "ag_1",
            "scope": "sign:hash verify",
            "document_types": ["cong-van"],
            "label_required": True,
            "iat": int(NOW),
            "exp": int(NOW) + 600,
        } | changes
        claims = {name: value for name, value in claims.items() if value is not None}
        key = key or self.keys[0]
        return jwt.encode(
            {"alg": "ES256", "kid": "k1"} | (head or {}), claims, key, algorithms=["ES256", "ES384"]
        )


async def test_a_good_token_says_who_asks_and_is_verified_once() -> None:
    issuer = Issuer()
    token = issuer.token()
    client = await issuer.verifier.verify(token)
    assert (client.id, client.agency_id, client.label_required) == ("cl_1", "ag_1", True)
    assert (client.scopes, client.document_types) == (
        frozenset({"sign:hash", "verify"}),
        frozenset({"cong-van"}),
    )
    assert await issuer.verifier.verify(token) is client
    assert issuer.asked == 1


def _none_algorithm(issuer: Issuer) -> str:
    _, body, _ = issuer.token().split(".")
    forged = base64.urlsafe_b64encode(b'{"alg":"none","kid":"k1"}').rstrip(b"=").decode()
    return f"{forged}.{body}."


def _altered(issuer: Issuer) -> str:
    head, _, signature = issuer.token().split(".")
    _, body, _ = issuer.token(sub="cl_2").split(".")
    return f"{head}.{body}.{signature}"


def _hmac_with_the_public_key(issuer: Issuer) -> str:
    head = base64.urlsafe_b64encode(b'{"alg":"HS256","kid":"k1"}').rstrip(b"=").decode()
    signed = f"{head}.{issuer.token().split('.')[1]}"
    mac = hmac.digest(issuer.keys[0].as_pem(private=False), signed.encode(), "sha256")
    return f"{signed}.{base64.urlsafe_b64encode(mac).rstrip(b'=').decode()}"


@pytest.mark.parametrize(
    ("forge", "error"),
    [
        (lambda _: "", Unauthenticated),
        (lambda _: "x" * 9000, TokenInvalid),
        (lambda _: "a.b.c", TokenInvalid),
        (lambda _: base64.urlsafe_b64encode(b"[" * 5000).decode() + ".b.c", TokenInvalid),
        (lambda issuer: issuer.token(head={"kid": "other"}), TokenInvalid),
        (lambda issuer: issuer.token(ECKey.generate_key("P-256", {"kid": "k1"})), TokenInvalid),
        (
            lambda issuer: issuer.token(ECKey.generate_key("P-384", {"kid": "k1"}), {"alg": "ES384"}),
            TokenInvalid,
        ),
        (_none_algorithm, TokenInvalid),
        (_altered, TokenInvalid),
        (_hmac_with_the_public_key, TokenInvalid),
        (lambda issuer: issuer.token(iss="other"), TokenInvalid),
        (lambda issuer: issuer.token(aud="other"), TokenInvalid),
        (lambda issuer: issuer.token(exp=None), TokenInvalid),
        (lambda issuer: issuer.token(sub=None), TokenInvalid),
        (lambda issuer: issuer.token(sub="cl.*"), TokenInvalid),
        (lambda issuer: issuer.token(agency=7), TokenInvalid),
        (lambda issuer: issuer.token(document_types="*"), TokenInvalid),
        (lambda issuer: issuer.token(nbf=int(NOW) + 60), TokenInvalid),
        (lambda issuer: issuer.token(exp=int(NOW) + 3601), TokenInvalid),
        (lambda issuer: issuer.token(exp=float("inf")), TokenInvalid),
        (lambda issuer: issuer.token(exp=float("nan")), TokenInvalid),
        (lambda issuer: issuer.token(iat=None), TokenInvalid),
        (lambda issuer: issuer.token(exp=int(NOW)), TokenExpired),
    ],
)
async def test_what_is_no_token_of_ours_is_refused(forge: Any, error: type[DomainError]) -> None:
    issuer = Issuer()
    with pytest.raises(error):
        await issuer.verifier.verify(forge(issuer))


async def test_a_remembered_token_ends_with_its_time() -> None:
    issuer = Issuer()
    token = issuer.token()
    await issuer.verifier.verify(token)
    issuer.time += 600
    with pytest.raises(TokenExpired):
        await issuer.verifier.verify(token)


async def test_a_new_key_is_fetched_and_unknown_ones_make_no_storm(monkeypatch: pytest.MonkeyPatch) -> None:
    issuer = Issuer()
    await issuer.verifier.verify(issuer.token())
    issuer.keys.append(ECKey.generate_key("P-256", {"kid": "k2"}))
    for number in range(5):
        with pytest.raises(TokenInvalid):
            await issuer.verifier.verify(issuer.token(issuer.keys[1], {"kid": "k2"}, jti=str(number)))
    assert issuer.asked == 1
    monkeypatch.setattr(module, "REFRESH_PAUSE_SECONDS", 0.0)
    await issuer.verifier.verify(issuer.token(issuer.keys[1], {"kid": "k2"}))
    assert issuer.asked == 2


async def test_a_token_of_a_key_that_is_gone_is_not_remembered_as_good(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    issuer = Issuer()
    token = issuer.token()
    await issuer.verifier.verify(token)
    issuer.keys = [ECKey.generate_key("P-256", {"kid": "k2"})]
    monkeypatch.setattr(module, "REFRESH_PAUSE_SECONDS", 0.0)
    await issuer.verifier.verify(issuer.token(issuer.keys[0], {"kid": "k2"}))
    with pytest.raises(TokenInvalid):
        await issuer.verifier.verify(token)


async def test_old_keys_are_looked_at_again_and_what_they_signed_too(monkeypatch: pytest.MonkeyPatch) -> None:
    issuer = Issuer()
    token = issuer.token()
    await issuer.verifier.verify(token)
    issuer.keys = [ECKey.generate_key("P-256", {"kid": "k1"})]
    monkeypatch.setattr(module, "REFRESH_SECONDS", 0.0)
    assert await issuer.verifier.check() is None
    with pytest.raises(TokenInvalid):
        await issuer.verifier.verify(token)


async def test_an_absent_registry_is_not_asked_for_every_token(monkeypatch: pytest.MonkeyPatch) -> None:
    issuer = Issuer()
    issuer.away = True
    tokens = [issuer.token(jti=str(number)) for number in range(5)]
    answers = await asyncio.gather(*map(issuer.verifier.verify, tokens), return_exceptions=True)
    assert all(isinstance(answer, ServiceUnavailable) for answer in answers)
    assert issuer.asked == 1
    issuer.away = False
    monkeypatch.setattr(module, "FAILURE_SECONDS", 0.0)
    await issuer.verifier.verify(tokens[0])


@pytest.mark.parametrize("answer", ["", "[]", "{}", '{"keys": [{"kty": "none"}]}'])
async def test_an_answer_that_holds_no_keys_is_one_that_did_not_come(answer: str) -> None:
    issuer = Issuer()

    async def fetch() -> str:
        return answer

    with pytest.raises(ServiceUnavailable):
        await TokenVerifier(fetch, lambda: NOW).verify(issuer.token())


async def test_without_keys_the_answer_is_to_try_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "FAILURE_SECONDS", 0.0)
    issuer = Issuer()
    issuer.away = True
    with pytest.raises(ServiceUnavailable):
        await issuer.verifier.verify(issuer.token())
    assert await issuer.verifier.check() is not None
    issuer.away = False
    assert await issuer.verifier.check() is None
    issuer.away = True
    await issuer.verifier.verify(issuer.token())
