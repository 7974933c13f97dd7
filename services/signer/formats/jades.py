"""JAdES baseline signatures (ETSI TS 119 182-1 V1.2.1): compact, flattened and general JSON, enveloping or detached.

Enveloping signatures carry the content as payload. Detached ones name each content with its digest (sigD by
ObjectIdByURIHash) and have no payload; they are made with b64=false, so that the digests are those of the files'
own bytes and a content may stay with the caller.
"""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING

from services.kernel.errors import BodyTooLarge, FieldInvalid
from services.signer.formats import jades_levels
from services.signer.formats.errors import SelfCheckFailed
from services.signer.formats.format import Prepared, Role
from services.signer.formats.jades_header import (
    BY_URI_HASH,
    HASH_NAMES,
    as_der,
    content_digest,
    content_type,
    contribution,
    fixed_length,
    protected_header,
    signed_data,
)
from services.signer.formats.jades_json import (
    MAX_SIGNATURES,
    Jws,
    JwsSignature,
    parse_jws,
    to_base64url,
)
from services.signer.formats.keys import verify_value
from services.signer.formats.parameters import Level

if TYPE_CHECKING:
    from typing import Any

    from services.kernel.values import DigestAlgorithm
    from services.signer.formats.format import (
        Document,
        Evidence,
        EvidenceNeeded,
        Need,
        Signed,
        TimeStampNeeded,
    )
    from services.signer.formats.jades_json import Serialization
    from services.signer.formats.parameters import SignatureParameters

MAX_PAYLOAD_BYTES = 16 << 20
"""Of an enveloping signature; a detached one has no such limit."""


class Jades:
    """Makes JSON signatures, and adds one more to a JSON signature that is there (part of the role SIGNATURE)."""

    def prepare(self, document: Document, parameters: SignatureParameters) -> Prepared:
        """Write the protected header, which is the state, and hash it with the payload.

        Raises DocumentDamaged where a signature that is there is not over what the file holds now.
        """
        jws = _container(document, parameters)
        for earlier in jws.signatures:
            jades_levels.require_valid(jws, earlier, document)
            jades_levels.require_contents(earlier, document)
        given = contribution(parameters.certificate_chain, parameters.algorithm)
        more = _members(document, jws, parameters)
        header = protected_header(given.fields, parameters.signing_time, more)
        text = JwsSignature(header, "").signed_text(jws.payload)
        return Prepared(parameters.algorithm.digest.digest(text), header.encode("ascii"))

    def complete(
        self, document: Document, parameters: SignatureParameters, state: bytes, signature: bytes
    ) -> bytes:
        """Put the signature together, then read the finished file back and verify it."""
        jws = _container(document, parameters)
        key = contribution(parameters.certificate_chain, parameters.algorithm).public_key
        try:
            value = fixed_length(key, signature)
        except (ValueError, OverflowError) as error:
            raise SelfCheckFailed("the signature value is no ECDSA value of the key's curve") from error
        jws.signatures.append(JwsSignature(state.decode("ascii"), to_base64url(value)))
        finished = jws.to_bytes()
        check(finished, document, parameters)
        return finished

    def next_need(self, signed: Signed, level: Level, digest: DigestAlgorithm) -> Need | None:
        """Ask for a time-stamp over each signature value, then for the evidence of all."""
        if level is Level.B_B:
            return None
        if level is Level.B_LTA:
            raise FieldInvalid("JSON signatures are raised up to B-LT", field="level")
        return jades_levels.next_need(signed, level, digest)

    def add_time_stamp(self, signed: Signed, need: TimeStampNeeded, token: bytes) -> bytes:
        """Put the token into the unsigned header of the signature that it was asked for."""
        return jades_levels.add_time_stamp(signed, need, token)

    def add_evidence(self, signed: Signed, need: EvidenceNeeded, evidence: Evidence) -> bytes:
        """Put certificates and revocation values into the unsigned headers."""
        return jades_levels.add_evidence(signed, need, evidence)


def check(finished: bytes, document: Document, parameters: SignatureParameters) -> None:
    """Verify the last signature of a finished file from its bytes: header, payload or digests, signature value."""
    algorithm = parameters.algorithm
    key = contribution(parameters.certificate_chain, algorithm).public_key
    jws = parse_jws(finished)
    ours = jws.signatures[-1]
    header = ours.protected_header()
    if header.get("x5c") != [base64.b64encode(der).decode("ascii") for der in parameters.certificate_chain]:
        raise SelfCheckFailed("the finished signature names another certificate chain")
    encoded = header.get("b64", True)
    contents = document.role_of(Role.CONTENT)
    data = header.get("sigD")
    if data is None:
        if not jws.payload or (
            contents and jws.payload.encode() != _as_payload(contents[0], encoded=encoded)
        ):
            raise SelfCheckFailed("the finished signature holds another payload than the content")
    elif jws.payload is not None or not _describes(data, contents, algorithm.digest, encoded=encoded):
        raise SelfCheckFailed("the finished signature is over other contents")
    try:
        value = as_der(key, ours.value())
    except ValueError as error:
        raise SelfCheckFailed("the signature value has not the length of the key's curve") from error
    verify_value(key, algorithm, ours.signed_text(jws.payload), value)


