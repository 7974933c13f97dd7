"""Trust lists as `python -m services.verifier trust-list` writes them: JSON files that the settings name."""

from __future__ import annotations

import base64
import binascii
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from cryptography import x509

from services.registry.domain.anchors import PURPOSES, Anchor, ListHead, TrustList

MAX_BYTES = 16 * 1024 * 1024
MAX_ANCHORS = 1000
MAX_CERTIFICATE_BYTES = 1024 * 1024
"""Of all together: every verifier gets them in one message, again and again."""


class TrustListUnreadable(ValueError):
    """The file is no checked trust list; the message says what is wrong with it."""


def read(name: str, path: Path) -> TrustList:
    """Return the list in a file, under the name that the settings give it; raise TrustListUnreadable."""
    try:
        with path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise TrustListUnreadable(f"{path}: {error.strerror or error}") from error
    if len(data) > MAX_BYTES:
        raise TrustListUnreadable(f"{path}: larger than {MAX_BYTES} bytes")
    try:
        return _list(name, json.loads(data))
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise TrustListUnreadable(
            f"{path}: not a trust list as the verifier's command trust-list writes it"
        ) from error


def _list(name: str, stated: dict[str, Any]) -> TrustList:
    if (stated["kind"], stated["version"]) != ("kyso-trust-list", 1):
        raise ValueError("another kind of file")
    number = stated["sequence_number"]
    if type(number) is not int or number < 1:
        raise ValueError("the sequence number is no positive number")
    head = ListHead(f"{stated['operator']} ({stated['territory']})", number, str(stated["sha256"]))
    anchors = tuple(_anchor(name, one) for one in stated["anchors"])
    size = sum(map(len, {one.certificate for one in anchors}))
    if len(anchors) > MAX_ANCHORS or size > MAX_CERTIFICATE_BYTES:
        raise ValueError("too many anchors")
    next_update = stated["next_update"]
    return TrustList(name, head, None if next_update is None else _time(next_update), anchors)


def _anchor(name: str, stated: dict[str, Any]) -> Anchor:
    try:
        certificate = base64.b64decode(stated["certificate"], validate=True)
    except binascii.Error as error:
        raise ValueError("a certificate is no base64") from error
    x509.load_der_x509_certificate(certificate)
    purposes = frozenset(stated["purposes"])
    if not purposes or not purposes <= PURPOSES or not isinstance(stated["scope"], str):
        raise ValueError("an anchor for something that is not known")
    first, last = stated["trusted_from"], stated["trusted_until"]
    return Anchor(
        certificate,
        stated["scope"],
        None if first is None else _time(first),
        None if last is None else _time(last),
        purposes,
        name,
    )


def _time(stated: str) -> datetime:
    moment = datetime.fromisoformat(stated)
    if moment.tzinfo is None:
        raise ValueError("a time without zone")
    return moment.astimezone(UTC)
