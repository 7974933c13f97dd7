"""SignHashes end to end: real token, bus and database; the register is the test's."""

from __future__ import annotations

import hashlib
import os

from kyso.v1 import common_pb2, signer_pb2
from services.kernel.values import DigestAlgorithm, KeyAlgorithm, SignatureScheme, SigningAlgorithm
from tests.support.signer_world import SignerWorld
from tests.support.softhsm import verify


def spki_of(world: SignerWorld, credential_id: str) -> bytes:
    from cryptography import x509
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

    chain = world.register.credentials[credential_id].certificate_chain
    public = x509.load_der_x509_certificate(chain[0]).public_key()
    return public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def hashes_request(credential_id: str, count: int = 1, **changes: object) -> signer_pb2.SignHashesRequest:
    fields: dict[str, object] = {
        "credential_id": credential_id,
        "idempotency_key": os.urandom(8).hex(),
        "digest_algorithm": common_pb2.DIGEST_ALGORITHM_SHA256,
        "digests": [hashlib.sha256(os.urandom(8)).digest() for _ in range(count)],
        "context": signer_pb2.SigningContext(label=common_pb2.SECRECY_LABEL_NONE, reference="1030/UBND-VX"),
    }
    return signer_pb2.SignHashesRequest(**(fields | changes))  # type: ignore[arg-type]


async def test_a_batch_is_signed_in_order_and_recorded(world: SignerWorld) -> None:
    credential_id = await world.credential(KeyAlgorithm.ECDSA_P256)
    request = hashes_request(credential_id, 7)
    answer = await world.sign(request)
    algorithm = SigningAlgorithm(SignatureScheme.ECDSA, DigestAlgorithm.SHA256)
    for digest, outcome in zip(request.digests, answer.outcomes, strict=True):
        verify(spki_of(world, credential_id), algorithm, digest, outcome.signature)
    assert list(answer.certificate_chain) == list(world.register.credentials[credential_id].certificate_chain)
    (record,) = await world.ledger()
    assert record["outcome"] == "completed"
    assert record["signed_items"] == record["total_items"] == 7
    assert record["operation_id"] == answer.operation_id
    again = await world.sign(request)
    assert again.replayed
    assert again.outcomes == answer.outcomes
    assert again.certificate_chain == answer.certificate_chain
