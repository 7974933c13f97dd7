"""An endpoint: one method of one path, who may call it, what it does, and how the OpenAPI document describes it."""

from __future__ import annotations

import json
import re
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from gateway.auth import Caller
from gateway.fields import clean_text
from gateway.problems import MethodNotAllowed
from services.kernel.errors import FieldInvalid, NotFound

Handler = Callable[[Request, Caller], Awaitable[Response]]
_ENCODE = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode
"""Made once: `json.dumps` makes an encoder for each call that differs from its defaults."""
_NAME = re.compile(r"\{([a-z_]+)\}")
_IDEMPOTENCY_KEY = re.compile(r"[!-~]([ -~]{0,126}[!-~])?")


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One row of the gateway's table. `path` is a template such as /v1/credentials/{id}:hold."""

    method: str
    path: str
    handler: Handler
    operation: Mapping[str, Any]
    """OpenAPI operation object, without what the table knows itself."""
    scopes: frozenset[str] | None = field(default=None)
    """Any one of these must be in the token; None asks for no token, an empty set for any token."""


class Table:
    """Finds the endpoint of a request. Paths without variables cost one look-up."""

    def __init__(self, endpoints: Iterable[Endpoint]) -> None:
        """Take the endpoints; raise ValueError where two have the same method and path."""
        self.endpoints = tuple(endpoints)
        by_path: dict[str, dict[str, Endpoint]] = {}
        for endpoint in self.endpoints:
            methods = by_path.setdefault(endpoint.path, {})
            if endpoint.method in methods:
                raise ValueError(f"{endpoint.method} {endpoint.path} is there twice")
            methods[endpoint.method] = endpoint
        self._fixed = {path: methods for path, methods in by_path.items() if "{" not in path}
        self._templates = [(_pattern(path), methods) for path, methods in by_path.items() if "{" in path]

    def find(self, method: str, path: str) -> tuple[Endpoint, dict[str, str]]:
        """Return the endpoint and the path's variables; raise NotFound or MethodNotAllowed."""
        methods, variables = self._fixed.get(path), {}
        if methods is None:
            for pattern, candidates in self._templates:
                match = pattern.fullmatch(path)
                if match is not None:
                    methods, variables = candidates, match.groupdict()
                    break
        if methods is None:
            raise NotFound("there is nothing at this path; /docs lists what there is")
        # RFC 9110 section 9.3.2: HEAD is GET without the content; the server leaves the content out.
        endpoint = methods.get("GET" if method == "HEAD" else method)
        if endpoint is None:
            allowed = ", ".join(sorted([*methods, *(["HEAD"] if "GET" in methods else [])]))
            raise MethodNotAllowed(f"this path takes {allowed}", allow=allowed)
        return endpoint, variables


def _pattern(path: str) -> re.Pattern[str]:
    # Identifiers hold neither ":" nor "." nor "/", so that no two templates can match the same path.
    parts = _NAME.split(path)
    for index in range(0, len(parts), 2):
        parts[index] = re.escape(parts[index])
    for index in range(1, len(parts), 2):
        parts[index] = f"(?P<{parts[index]}>[A-Za-z0-9_-]{{1,64}})"
    return re.compile("".join(parts))


def json_response(document: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """Return JSON (RFC 8259, UTF-8) that no cache keeps."""
    body = _ENCODE(document).encode("utf-8")
    return Response(
        body, status, {"Cache-Control": "no-store", **(headers or {})}, media_type="application/json"
    )


def idempotency_key(request: Request) -> str:
    """Return the header Idempotency-Key; raise FieldInvalid where it is missing or malformed."""
    value = request.headers.get("idempotency-key")
    if value is None or not _IDEMPOTENCY_KEY.fullmatch(value):
        raise FieldInvalid(
            "the header Idempotency-Key is required: 1 to 128 printable ASCII characters, new for each request, the"
            " same when a request is sent again",
            field="Idempotency-Key",
        )
    return value


def query(request: Request, *names: str) -> dict[str, str]:
    """Return the query's parameters; raise FieldInvalid for one that is doubled or not among `names`."""
    found: dict[str, str] = {}
    for name, value in request.query_params.multi_items():
        if name not in names or name in found:
            shown = "".join(c if c.isprintable() else "?" for c in name[:60])
            what = "stands twice" if name in found else "is not known here"
            raise FieldInvalid(f"query parameter {shown!r} {what}", field=shown)
        found[name] = clean_text(name, value, 512)
    return found


def flag(parameters: Mapping[str, str], name: str) -> bool:
    """Return a query parameter "true" or "false"; false where it is absent."""
    value = parameters.get(name, "false")
    if value not in {"true", "false"}:
        raise FieldInvalid(f"query parameter {name!r} must be true or false", field=name)
    return value == "true"


def page(parameters: Mapping[str, str]) -> dict[str, Any]:
    """Return page_size (1 to 200, default 50) and page_token as the list requests of the registry take them."""
    size = parameters.get("page_size", "50")
    if not (size.isascii() and size.isdigit() and len(size) <= 3 and 1 <= int(size) <= 200):
        raise FieldInvalid("query parameter 'page_size' must be from 1 to 200", field="page_size")
    return {"page_size": int(size), "page_token": parameters.get("page_token", "")}
