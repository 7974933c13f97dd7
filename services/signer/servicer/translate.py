"""Messages of the contract to values of the domain, and back. What a message says wrongly is refused here."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime

from google.protobuf.timestamp_pb2 import Timestamp

from kyso.v1 import common_pb2, signer_pb2
from services.kernel.errors import AlgorithmUnknown, FieldInvalid
from services.kernel.values import DigestAlgorithm, KeyAlgorithm, SignatureScheme
from services.signer.domain import (
    Declaration,
    HashRequest,
    ItemFailure,
    SecrecyLabel,
    State,
)
from services.signer.ledger import Head, LedgerEntry
from services.signer.ports import Job
from services.signer.service.hashes import HashAnswer
from services.signer.service.requests import accepted_from_json

_DIGESTS: Mapping[int, DigestAlgorithm] = {
    common_pb2.DIGEST_ALGORITHM_SHA256: DigestAlgorithm.SHA256,
    common_pb2.DIGEST_ALGORITHM_SHA384: DigestAlgorithm.SHA384,
    common_pb2.DIGEST_ALGORITHM_SHA512: DigestAlgorithm.SHA512,
}
_KEYS: dict[common_pb2.KeyAlgorithm, KeyAlgorithm] = {
    common_pb2.KEY_ALGORITHM_RSA_2048: KeyAlgorithm.RSA_2048,
    common_pb2.KEY_ALGORITHM_RSA_3072: KeyAlgorithm.RSA_3072,
    common_pb2.KEY_ALGORITHM_RSA_4096: KeyAlgorithm.RSA_4096,
    common_pb2.KEY_ALGORITHM_ECDSA_P256: KeyAlgorithm.ECDSA_P256,
    common_pb2.KEY_ALGORITHM_ECDSA_P384: KeyAlgorithm.ECDSA_P384,
}
_KEY_NUMBERS = {algorithm: number for number, algorithm in _KEYS.items()}
_SCHEMES: dict[common_pb2.SignatureScheme, SignatureScheme] = {
    common_pb2.SIGNATURE_SCHEME_RSA_PKCS1V15: SignatureScheme.RSA_PKCS1V15,
    common_pb2.SIGNATURE_SCHEME_RSA_PSS: SignatureScheme.RSA_PSS,
    common_pb2.SIGNATURE_SCHEME_ECDSA: SignatureScheme.ECDSA,
}
_SCHEME_NUMBERS = {scheme: number for number, scheme in _SCHEMES.items()}
_LABELS = {
    common_pb2.SECRECY_LABEL_UNSPECIFIED: None,
    common_pb2.SECRECY_LABEL_NONE: SecrecyLabel.NONE,
    common_pb2.SECRECY_LABEL_MAT: SecrecyLabel.MAT,
    common_pb2.SECRECY_LABEL_TOI_MAT: SecrecyLabel.TOI_MAT,
    common_pb2.SECRECY_LABEL_TUYET_MAT: SecrecyLabel.TUYET_MAT,
}
_STATES = {
    State.ACCEPTED: signer_pb2.OPERATION_STATE_ACCEPTED,
    State.BEGUN: signer_pb2.OPERATION_STATE_BEGUN,
    State.SIGNED: signer_pb2.OPERATION_STATE_SIGNED,
    State.REFUSED: signer_pb2.OPERATION_STATE_REFUSED,
    State.FAILED: signer_pb2.OPERATION_STATE_FAILED,
    State.OUTCOME_UNKNOWN: signer_pb2.OPERATION_STATE_OUTCOME_UNKNOWN,
}


def digest_algorithm(number: int) -> DigestAlgorithm:
    """Read a digest algorithm; raise AlgorithmUnknown."""
    algorithm = _DIGESTS.get(number)
    if algorithm is None:
        raise AlgorithmUnknown(
            "name the digest algorithm: SHA-256, SHA-384 or SHA-512", field="digest_algorithm"
        )
    return algorithm


def key_algorithm(number: common_pb2.KeyAlgorithm) -> KeyAlgorithm:
    """Read a key type; raise AlgorithmUnknown."""
    algorithm = _KEYS.get(number)
    if algorithm is None:
        raise AlgorithmUnknown(
            "name the key type: RSA-2048, -3072, -4096, ECDSA-P256 or -P384", field="algorithm"
        )
    return algorithm


def key_algorithm_number(algorithm: KeyAlgorithm) -> common_pb2.KeyAlgorithm:
    """Write a key type."""
    return _KEY_NUMBERS[algorithm]


def scheme(number: common_pb2.SignatureScheme) -> SignatureScheme | None:
    """Read a signature scheme, None for the key's usual one; raise AlgorithmUnknown."""
    if number == common_pb2.SIGNATURE_SCHEME_UNSPECIFIED:
        return None
    known = _SCHEMES.get(number)
    if known is None:
        raise AlgorithmUnknown("the signature scheme is not one that Kyso uses", field="scheme")
    return known


