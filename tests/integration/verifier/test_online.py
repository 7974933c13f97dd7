"""Verification that fetches what it lacks, over gRPC and real HTTP: what is asked, what comes of it, and what stays open."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import ocsp

from kyso.v1 import verifier_pb2
from tests.support.outside_authority import addresses, asked_for, crl, ocsp_answer
from tests.support.outside_server import HOST, OutsideServer, Received, outside_server, stalling
from tests.support.pki import MeshCa
from tests.support.verifier_world import FRESH, VALID, Platform, present_hierarchy, running
from tests.unit.verifier.authority import Authority, Hierarchy, Signer

CONTENT = b"Quyet dinh"
HIERARCHY = present_hierarchy()
PASSED = verifier_pb2.INDICATION_TOTAL_PASSED


def issue(by: Authority = HIERARCHY.issuing, chain: Sequence[x509.Certificate] = (), **named: Any) -> Signer:
    """A signer whose certificate names these addresses."""
    return by.signer(more=addresses(**named), chain=chain, **VALID)


@pytest.fixture
async def server() -> AsyncIterator[OutsideServer]:
    """A host outside."""
    async with outside_server() as server:
        yield server


@asynccontextmanager
async def verifier(mesh_ca: MeshCa, server: OutsideServer, **evidence: Any) -> AsyncIterator[Platform]:
    """A verifier that may ask the host, and whose registry has a list of the root only."""
    hosts = [{"name": HOST, "ports": [server.port], "private_address": True}]
    sections = {"egress": {"hosts": hosts, "backoff_seconds": 0.001}, "evidence": evidence}
    async with running(mesh_ca, HIERARCHY, outside=sections) as platform:
        platform.registry.crls = [HIERARCHY.root.crl(**FRESH)]
        yield platform


def answering(signer: Signer, by: Authority, **options: Any) -> Any:
    """An OCSP responder with the CA's own key."""

    def answer(request: Received) -> bytes:
        assert asked_for(request.body).serial_number == signer.certificate.serial_number
        return ocsp_answer(signer.certificate, by.certificate, by.key, **options)

    return answer


def passes(platform: Platform) -> dict[str, float]:
    """Second passes by outcome."""
    name = "kyso_verifier_second_passes_total"
    return {k.removeprefix(name): v for k, v in platform.metrics().items() if k.startswith(name)}


async def test_a_status_that_is_not_at_hand_is_asked_for(mesh_ca: MeshCa, server: OutsideServer) -> None:
    signer = issue(ocsp_urls=[server.url("/ocsp")])
    server.compute("/ocsp", answering(signer, HIERARCHY.issuing))
    async with verifier(mesh_ca, server) as platform:
        answer = await platform.verify(signer.cms(CONTENT))
        (signature,) = answer.signatures
        assert signature.indication == PASSED
        assert answer.clean
        assert signature.status_source.kind == "ocsp"
        assert passes(platform)["{decided}"] == 1
        # The next document finds the answer in memory.
        assert (await platform.verify(signer.cms(CONTENT + b"."))).clean
        assert server.count("/ocsp") == 1


async def test_a_list_is_fetched_where_there_is_no_responder(mesh_ca: MeshCa, server: OutsideServer) -> None:
    signer = issue(crls=[server.answer("/ca.crl", crl(HIERARCHY.issuing))])
    async with verifier(mesh_ca, server) as platform:
        (signature,) = (await platform.verify(signer.cms(CONTENT))).signatures
        assert (signature.indication, signature.status_source.kind) == (PASSED, "crl")


async def test_what_is_fetched_may_say_that_it_is_revoked(mesh_ca: MeshCa, server: OutsideServer) -> None:
    signer = issue(ocsp_urls=[server.url("/ocsp")])
    revoked = {"status": ocsp.OCSPCertStatus.REVOKED}
    server.compute("/ocsp", answering(signer, HIERARCHY.issuing, **revoked))
    async with verifier(mesh_ca, server) as platform:
        (signature,) = (await platform.verify(signer.cms(CONTENT))).signatures
        assert signature.sub_indication == "REVOKED_NO_POE"
        assert "CERT_REVOKED" in {w.code for w in signature.warnings}


async def test_an_issuer_that_nobody_here_knows_comes_by_its_address(
    mesh_ca: MeshCa, server: OutsideServer
) -> None:
    middle = Authority("Middle CA", HIERARCHY.root, **VALID)
    url = server.answer("/middle.cer", middle.certificate.public_bytes(Encoding.DER))
    signer = issue(middle, issuers=[url], crls=[server.answer("/middle.crl", crl(middle))])
    async with verifier(mesh_ca, server) as platform:
        answer = await platform.verify(signer.cms(CONTENT))
        (signature,) = answer.signatures
        assert signature.indication == PASSED
        assert [one.common_name for one in signature.path][1:] == ["Middle CA", "Root CA"]


async def test_what_cannot_be_had_leaves_the_verdict_open_with_the_warning(
    mesh_ca: MeshCa, server: OutsideServer
) -> None:
    elsewhere = f"http://elsewhere.example:{server.port}/ca.crl"
    document = issue(crls=[elsewhere], ocsp_urls=[server.answer("/ocsp", b"<html>")]).cms(CONTENT)
    async with verifier(mesh_ca, server) as platform:
        answer = await platform.verify(document)
        (signature,) = answer.signatures
        assert (signature.indication, signature.sub_indication) == (
            verifier_pb2.INDICATION_INDETERMINATE,
            "TRY_LATER",
        )
        warning = next(w for w in signature.warnings if w.code == "STATUS_NOT_CHECKED")
        assert warning.vi.startswith("Cảnh báo")
        assert not answer.clean
        assert passes(platform) == {"{nothing}": 1}
        assert {one.path for one in server.received} == {"/ocsp"}
        # Integrity alone asks nobody.
        assert (await platform.verify(document, integrity_only=True)).integrity_only
        assert passes(platform) == {"{nothing}": 1}


async def test_a_host_that_stalls_keeps_nobody_waiting_for_long(
    mesh_ca: MeshCa, server: OutsideServer
) -> None:
    server.handlers["/ocsp"] = stalling
    document = issue(ocsp_urls=[server.url("/ocsp")]).cms(CONTENT)
    async with verifier(mesh_ca, server, verify_seconds=0.3) as platform:
        started = time.monotonic()
        (signature,) = (await platform.verify(document)).signatures
        assert signature.sub_indication == "TRY_LATER"
        assert time.monotonic() - started < 20
    async with verifier(mesh_ca, server, verify_seconds=0) as platform:
        (signature,) = (await platform.verify(document)).signatures
        assert signature.sub_indication == "TRY_LATER"
        assert passes(platform) == {}


async def test_an_untrusted_signer_sends_nobody_to_other_hosts(
    mesh_ca: MeshCa, server: OutsideServer
) -> None:
    stranger = Hierarchy(Authority("Stranger", **VALID), Authority("Other", **VALID), HIERARCHY.signer)
    named = [f"http://localhost:{server.port}/{name}" for name in ("ca.cer", "ocsp", "crl")]
    signer = issue(stranger.root, issuers=named[:1], ocsp_urls=named[1:2], crls=named[2:])
    async with verifier(mesh_ca, server) as platform:
        (signature,) = (await platform.verify(signer.cms(CONTENT))).signatures
        assert signature.sub_indication == "NO_CERTIFICATE_CHAIN_FOUND"
        assert server.received == []
