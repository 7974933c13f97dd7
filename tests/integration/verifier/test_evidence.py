"""Evidence from hosts outside, over real HTTP: what is asked in which order, what is kept, and what is said to be missing."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, pkcs7

from services.kernel.errors import FieldInvalid
from services.verifier.evidence.collector import sentence
from services.verifier.ports import TrustMaterial
from tests.support.evidence_world import CA, ROOT, World, running
from tests.support.outside_authority import (
    VALID,
    addresses,
    asked_for,
    authority,
    crl,
    der,
    leaf,
    ocsp_answer,
    responder,
)
from tests.support.outside_server import OutsideServer, Received, hanging_up, outside_server, stalling
from tests.unit.verifier.authority import Authority, subject


@pytest.fixture
async def server() -> AsyncIterator[OutsideServer]:
    """A host outside."""
    async with outside_server() as server:
        yield server


@pytest.fixture
async def world(server: OutsideServer) -> AsyncIterator[World]:
    """A collector with usual settings."""
    async with running(server) as world:
        yield world


def answering(
    by: Authority, issued: Sequence[x509.Certificate], **options: Any
) -> Callable[[Received], bytes]:
    """Be an OCSP responder with the CA's own key for these certificates."""
    known = {certificate.serial_number: certificate for certificate in issued}

    def answer(request: Received) -> bytes:
        return ocsp_answer(known[asked_for(request.body).serial_number], by.certificate, by.key, **options)

    return answer


def named(name: str) -> x509.Name:
    """Name a CA as `authority` does."""
    return subject(common_name=name, organization_name="Kyso test")


async def test_the_registrys_own_lists_are_taken_without_asking_anybody(world: World) -> None:
    world.trust = TrustMaterial((ROOT.der,), (CA.der,), (crl(ROOT), crl(CA)))
    url = world.server.answer("/unused", b"never")
    certificate = leaf(CA, ocsp_urls=[url], crls=[url], issuers=[url])
    found = await world.collect(certificate)
    assert found.missing == []
    assert [one.der for one in found.certificates] == [der(certificate), CA.der, ROOT.der]
    assert set(found.crls) == set(world.trust.crls)
    assert not found.ocsp_responses
    assert world.server.received == []


async def test_ocsp_is_asked_first_and_the_list_not_at_all(world: World) -> None:
    lists = world.server.answer("/ca.crl", crl(CA))
    certificate = leaf(CA, ocsp_urls=[world.server.url("/ocsp")], crls=[lists])
    world.server.compute("/ocsp", answering(CA, [certificate]))
    found = await world.collect(certificate)
    assert found.missing == []
    assert len(found.ocsp_responses) == 1
    assert set(found.crls) == set(world.trust.crls)
    (request,) = world.server.received
    assert request.headers["content-type"] == "application/ocsp-request"
    assert "nonce" not in str(asked_for(request.body).extensions).lower()


@pytest.mark.parametrize(
    "answer", [b"\x30\x03\x0a\x01\x06", b"<html>", b""], ids=["refused", "html", "empty"]
)
async def test_where_ocsp_gives_nothing_the_list_is_fetched(world: World, answer: bytes) -> None:
    first, lists = world.server.answer("/ocsp", answer), world.server.answer("/ca.crl", crl(CA))
    found = await world.collect(leaf(CA, ocsp_urls=[first], crls=[lists]))
    assert found.missing == []
    assert not found.ocsp_responses
    assert len(found.crls) == 2


async def test_a_delegated_responder_comes_along_with_its_chain(world: World) -> None:
    delegated = responder(CA)
    certificate = leaf(CA, ocsp_urls=[world.server.url("/ocsp")])
    world.server.answer(
        "/ocsp", ocsp_answer(certificate, CA.certificate, delegated.key, delegated.certificate)
    )
    found = await world.collect(certificate)
    assert found.missing == []
    assert der(delegated.certificate) in {one.der for one in found.certificates}


