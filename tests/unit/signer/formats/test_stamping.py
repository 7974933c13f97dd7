"""The time-stamp authority and the evidence that the tests of formats use: judged by openssl before anything relies on them."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

import pytest
from asn1crypto import cms as reader
from asn1crypto import tsp
from cryptography.hazmat.primitives.serialization import Encoding

from services.kernel.values import DigestAlgorithm
from services.signer.formats import cms
from tests.support import stamping
from tests.support.document_signers import authority, signer

if TYPE_CHECKING:
    from pathlib import Path

SIGNATURE_TIME_STAMP = "1.2.840.113549.1.9.16.2.14"


@pytest.mark.parametrize("digest", DigestAlgorithm)
def test_openssl_verifies_a_token_and_no_other_imprint(digest: DigestAlgorithm, tmp_path: Path) -> None:
    imprint = stamping.imprint(b"anything", digest)
    token = stamping.token(imprint, digest)
    assert stamping.openssl_ts_verify(tmp_path, token, imprint) == ""
    assert "imprint" in stamping.openssl_ts_verify(tmp_path, token, stamping.imprint(b"other", digest))


def test_tokens_are_read_and_added_to_like_signature_containers(tmp_path: Path) -> None:
    imprint = stamping.imprint(b"anything")
    token = stamping.token(imprint, DigestAlgorithm.SHA256)
    assert cms.embedded_certificates(token) == (stamping.time_stamp_unit().certificate,)
    inner = stamping.token(stamping.imprint(cms.signature_value(token)), DigestAlgorithm.SHA256)
    grown = cms.with_unsigned_attribute(token, SIGNATURE_TIME_STAMP, inner)
    assert stamping.openssl_ts_verify(tmp_path, grown, imprint) == ""
    info = reader.ContentInfo.load(grown, strict=True)["content"]["signer_infos"][0]
    assert info["unsigned_attrs"][0]["values"][0].dump() == inner
    assert isinstance(info["signed_attrs"][2]["values"][0], tsp.SigningCertificateV2)


def test_openssl_finds_the_revocation_values_good(tmp_path: Path) -> None:
    names = {"ca": authority()[1].public_bytes(Encoding.PEM), "crl": stamping.crl()}
    end = signer().chain[0]
    for name, value in {**names, "end": end, "ocsp": stamping.ocsp(end)}.items():
        (tmp_path / name).write_bytes(value)
    crl = ["openssl", "crl", "-inform", "DER", "-in", "crl", "-CAfile", "ca", "-noout"]
    done = subprocess.run(crl, cwd=tmp_path, capture_output=True, text=True, check=True)
    assert "verify OK" in done.stderr
    ocsp = ["openssl", "ocsp", "-respin", "ocsp", "-CAfile", "ca", "-issuer", "ca", "-cert", "end"]
    done = subprocess.run([*ocsp, "-no_nonce"], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert "Response verify OK" in done.stderr
    assert "end: good" in done.stdout
