"""The documentation page: the OpenAPI document as plain HTML, made once. No script, nothing from elsewhere."""

from __future__ import annotations

import base64
import hashlib
import inspect
import json
from collections.abc import Mapping
from html import escape
from typing import Any

from gateway.problems import status_of
from services.kernel.errors import error_codes

_STYLE = (
    "body{font:16px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem;color:#1b1b1b}"
    "code,pre{font:14px/1.4 ui-monospace,monospace;background:#f3f3f3}pre{padding:.8rem;overflow:auto}"
    "h2{margin-top:2.5rem;border-bottom:1px solid #ccc}h3{margin-top:1.8rem}"
    ".method{display:inline-block;min-width:3.5rem;font-weight:700}"
    "table{border-collapse:collapse;width:100%}td,th{border:1px solid #ccc;padding:.3rem .5rem;text-align:left;"
    "vertical-align:top}"
)
_STYLE_HASH = base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()
CONTENT_SECURITY_POLICY = (
    f"default-src 'none'; style-src 'sha256-{_STYLE_HASH}'; base-uri 'none'; form-action 'none';"
    " frame-ancestors 'none'"
)


def render(document: Mapping[str, Any]) -> str:
    """Return the page for an OpenAPI document."""
    info = document["info"]
    parts = [
        '<!doctype html><html lang="en"><head><meta charset="utf-8">',
        f"<title>{escape(info['title'])} API</title><style>{_STYLE}</style></head><body>",
        f"<h1>{escape(info['title'])} API {escape(info['version'])}</h1><p>{escape(info['summary'])}</p>",
        f"<p>{escape(info['description'])} The same as OpenAPI 3.1: <a href='/openapi.json'>/openapi.json</a>.</p>",
    ]
    tags: dict[str, list[str]] = {}
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            tags.setdefault(operation["tags"][0], []).append(_operation(path, method, operation))
    for tag, operations in tags.items():
        parts += [f"<h2>{escape(tag)}</h2>", *operations]
    parts += ["<h2>Schemas</h2>"]
    for name, schema in document["components"]["schemas"].items():
        parts.append(f"<h3 id='schema-{escape(name)}'>{escape(name)}</h3>{_schema(schema)}")
    parts += [_errors(), "</body></html>"]
    return "".join(parts)


def _operation(path: str, method: str, operation: Mapping[str, Any]) -> str:
    scopes = [scope for entry in operation["security"] for scope in entry.get("token", ())]
    lines = [
        f"<h3 id='{escape(operation['operationId'])}'><span class='method'>{method.upper()}</span> "
        f"<code>{escape(path)}</code></h3>",
        f"<p>{escape(operation['summary'])}. {escape(operation.get('description', ''))}</p>",
        f"<p>Scope: <code>{escape(' or '.join(scopes))}</code></p>" if scopes else "",
    ]
    rows = [
        f"<tr><td><code>{escape(item['name'])}</code></td><td>{escape(item['in'])}"
        f"{', required' if item.get('required') else ''}</td><td>{escape(item.get('description', ''))}</td></tr>"
        for item in operation.get("parameters", [])
    ]
    if rows:
        lines.append(
            "<table><tr><th>Parameter</th><th>Where</th><th>Meaning</th></tr>" + "".join(rows) + "</table>"
        )
    for media_type, content in operation.get("requestBody", {}).get("content", {}).items():
        lines.append(f"<p>Body <code>{escape(media_type)}</code> {_link(content.get('schema', {}))}</p>")
        lines += [_example(example) for example in content.get("examples", {}).values()]
    answers = [
        f"<tr><td>{escape(status)}</td><td>{_answer(answer)}</td></tr>"
        for status, answer in operation["responses"].items()
    ]
    lines.append("<table><tr><th>Status</th><th>Answer</th></tr>" + "".join(answers) + "</table>")
    return "".join(lines)


def _example(example: Mapping[str, Any]) -> str:
    value = json.dumps(example["value"], ensure_ascii=False, indent=1)
    return f"<details><summary>{escape(example['summary'])}</summary><pre>{escape(value)}</pre></details>"


def _answer(answer: Mapping[str, Any]) -> str:
    if "$ref" in answer:
        return "<a href='#schema-Problem'>Problem</a>"
    content = "; ".join(
        f"<code>{escape(media_type)}</code> {_link(body.get('schema', {}))}"
        for media_type, body in answer.get("content", {}).items()
    )
    return f"{escape(answer['description'])} {content}"


def _link(schema: Mapping[str, Any]) -> str:
    if "$ref" in schema:
        name = escape(schema["$ref"].rpartition("/")[2])
        return f"<a href='#schema-{name}'>{name}</a>"
    return f"<pre>{escape(json.dumps(schema, ensure_ascii=False, indent=2))}</pre>" if schema else ""


def _schema(schema: Mapping[str, Any]) -> str:
    required = set(schema.get("required", ()))
    if "properties" not in schema:
        return _link(schema)
    rows = "".join(
        f"<tr><td><code>{escape(name)}</code>{' (required)' if name in required else ''}</td>"
        f"<td>{_kind(value)}</td><td>{escape(value.get('description', ''))}</td></tr>"
        for name, value in schema["properties"].items()
    )
    return f"<table><tr><th>Member</th><th>Type</th><th>Meaning</th></tr>{rows}</table>"


def _kind(value: Mapping[str, Any]) -> str:
    if "$ref" in value:
        return _link(value)
    if "enum" in value:
        return escape(" | ".join(str(word) for word in value["enum"]))
    if value.get("type") == "array":
        return "list of " + _kind(value["items"])
    kind = value.get("type", value.get("const", "any"))
    return escape(" or ".join(kind) if isinstance(kind, list) else str(kind))


def _errors() -> str:
    rows = "".join(
        f"<tr id='error-{code}'><td><code>{code}</code></td><td>{status_of(error)}</td>"
        f"<td>{escape(inspect.getdoc(error) or '')}</td></tr>"
        for code, error in sorted(error_codes().items())
    )
    return f"<h2>Errors</h2><table><tr><th>Code</th><th>HTTP</th><th>Meaning</th></tr>{rows}</table>"
