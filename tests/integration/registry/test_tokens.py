"""Access tokens: for a secret, for a signed assertion, and for nothing else."""

from __future__ import annotations

import base64
import json
import time
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from joserfc import jwt
from joserfc.jwk import ECKey, KeySet, OKPKey, RSAKey
from prometheus_client import CollectorRegistry

from kyso.v1 import registry_pb2, registry_pb2_grpc
from services.kernel.errors import DomainError, FieldInvalid, ScopeMissing, Unauthenticated
from services.registry.domain.parties import Agency, Client
from services.registry.metrics import RegistryMetrics
from services.registry.service.tokens import LEEWAY_SECONDS, TokenRequest, TokenService
from services.registry.store.unit import SqlStore
from services.registry.tokenkeys import TokenKeys
from tests.integration.registry.conftest import OPERATOR_SECRET, Registry, Stand

ENDPOINT = "https://kyso.example/oauth2/token"


def stub(registry: Registry) -> Any:
    return registry.stub(registry_pb2_grpc.TokenServiceStub, "gateway")


async def test_a_token_says_what_the_contract_promises_and_verifies_by_the_published_keys(
    registry: Registry,
) -> None:
    tokens = stub(registry)
    answer = await tokens.IssueToken(
        registry_pb2.IssueTokenRequest(
            client_id="operator", client_secret=OPERATOR_SECRET, scope="verify sign:hash"
        )
    )
    keys = json.loads((await tokens.GetTokenKeys(registry_pb2.GetTokenKeysRequest())).jwks)
    assert all("d" not in key for key in keys["keys"])
    decoded = jwt.decode(answer.access_token, KeySet.import_key_set(keys), algorithms=["ES256"])
    claims = decoded.claims
    assert decoded.header["typ"] == "at+jwt"
    assert (claims["iss"], claims["aud"], claims["sub"]) == ("kyso", "kyso", "operator")
    assert claims["scope"] == answer.scope == "sign:hash verify"
    assert (claims["document_types"], claims["label_required"]) == (["*"], False)
    assert claims["exp"] - claims["iat"] == answer.expires_in == 600
    assert claims["agency"].startswith("ag_")
    assert registry.metric("kyso_registry_tokens_issued_total") == 1


async def test_a_wrong_proof_is_refused_in_the_same_words_whatever_is_wrong(registry: Registry) -> None:
    said = set()
    wrong = (
        ("operator", "wrong"),
        ("nobody", OPERATOR_SECRET),
        ("", "x"),
        ("operator", "x" * 9999),
        ("oper\0ator", OPERATOR_SECRET),
        ("opérator", OPERATOR_SECRET),
        ("x" * 65, OPERATOR_SECRET),
    )
    for client_id, secret in wrong:
        with pytest.raises(Unauthenticated) as caught:
            await registry.token(client_id, secret)
        said.add(caught.value.message)
    assert len(said) == 1
    assert registry.metric("kyso_registry_tokens_refused_total", code="UNAUTHENTICATED") == len(wrong)
    with pytest.raises(FieldInvalid):
        await stub(registry).IssueToken(registry_pb2.IssueTokenRequest(client_id="operator"))
    with pytest.raises(ScopeMissing):
        await registry.token(scope="verify root")


def assertion(key: ECKey | RSAKey | OKPKey, algorithm: str, **changes: Any) -> str:
    now = int(time.time())
    claims = {"iss": "", "sub": "", "aud": ENDPOINT, "exp": now + 60, "jti": "j1", **changes}
    return jwt.encode({"alg": algorithm, "kid": key.kid}, claims, key, algorithms=[algorithm])


async def test_private_key_jwt_is_accepted_once_and_only_as_rfc_7523_says(registry: Registry) -> None:
    key = ECKey.generate_key("P-256", auto_kid=True)
    operator = await registry.client()
    made = await operator(
        "CreateClient",
        agency_id=await operator.agency(),
        name="Hệ thống văn bản",
        scopes=["verify"],
        jwks=json.dumps(KeySet([key]).as_dict(private=False)),
    )
    assert made.secret == ""
    who = made.client.id
    good = {"iss": who, "sub": who}

    async def ask(value: str, **more: Any) -> Any:
        return await stub(registry).IssueToken(
            registry_pb2.IssueTokenRequest(client_assertion=value, token_endpoint=ENDPOINT, **more)
        )

    first = assertion(key, "ES256", **good)
    assert (await ask(first)).scope == "verify"
    with pytest.raises(Unauthenticated, match="used before"):
        await ask(first)
    assert (await ask(assertion(key, "ES256", **good, aud="kyso", jti="j2"))).scope == "verify"

    now, stranger = int(time.time()), ECKey.generate_key("P-256", auto_kid=True)
    for wrong in (
        assertion(stranger, "ES256", **good, jti="w1"),
        assertion(key, "ES256", iss="somebody", sub=who, jti="w2"),
        assertion(key, "ES256", **good, jti="w3", aud="https://elsewhere.example"),
        assertion(key, "ES256", **good, jti="w4", exp=now - 60),
        assertion(key, "ES256", **good, jti="w5", exp=now + 3600),
        assertion(key, "ES256", **good, jti=""),
        assertion(key, "ES256", **good, jti="x" * 129),
        assertion(key, "ES256", **good, jti="w6", nbf=now + 600),
        assertion(key, "ES256", iss="cl_nobody", sub="cl_nobody", jti="w7"),
        assertion(key, "ES256", iss="cl_\0", sub="cl_\0", jti="w9"),
        assertion(key, "ES256", **good, jti="w\0"),
        "not.a.jwt",
        "a",
        "x" * 10_000,
        "eyJhbGciOiJub25lIn0.eyJzdWIiOiJ4In0.",
    ):
        with pytest.raises(Unauthenticated):
            await ask(wrong)
    with pytest.raises(Unauthenticated):
        await ask(assertion(key, "ES256", **good, jti="w8"), client_id="operator")


