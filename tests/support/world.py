"""Agencies, clients and credentials on a running platform, made through its public REST API as anyone would."""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

import httpx
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from joserfc import jwt
from joserfc.jwk import ECKey, KeySet

from tests.support.platform import TestPlatform

T = TypeVar("T")
WAIT_SECONDS = 30.0
ALL_SCOPES = "sign:hash sign:document verify credentials:read credentials:write registry:read registry:write audit:read"
DOCUMENT_TYPES = ["cong-van", "bao-cao"]


def until(what: str, ask: Callable[[], T | None]) -> T:
    """Ask again and again until the answer is not None; fail after a generous time."""
    deadline = time.monotonic() + WAIT_SECONDS
    while time.monotonic() < deadline:
        answer = ask()
        if answer is not None:
            return answer
        time.sleep(0.05)
    raise AssertionError(f"waited {WAIT_SECONDS:.0f} s in vain for {what}")


def multipart_body(parts: list[tuple[str, bytes]]) -> tuple[bytes, str]:
    """Encode parts in the given order; return body and content type."""
    boundary = uuid.uuid4().hex
    body = b""
    for name, content in parts:
        kind = "application/json" if name == "request" else "application/octet-stream"
        file_name = "" if name == "request" else f'; filename="{name}.bin"'
        head = f'--{boundary}\r\nContent-Disposition: form-data; name="{name}"{file_name}\r\nContent-Type: {kind}\r\n\r\n'
        body += head.encode() + content + b"\r\n"
    return body + f"--{boundary}--\r\n".encode(), f"multipart/form-data; boundary={boundary}"


TOKEN_SECONDS = 200
"""A token lives for 600 s; whoever takes one works with it for a part of that."""


@dataclass
class Client:
    """An API client with its secret."""

    id: str
    secret: str
    tokens: dict[str, str] = field(default_factory=dict)
    issued: dict[str, float] = field(default_factory=dict)