def _describes(
    data: dict[str, Any], contents: tuple[Document, ...], algorithm: DigestAlgorithm, *, encoded: bool
) -> bool:
    """Say whether a finished `sigD` names exactly these contents with their digests."""
    named = dict(zip(data["pars"], data["hashV"], strict=True))
    found = {
        content.name: to_base64url(content_digest(content, algorithm, encoded=encoded))
        for content in contents
    }
    return data["mId"] == BY_URI_HASH and data["hashM"] == HASH_NAMES[algorithm] and named == found


def _container(document: Document, parameters: SignatureParameters) -> Jws:
    """Give the file that the signature goes into, without it: a new one, or the one that was sent."""
    envelope = parameters.envelope
    if document.role_of(Role.IMAGE):
        raise FieldInvalid("a JSON signature has no image", field="part")
    contents, existing = document.role_of(Role.CONTENT), document.role_of(Role.SIGNATURE)
    if existing:
        return _existing(existing, contents, parameters)
    serialization: Serialization = envelope.json_serialization or (
        "COMPACT" if envelope.level is Level.B_B else "FLATTENED"
    )
    if envelope.packaging == "DETACHED":
        return Jws(None, [], serialization)
    return Jws(_attached(contents), [], serialization)


def _attached(contents: tuple[Document, ...]) -> str:
    if len(contents) != 1:
        raise FieldInvalid(
            f"an enveloping JSON signature holds one content, got {len(contents)}: take the packaging detached",
            field="packaging",
        )
    content = contents[0]
    if content.known_digest is not None:
        raise FieldInvalid(
            "an enveloping JSON signature holds the content itself: take the packaging detached",
            field="content_digest",
        )
    if content.size > MAX_PAYLOAD_BYTES:
        raise BodyTooLarge(
            f"an enveloping JSON signature holds at most {MAX_PAYLOAD_BYTES} bytes, the content has "
            f"{content.size}: take the packaging detached",
            limit=MAX_PAYLOAD_BYTES,
        )
    if not content.size:
        # RFC 7515 appendix F: no reader could tell an empty payload from a detached one.
        raise FieldInvalid("an empty content cannot be enveloped", field="document")
    return _as_payload(content, encoded=True).decode("ascii")


def _existing(
    files: tuple[Document, ...], contents: tuple[Document, ...], parameters: SignatureParameters
) -> Jws:
    if len(files) > 1:
        raise FieldInvalid("send one JSON signature to add to", field="part")
    if parameters.envelope.json_serialization not in {"", "GENERAL"}:
        raise FieldInvalid("several signatures need the general serialisation", field="json_serialization")
    jws = parse_jws(files[0].read())
    if len(jws.signatures) >= MAX_SIGNATURES:
        raise FieldInvalid(f"a JSON signature takes at most {MAX_SIGNATURES} signatures", field="part")
    jws.serialization = "GENERAL"
    detached = jws.payload is None
    if detached != (parameters.envelope.packaging == "DETACHED"):
        raise FieldInvalid(
            f"the signatures that are there are {'detached' if detached else 'enveloping'}: take the same packaging",
            field="packaging",
        )
    if not detached and contents:
        expected = _as_payload(contents[0], encoded=_encoded(jws))
        if len(contents) > 1 or (jws.payload or "").encode() != expected:
            raise FieldInvalid(
                "the content is not the payload of the signatures that are there", field="document"
            )
    return jws


def _members(document: Document, jws: Jws, parameters: SignatureParameters) -> dict[str, object]:
    """Return what the header says of the content."""
    contents = document.role_of(Role.CONTENT)
    # RFC 7797 section 6: all signatures of one file have the same b64.
    encoded = _encoded(jws) if jws.signatures else jws.payload is not None
    critical = [] if encoded else ["b64"]
    more: dict[str, object] = {}
    if jws.payload is None:
        if not contents:
            raise FieldInvalid("a detached JSON signature needs its contents", field="document")
        more["sigD"] = signed_data(contents, parameters.algorithm.digest, encoded=encoded)
        critical.insert(0, "sigD")
    elif contents and contents[0].media_type:
        more["cty"] = content_type(contents[0].media_type)
    if not encoded:
        more["b64"] = False
    if critical:
        more["crit"] = critical
    return more


def _encoded(jws: Jws) -> bool:
    return jws.signatures[0].protected_header().get("b64", True) is not False


def _as_payload(content: Document, *, encoded: bool) -> bytes:
    data = content.read()
    return to_base64url(data).encode("ascii") if encoded else data
