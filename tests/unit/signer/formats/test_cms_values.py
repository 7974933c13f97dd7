"""CMS signature values of others: what OpenSSL signs verifies, and nothing is added to what does not."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

import pytest
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
)

from services.kernel.errors import DocumentDamaged
from services.kernel.values import DigestAlgorithm, KeyAlgorithm, SignatureScheme, SigningAlgorithm
from services.signer.formats import cms_values
from services.signer.formats.cades import CadesBaseline
from services.signer.formats.cms_container import SignedData, SignerInfo
from services.signer.formats.format import Document, Role, Signed
from services.signer.formats.parameters import Level
from tests.support.document_signers import ALGORITHMS, signed, signer

if TYPE_CHECKING:
    from pathlib import Path

CONTENT = "Công văn số 16/2026\n".encode()
FORM = CadesBaseline()
PSS = ["-keyopt", "rsa_padding_mode:pss"]
FOREIGN: dict[str, tuple[KeyAlgorithm, list[str]]] = {
    "RSA": (KeyAlgorithm.RSA_2048, []),
    "RSA with SHA-1": (KeyAlgorithm.RSA_2048, ["-md", "sha1"]),
    "PSS": (KeyAlgorithm.RSA_2048, PSS),
    "PSS with another mask": (KeyAlgorithm.RSA_2048, [*PSS, "-keyopt", "rsa_mgf1_md:sha1"]),
    "PSS with another salt": (KeyAlgorithm.RSA_2048, [*PSS, "-keyopt", "rsa_pss_saltlen:20"]),
    "ECDSA": (KeyAlgorithm.ECDSA_P256, ["-md", "sha512"]),
    "without signed attributes": (KeyAlgorithm.ECDSA_P256, ["-noattr"]),
    "by key identifier": (KeyAlgorithm.RSA_2048, ["-keyid"]),
}


def foreign(folder: Path, name: str) -> bytes:
    """Sign with OpenSSL, the content inside."""
    key, options = FOREIGN[name]
    who = signer(key)
    private = who.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    (folder / "key.pem").write_bytes(private)
    (folder / "signer.der").write_bytes(who.chain[0])
    (folder / "content").write_bytes(CONTENT)
    command = ["openssl", "cms", "-sign", "-binary", "-nodetach", "-in", "content", "-signer", "signer.der"]
    command += ["-inkey", "key.pem", "-outform", "DER", "-out", "made.p7m", *options]
    subprocess.run(command, cwd=folder, check=True, capture_output=True)
    return (folder / "made.p7m").read_bytes()


def check(container: bytes) -> None:
    data = SignedData.read(container)
    assert data.signers
    for info in data.signers:
        cms_values.require_valid(data, SignerInfo.read(info))


def broken(container: bytes) -> bytes:
    """Change the signature value, the last octets where nothing unsigned follows."""
    return container[:-1] + bytes((container[-1] ^ 1,))


@pytest.mark.parametrize("name", FOREIGN)
def test_what_openssl_signs_verifies_and_does_not_when_it_was_changed(tmp_path: Path, name: str) -> None:
    container = foreign(tmp_path, name)
    check(container)
    with pytest.raises(DocumentDamaged, match="does not verify"):
        check(broken(container))
    with pytest.raises(DocumentDamaged, match="does not verify"):
        check(container.replace(CONTENT, CONTENT.swapcase()))


@pytest.mark.parametrize(("key", "algorithm"), ALGORITHMS, ids=lambda value: value.label)
def test_every_algorithm_of_our_own_verifies(key: KeyAlgorithm, algorithm: SigningAlgorithm) -> None:
    who = signer(key)
    container = signed(FORM, CONTENT, who, who.parameters(algorithm, "CADES"))
    check(container)
    with pytest.raises(DocumentDamaged, match="not by the key"):
        check(broken(container))


@pytest.mark.parametrize("level", [Level.B_T, Level.B_LT, Level.B_LTA])
def test_no_level_is_had_for_a_value_that_does_not_verify(level: Level) -> None:
    who = signer()
    container = broken(signed(FORM, CONTENT, who, who.parameters(form="CADES")))
    with pytest.raises(DocumentDamaged, match="not by the key") as caught:
        FORM.next_need(Signed(Document.of(container)), level, DigestAlgorithm.SHA256)
    assert caught.value.data["reason"] == "signature"


def test_no_signature_stands_beside_one_that_does_not_verify() -> None:
    who = signer()
    container = broken(signed(FORM, CONTENT, who, who.parameters(form="CADES", packaging="ENVELOPING")))
    sent = Document(Document.of(container).stream, len(container), role=Role.SIGNATURE)
    with pytest.raises(DocumentDamaged, match="not by the key"):
        FORM.prepare(sent, who.parameters(form="CADES", cms_relation="PARALLEL"))


def test_a_container_without_its_certificate_passes() -> None:
    who = signer(KeyAlgorithm.ECDSA_P256)
    ecdsa = SigningAlgorithm(SignatureScheme.ECDSA, DigestAlgorithm.SHA256)
    data = SignedData.read(broken(signed(FORM, CONTENT, who, who.parameters(ecdsa, "CADES"))))
    bare = SignedData(data.digest_algorithms, data.content_info, (), (), data.signers)
    check(bare.encode())