class World:
    """What the end-to-end tests act in: two agencies, a portal's client, credentials in every state."""

    max_document_bytes = 2 * 1024 * 1024

    def __init__(self, platform: TestPlatform) -> None:
        """Make agencies, clients and the usual credentials."""
        self.platform = platform
        self.http = httpx.Client(base_url=platform.url, timeout=60, trust_env=False)
        secret = (platform.folder / "operator.secret").read_text(encoding="utf-8").strip()
        self.operator = Client("operator", secret)
        self.agency = self._create(
            "/v1/agencies", {"name": "Ủy ban nhân dân tỉnh Ví Dụ", "organ_id": "000.00.01.H99"}
        )["id"]
        self.other_agency = self._create("/v1/agencies", {"name": "Ủy ban nhân dân tỉnh Khác"})["id"]
        self.subscriber = self._subscriber(self.agency)
        self.client = self.new_client(self.agency, label_required=True)
        self.rsa_credential = self.new_credential("RSA-2048")
        self.ec_credential = self.new_credential("ECDSA-P256")
        foreign = self._subscriber(self.other_agency)
        self.foreign_credential = self.new_credential("ECDSA-P256", subscriber=foreign)
        self.credentials: dict[str, str] = {}
        self._make_unusable()

    def close(self) -> None:
        """Close the HTTP connections."""
        self.http.close()

    def new_key(self) -> str:
        """Return a fresh idempotency key."""
        return uuid.uuid4().hex

    def new_client(
        self, agency: str, *, label_required: bool = False, document_types: list[str] | None = None
    ) -> Client:
        """Make a client with every scope of a portal."""
        made = self._create("/v1/clients", {
            "agency_id": agency, "name": "Cổng dịch vụ công", "scopes": ALL_SCOPES.split(),
            "document_types": document_types or DOCUMENT_TYPES, "label_required": label_required,
        })  # fmt: skip
        return Client(made["client"]["id"], made["secret"])

    def new_credential(self, algorithm: str, *, subscriber: str | None = None, issuer: str = "own_ca") -> str:
        """Make a credential; return its id."""
        made = self._create("/v1/credentials", {
            "subscriber_id": subscriber or self.subscriber, "key_algorithm": algorithm, "activation": "client",
            "issuer": issuer,
        })  # fmt: skip
        return str(made["id"])

    def token(self, scope: str = "", client: Client | None = None) -> str:
        """Return an access token; kept and used again while it lives for long enough."""
        client = client or self.client
        if scope not in client.tokens or time.monotonic() - client.issued[scope] > TOKEN_SECONDS:
            form = {"grant_type": "client_credentials"} | ({"scope": scope} if scope else {})
            answer = self.http.post("/oauth2/token", data=form, auth=(client.id, client.secret))
            assert answer.status_code == 200, answer.text
            client.tokens[scope] = answer.json()["access_token"]
            client.issued[scope] = time.monotonic()
        return client.tokens[scope]

    def headers(self, token: str | None = None, client: Client | None = None) -> dict[str, str]:
        """Return the authorisation header."""
        return {"Authorization": f"Bearer {token or self.token(client=client)}"}

    def post(self, path: str, body: dict[str, Any], client: Client | None = None) -> httpx.Response:
        """POST JSON with a fresh idempotency key."""
        headers = self.headers(client=client) | {"Idempotency-Key": self.new_key()}
        return self.http.post(path, json=body, headers=headers)

    def claims(self) -> dict[str, Any]:
        """Return the claims of the usual token."""
        return dict(jwt.decode(self.token(), self._token_keys()).claims)

    def token_kid(self) -> str:
        """Return the id of the key that signs tokens now."""
        return str(self._token_keys().keys[-1].kid)

    def sign_token(self, claims: dict[str, Any]) -> str:
        """Sign claims with the registry's own key, as the registry would."""
        key = self._token_keys().keys[-1]
        assert isinstance(key, ECKey)
        return jwt.encode({"alg": "ES256", "kid": key.kid, "typ": "at+jwt"}, claims, key)

    def signed_total(self) -> int:
        """Return how many signatures were made so far, as the signers count them."""
        total = 0.0
        for signer in self.platform.signers:
            for line in self.platform.metrics(signer.name).splitlines():
                if line.startswith("kyso_signer_signatures_total{") and 'outcome="signed"' in line:
                    total += float(line.rsplit(" ", 1)[1])
        return int(total)

    def audit(self, **query: str) -> list[dict[str, Any]]:
        """Return the audit events that the operator sees, all pages."""
        events: list[dict[str, Any]] = []
        page = ""
        while True:
            params = {"page_size": "200", "page_token": page} | query
            answer = self.http.get(
                "/v1/audit/events", params=params, headers=self.headers(client=self.operator)
            )
            assert answer.status_code == 200, answer.text
            body = answer.json()
            events += body["events"]
            page = body.get("next_page_token", "")
            if not page:
                return events

    def await_audit(self, wanted: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        """Wait until the audit log holds such an event."""
        return until("an audit event", lambda: next((event for event in self.audit() if wanted(event)), None))

    def _token_keys(self) -> KeySet:
        raw = (self.platform.folder / "token-keys.jwks").read_text(encoding="utf-8")
        return KeySet.import_key_set(json.loads(raw))

    def _create(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        def created() -> httpx.Response | None:
            answer = self.post(path, body, client=self.operator)
            # On a busy machine a service may be ready before another has connected to it.
            return None if answer.status_code == 503 and answer.json()["retryable"] else answer

        answer = until(f"{path} to be served", created)
        assert answer.status_code in {200, 201}, f"{path}: {answer.status_code} {answer.text}"
        made: dict[str, Any] = answer.json()
        return made

    def _subscriber(self, agency: str) -> str:
        made = self._create("/v1/subscribers", {
            "agency_id": agency, "kind": "organization", "name": "Văn phòng Ủy ban nhân dân tỉnh Ví Dụ",
            "tax_code": "0106793535", "email": "vanthu@vidu.example",
        })  # fmt: skip
        return str(made["id"])

    def _make_unusable(self) -> None:
        self.credentials["held"] = held = self.new_credential("ECDSA-P256")
        answer = self.post(
            f"/v1/credentials/{held}:hold", {"reason": "key_suspected", "reporter": "Nguyễn Văn A"}
        )
        assert answer.status_code == 200, answer.text
        self.credentials["revoked"] = revoked = self.new_credential("ECDSA-P256")
        revoke = {"ground": "key_exposed", "request_reference": "12/VP ngày 22/11/2026"}
        answer = self.post(f"/v1/credentials/{revoked}:revoke", revoke)
        assert answer.status_code == 200, answer.text
        self.credentials["pending"] = self.new_credential("ECDSA-P256", issuer="outside_ca")
        self.credentials["expired"] = self._expired()

    def _expired(self) -> str:
        credential = self.new_credential("ECDSA-P256", issuer="outside_ca")
        request = self.http.get(f"/v1/credentials/{credential}/certification-request", headers=self.headers())
        assert request.status_code == 200, request.text
        ends = datetime.now(UTC).replace(microsecond=0) + timedelta(seconds=4)
        outside = self.platform.outside_ca
        leaf = x509.load_der_x509_certificate(outside.issue(request.content, ends=ends))
        chain = b"".join(each.public_bytes(Encoding.PEM) for each in (leaf, outside.certificate))
        headers = self.headers() | {"Content-Type": "application/x-pem-file"}
        answer = self.http.post(f"/v1/credentials/{credential}/certificate", content=chain, headers=headers)
        assert answer.status_code == 200, answer.text
        until("the certificate to expire", lambda: True if datetime.now(UTC) > ends else None)
        return credential
