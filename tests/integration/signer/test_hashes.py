"""SignHashes end to end: real token, bus and database; the register is the test's."""

from __future__ import annotations

from services.kernel.values import DigestAlgorithm, KeyAlgorithm, SignatureScheme, SigningAlgorithm
from tests.integration.signer.requests import hashes_request
from tests.support.signer_world import SignerWorld
from tests.support.softhsm import verify


def spki_of(world: SignerWorld, credential_id: str) -> bytes:
    from cryptography import x509
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

    chain = world.register.credentials[credential_id].certificate_chain
    public = x509.load_der_x509_certificate(chain[0]).public_key()
    return public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


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