def declaration(context: signer_pb2.SigningContext) -> Declaration:
    """Read what the caller declares."""
    if context.label not in _LABELS:
        raise FieldInvalid("the secrecy label is not one that this contract knows", field="context.label")
    return Declaration(context.document_type, _LABELS[context.label], context.reference)


def hash_request(message: signer_pb2.SignHashesRequest) -> HashRequest:
    """Read a request to sign digests."""
    return HashRequest(
        credential_id=message.credential_id,
        idempotency_key=message.idempotency_key,
        digest_algorithm=digest_algorithm(message.digest_algorithm),
        scheme=scheme(message.scheme),
        digests=tuple(message.digests),
        declaration=declaration(message.context),
    )


def hash_response(answer: HashAnswer) -> signer_pb2.SignHashesResponse:
    """Write the answer to a request to sign digests."""
    return signer_pb2.SignHashesResponse(
        operation_id=answer.operation_id,
        outcomes=[
            signer_pb2.HashOutcome(signature=outcome)
            if isinstance(outcome, bytes)
            else signer_pb2.HashOutcome(error=item_error(outcome))
            for outcome in answer.outcomes
        ],
        scheme=_SCHEME_NUMBERS[answer.scheme],
        certificate_chain=answer.certificate_chain,
        replayed=answer.replayed,
    )


def item_error(failure: ItemFailure) -> common_pb2.ItemError:
    """Write why an item has no signature."""
    return common_pb2.ItemError(code=failure.code, message=failure.message, retryable=failure.retryable)


def state(value: State) -> signer_pb2.OperationState:
    """Write where an operation stands."""
    return _STATES[value]


def fill_job(answer: signer_pb2.GetOperationResponse, job: Job) -> None:
    """Add what is known of an asynchronous operation's document."""
    answer.file_name = job.file_name
    if job.result_blob is not None:
        answer.document_available = True
        answer.document_expires_at.CopyFrom(timestamp(job.expires_at))
        answer.media_type = accepted_from_json(job.request).request.envelope.media_type


def timestamp(time: datetime) -> Timestamp:
    """Write a time."""
    stamp = Timestamp()
    stamp.FromDatetime(time.astimezone(UTC).replace(tzinfo=None))
    return stamp


def ledger_entry(entry: LedgerEntry) -> signer_pb2.LedgerEntry:
    """Write a ledger entry."""
    return signer_pb2.LedgerEntry(
        ledger=entry.ledger,
        sequence=entry.sequence,
        hash=entry.hash,
        previous_hash=entry.previous_hash,
        data=entry.data,
        event_id=entry.event_id,
    )


def ledger_head(head: Head) -> signer_pb2.LedgerHead:
    """Write the head of a ledger."""
    return signer_pb2.LedgerHead(ledger=head.ledger, sequence=head.sequence, hash=head.hash)