async def test_keys_of_every_kind_allowed_work_and_private_ones_are_refused(registry: Registry) -> None:
    operator = await registry.client()
    agency = await operator.agency()
    kinds: list[tuple[ECKey | RSAKey | OKPKey, str]] = [
        (ECKey.generate_key("P-384", auto_kid=True), "ES384"),
        (RSAKey.generate_key(2048, auto_kid=True), "PS256"),
        (OKPKey.generate_key("Ed25519", auto_kid=True), "Ed25519"),
    ]
    for key, algorithm in kinds:
        public = {"keys": [key.as_dict(private=False)]}
        fields = {"agency_id": agency, "name": algorithm, "scopes": ["verify"]}
        made = await operator("CreateClient", **fields, jwks=json.dumps(public))
        signed = assertion(key, algorithm, iss=made.client.id, sub=made.client.id, aud="kyso")
        await stub(registry).IssueToken(registry_pb2.IssueTokenRequest(client_assertion=signed))
        private = {"keys": [key.as_dict(private=True)]}
        with pytest.raises(FieldInvalid, match="private"):
            await operator("CreateClient", **fields, jwks=json.dumps(private))
    weak = {"kty": "RSA", "e": "AQAB", "n": base64.urlsafe_b64encode(b"\xc1" * 128).decode().rstrip("=")}
    for wrong in (
        "[]",
        '{"keys": []}',
        '{"keys": [1]}',
        json.dumps({"keys": [weak]}),
        '{"keys": [{"kty": "oct"}]}',
    ):
        with pytest.raises(FieldInvalid):
            await operator("CreateClient", agency_id=agency, name="x", scopes=["verify"], jwks=wrong)


async def test_the_operator_survives_a_restart_and_a_changed_secret_replaces_the_old(stand: Stand) -> None:
    async with stand.running() as first:
        token = await first.token()
        agencies = len((await (await first.client(token))("ListAgencies")).agencies)
    settings = stand.settings()
    settings.bootstrap.client_secret_file.write_text("another-secret-of-more-than-32-characters\n")
    async with stand.running(settings) as second:
        with pytest.raises(Unauthenticated):
            await second.token()
        fresh = await second.token(secret="another-secret-of-more-than-32-characters")
        # A token of before the restart is still good: its key is kept.
        for each in (token, fresh):
            assert len((await (await second.client(each))("ListAgencies")).agencies) == agencies == 1


async def test_a_short_operator_secret_stops_the_start(stand: Stand) -> None:
    settings = stand.settings()
    settings.bootstrap.client_secret_file.write_text("short\n")
    with pytest.raises(DomainError, match="32"):
        async with stand.running(settings):
            pass


async def test_an_assertion_is_not_forgotten_while_one_that_was_good_still_waits(
    stand: Stand, store: SqlStore
) -> None:
    key, began = ECKey.generate_key("P-256", auto_kid=True), datetime(2026, 11, 22, 8, tzinfo=UTC)
    public = json.dumps(KeySet([key]).as_dict(private=False))
    async with store.transaction() as unit:
        await unit.parties.add_agency(Agency("ag_1", None, "x", None, ("ag_1",), began))
        await unit.parties.add_client(
            Client("cl_a", "ag_1", "x", ("verify",), (), False, True, None, public, (), began)
        )
    keys, metrics = TokenKeys.open(stand.folder / "keys.jwks"), RegistryMetrics.register(CollectorRegistry())
    moments = [began] * 3
    tokens = TokenService(store, keys, 600, lambda: moments.pop(0), metrics)
    ends = began + timedelta(seconds=60)
    signed = assertion(key, "ES256", iss="cl_a", sub="cl_a", aud="kyso", exp=int(ends.timestamp()))
    request = TokenRequest("", "", signed, "", "")
    await tokens.issue(request)
    # Read in its last moment, and kept by a transaction that had to wait.
    last = ends + timedelta(seconds=LEEWAY_SECONDS)
    moments[:] = [
        last - timedelta(milliseconds=100),
        last + timedelta(seconds=2),
        last + timedelta(seconds=2),
    ]
    with pytest.raises(Unauthenticated, match="used before"):
        await tokens.issue(request)