async def test_a_responder_whose_status_must_be_asked_for_is_not_asked_about_itself(world: World) -> None:
    ocsp_url, lists = world.server.url("/ocsp"), world.server.url("/ca.crl")
    delegated = responder(CA, checked=True, more=addresses(ocsp_urls=[ocsp_url], crls=[lists]))
    certificate = leaf(CA, ocsp_urls=[ocsp_url])
    world.server.answer(
        "/ocsp", ocsp_answer(certificate, CA.certificate, delegated.key, delegated.certificate)
    )
    ((reason, detail),) = await world.missing(certificate)
    assert reason == "BAD_ANSWER"
    assert "404" in detail
    world.now += 60
    world.server.answer("/ca.crl", crl(CA))
    assert (await world.collect(certificate)).missing == []
    assert world.server.count("/ocsp") == 1


@pytest.mark.parametrize("bundled", [False, True], ids=["certificate", "cms"])
async def test_issuers_are_fetched_up_to_the_root(world: World, *, bundled: bool) -> None:
    world.trust = TrustMaterial((ROOT.der,), (), (crl(ROOT),))
    middle = Authority("Middle CA", ROOT, **VALID)
    data = (
        pkcs7.serialize_certificates([CA.certificate, middle.certificate], Encoding.DER)
        if bundled
        else middle.der
    )
    issuer, lists = world.server.answer("/middle.cer", data), world.server.answer("/m.crl", crl(middle))
    found = await world.collect(leaf(middle, issuers=[issuer], crls=[lists]))
    assert found.missing == []
    assert {middle.der, ROOT.der} <= {one.der for one in found.certificates}
    assert len(found.crls) == 2


async def test_an_issuer_among_the_given_ones_is_not_fetched(world: World) -> None:
    world.trust = TrustMaterial((ROOT.der,), (), (crl(ROOT),))
    url, lists = world.server.answer("/ca.cer", CA.der), world.server.answer("/ca.crl", crl(CA))
    found = await world.collect(leaf(CA, issuers=[url], crls=[lists]), CA.certificate)
    assert found.missing == []
    assert world.server.count("/ca.cer") == 0


async def test_a_root_that_nobody_trusts_ends_a_chain_too(world: World) -> None:
    foreign = authority("Foreign Root")
    lists = world.server.answer("/f.crl", crl(foreign))
    found = await world.collect(leaf(foreign, crls=[lists]), foreign.certificate)
    assert found.missing == []
    assert len(found.crls) == 1


async def test_what_has_no_issuer_or_no_source_is_named_so(world: World) -> None:
    stranger = leaf(authority("Stranger"))
    ((reason, detail),) = await world.missing(stranger)
    assert (reason, "names no address" in detail) == ("ISSUER_UNKNOWN", True)
    ((reason, _),) = await world.missing(leaf(CA))
    assert reason == "NO_SOURCE"
    found = await world.collect(stranger)
    assert sentence(found.missing[0]).startswith(f"certificate {stranger.serial_number:x} of Stranger: ")
    assert world.sample("kyso_verifier_evidence_missing_total", {"reason": "ISSUER_UNKNOWN"}) == 2


async def test_an_issuers_address_that_gives_another_ca_does_not_help(world: World) -> None:
    url = world.server.answer("/ca.cer", authority("Hidden").der)
    ((reason, detail),) = await world.missing(leaf(authority("Hidden"), issuers=[url]))
    assert (reason, "did not issue it" in detail) == ("ISSUER_UNKNOWN", True)


async def test_an_end_certificate_issues_nothing(world: World) -> None:
    signer = CA.signer(named("Not a CA"), **VALID)
    below = Authority("Not a CA", CA, usage=("digital_signature",), **VALID)
    for issuer in (signer.certificate, below.certificate):
        certificate = leaf(below)
        ((reason, _), *_) = [
            (one.reason, one.detail)
            for one in (await world.collect(certificate, issuer)).missing
            if one.certificate.der == der(certificate)
        ]
        assert reason == "ISSUER_UNKNOWN"


async def test_every_reason_that_a_source_can_give(world: World, server: OutsideServer) -> None:
    server.handlers["/down"] = hanging_up
    server.answer("/big", b"\x30" * 70_000)
    server.answer("/forged", crl(authority("Outside CA")))
    server.answer("/stale", crl(CA, hours=-0.5))
    cases = {
        "NOT_ALLOWED": leaf(CA, crls=["http://crl.example.vn/ca.crl"]),
        "UNREACHABLE": leaf(CA, crls=[server.url("/down")]),
        "TOO_LARGE": leaf(CA, ocsp_urls=[server.url("/big")]),
        "BAD_ANSWER": leaf(CA, crls=[server.url("/forged")]),
    }
    for reason, certificate in cases.items():
        assert [found for found, _ in await world.missing(certificate)] == [reason]
    ((reason, detail),) = await world.missing(leaf(CA, crls=[server.url("/stale")]))
    assert (reason, "is for" in detail) == ("BAD_ANSWER", True)
    # Several sources: all are named, the one that says most gives the reason.
    several = leaf(CA, ocsp_urls=["http://ocsp.example.vn/"], crls=[server.url("/forged")])
    ((reason, detail),) = await world.missing(several)
    assert reason == "BAD_ANSWER"
    assert "ocsp.example.vn" in detail


async def test_a_stale_list_of_the_registry_is_told(world: World) -> None:
    world.trust = TrustMaterial((ROOT.der,), (CA.der,), (crl(ROOT), crl(CA, hours=-0.5)))
    ((reason, detail),) = await world.missing(leaf(CA))
    assert (reason, detail.startswith("the registry's own")) == ("BAD_ANSWER", True)


async def test_where_something_is_missing_the_registry_is_asked_for_news(world: World) -> None:
    url = world.server.answer("/unused", b"never")
    world.trust = TrustMaterial((authority("Older Root").der,), (), ())
    world.news = TrustMaterial((ROOT.der,), (CA.der,), (crl(ROOT), crl(CA)))
    assert (await world.collect(leaf(CA, crls=[url]))).missing == []
    assert world.server.received == []


async def test_other_addresses_are_not_asked(world: World) -> None:
    points = x509.CRLDistributionPoints(
        [
            x509.DistributionPoint(
                [x509.UniformResourceIdentifier("ldap://x/cn=a"), x509.DNSName("a")], None, None, None
            ),
            x509.DistributionPoint(
                [x509.UniformResourceIdentifier(world.server.url("/indirect"))],
                None,
                None,
                [x509.DirectoryName(CA.name)],
            ),
        ]
    )
    certificate = CA.signer(more=[(points, False)], **VALID).certificate
    assert [reason for reason, _ in await world.missing(certificate)] == ["NO_SOURCE"]
    assert world.server.received == []


async def test_what_was_fetched_is_kept_until_its_next_update_and_fetched_once_for_many(world: World) -> None:
    lists = world.server.answer("/ca.crl", crl(CA, hours=0.5))
    several = [leaf(CA, crls=[lists]) for _ in range(20)]
    answers = await asyncio.gather(*(world.collect(one) for one in several))
    assert all(not found.missing for found in answers)
    assert world.server.count("/ca.crl") == 1
    assert (world.sample("kyso_verifier_egress_cache_hits_total", {"kind": "crl"}) or 0) == 19
    assert (world.sample("kyso_verifier_egress_cache_bytes") or 0) > 0
    world.now += 1795
    await world.collect(several[0])
    assert world.server.count("/ca.crl") == 1
    world.now += 10
    await world.collect(several[0])
    assert world.server.count("/ca.crl") == 2


async def test_a_kept_list_is_still_looked_at_for_each_certificate(world: World) -> None:
    only_users = x509.IssuingDistributionPoint(
        full_name=None, relative_name=None, only_contains_user_certs=True, only_contains_ca_certs=False,
        only_some_reasons=None, indirect_crl=False, only_contains_attribute_certs=False,
    )  # fmt: skip
    lists = world.server.answer("/ca.crl", crl(CA, extensions=[(only_users, True)]))
    assert (await world.collect(leaf(CA, crls=[lists]))).missing == []
    assert [reason for reason, _ in await world.missing(sub_authority(lists))] == ["BAD_ANSWER"]
    assert world.server.count("/ca.crl") == 1


def sub_authority(lists: str) -> x509.Certificate:
    """Issue a CA certificate that names a CRL."""
    extensions = [(x509.BasicConstraints(ca=True, path_length=None), True), *addresses(crls=[lists])]
    return CA.issue(named("Sub CA"), authority("Sub CA").key.public_key(), extensions=extensions, **VALID)


async def test_a_failure_is_not_kept_for_longer_than_seconds(world: World) -> None:
    world.server.answer("/ca.crl", b"broken")
    certificate = leaf(CA, crls=[world.server.url("/ca.crl")])
    for _ in range(3):
        assert [reason for reason, _ in await world.missing(certificate)] == ["BAD_ANSWER"]
    assert world.server.count("/ca.crl") == 1
    world.server.answer("/ca.crl", crl(CA))
    world.now += 3
    assert (await world.collect(certificate)).missing == []


async def test_an_ocsp_response_without_next_update_is_not_kept(world: World) -> None:
    certificate = leaf(CA, ocsp_urls=[world.server.url("/ocsp")])
    world.server.compute("/ocsp", answering(CA, [certificate], next_update=None))
    for _ in range(2):
        assert (await world.collect(certificate)).missing == []
    assert world.server.count("/ocsp") == 2


async def test_the_time_for_all_of_it_is_limited(server: OutsideServer) -> None:
    server.handlers["/silent"] = stalling
    async with running(server, total_seconds=0.2) as world:
        ((reason, detail),) = await world.missing(leaf(CA, crls=[server.url("/silent")]))
    assert (reason, "not there within" in detail) == ("UNREACHABLE", True)


async def test_evidence_has_a_largest_size(server: OutsideServer) -> None:
    big = x509.UnrecognizedExtension(x509.ObjectIdentifier("1.2.3.4"), bytes(700_000))
    pair = [authority(f"CA {number}", ROOT) for number in range(2)]
    given = []
    for number, each in enumerate(pair):
        url = server.answer(f"/{number}.crl", crl(each, extensions=[(big, False)]))
        given.append(leaf(each, crls=[url]))
    async with running(server, max_answer_bytes=1 << 20) as world:
        world.trust = TrustMaterial((ROOT.der,), tuple(one.der for one in pair), (crl(ROOT),))
        found = await world.collect(*given)
    assert [one.reason for one in found.missing] == ["TOO_LARGE"]
    assert 700_000 < found.size < 1 << 20


@pytest.mark.parametrize(
    ("given", "why"),
    [
        pytest.param([], "1 to 64", id="none"),
        pytest.param([der(leaf(CA))] * 65, "1 to 64", id="too many"),
        pytest.param([b""], "1 to 65536 bytes", id="empty"),
        pytest.param([bytes(65537)], "1 to 65536 bytes", id="too large"),
        pytest.param([der(leaf(CA)), b"\x30\x00"], "certificate 1 cannot be read", id="no certificate"),
    ],
)
async def test_a_question_that_is_none_is_refused(world: World, given: list[bytes], why: str) -> None:
    with pytest.raises(FieldInvalid, match=why):
        await world.collector.collect(given)


async def test_a_chain_of_authorities_without_end_ends(world: World) -> None:
    keys: list[Authority] = [authority("Level 0")]
    world.trust = TrustMaterial((ROOT.der,), (), ())
    for number in range(1, 8):
        above = keys[-1]
        url = world.server.answer(f"/{number}.cer", above.der)
        extensions = [(x509.BasicConstraints(ca=True, path_length=None), True), *addresses(issuers=[url])]
        keys.append(Authority(f"Level {number}", above, extensions=extensions, **VALID))
    found = await world.collect(keys[-1].certificate)
    assert len(found.certificates) == 8
    assert {one.reason for one in found.missing} == {"NO_SOURCE"}
