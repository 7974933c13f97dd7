"""The outside road: a certificate is taken for its key, its subscriber, and a CA that the operator trusts."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.x509.oid import NameOID

from kyso.v1 import common_pb2, registry_pb2, registry_pb2_grpc
from services.kernel.errors import Conflict, DomainError, FieldInvalid
from services.kernel.runtime.config import ConfigError
from services.registry import anchors
from tests.integration.registry.conftest import Client, Registry, Stand
from tests.support.outside_ca import OutsideCa, der

OUTSIDE: dict[str, Any] = {"issuer": registry_pb2.ISSUER_KIND_OUTSIDE_CA}


@dataclass
class Site:
    """A registry whose operator trusts one outside root."""

    registry: Registry
    operator: Client
    outside: OutsideCa

    async def credential(self, key: str) -> tuple[Any, bytes]:
        """Make a credential; return it and its certification request."""
        subscriber = await self.operator.organization(await self.operator.agency())
        credential = await self.operator.credential(subscriber, key, **OUTSIDE)
        assert credential.status == common_pb2.CREDENTIAL_STATUS_PENDING
        answer = await self.operator("GetCertificationRequest", credential_id=credential.id)
        return credential, answer.certification_request

    async def bring(self, credential: Any, chain: list[bytes]) -> Any:
        """Import a chain."""
        return await self.operator("ImportCertificate", credential_id=credential.id, certificate_chain=chain)

    async def trust(self) -> Any:
        """Return what verifiers are told."""
        pki = self.registry.stub(registry_pb2_grpc.PkiServiceStub, "verifier")
        return await pki.GetTrust(registry_pb2.GetTrustRequest())


@pytest.fixture
async def site(stand: Stand) -> AsyncIterator[Site]:
    outside = OutsideCa()
    settings = stand.settings(ca={"outside_anchor_files": (outside.write_root(stand.folder / "anchor.pem"),)})
    async with stand.signer.serving(stand.mesh, stand.signer_port), stand.running(settings) as registry:
        await registry.ready()
        yield Site(registry, await registry.client(), outside)


async def test_a_certificate_of_a_trusted_ca_is_taken_and_its_chain_is_nobody_elses(site: Site) -> None:
    before = await site.trust()
    assert [anchor.scope for anchor in before.anchors] == ["own", "outside"]
    assert before.anchors[1].certificate == der(site.outside.root)
    credential, request = await site.credential("outside-1")
    chain = [*site.outside.chain(request), der(site.outside.root)]
    taken = await site.bring(credential, chain)
    assert taken.status == common_pb2.CREDENTIAL_STATUS_ACTIVE
    assert list(taken.certificate_chain) == chain[:2]
    assert taken.version > credential.version
    # The root may be left out; a CA that no setting names must come along each time.
    renewed = await site.bring(credential, site.outside.chain(request))
    assert list(renewed.certificate_chain)[1:] == chain[1:2]
    with pytest.raises(FieldInvalid, match="trusted here"):
        await site.bring(credential, site.outside.chain(request)[:1])
    assert (await site.trust()).intermediates == before.intermediates
    answer = await site.operator(
        "RevokeCredential", credential_id=credential.id, ground=1, request_reference="x"
    )
    assert answer.crl_number == 0


async def test_an_intermediate_that_the_settings_name_need_not_be_sent(stand: Stand) -> None:
    outside = OutsideCa()
    below = stand.folder / "below.pem"
    below.write_bytes(outside.certificate.public_bytes(serialization.Encoding.PEM))
    files = {
        "outside_anchor_files": (outside.write_root(stand.folder / "anchor.pem"),),
        "outside_intermediate_files": (below,),
    }
    async with (
        stand.signer.serving(stand.mesh, stand.signer_port),
        stand.running(stand.settings(ca=files)) as run,
    ):
        await run.ready()
        site = Site(run, await run.client(), outside)
        assert der(outside.certificate) in (await site.trust()).intermediates
        credential, request = await site.credential("alone-1")
        chain = outside.chain(request)
        taken = await site.bring(credential, chain[:1])
        assert list(taken.certificate_chain) == chain


async def test_what_our_own_root_has_certified_is_taken(site: Site, stand: Stand) -> None:
    own_root = x509.load_der_x509_certificate((await site.trust()).anchors[0].certificate)
    root_key = stand.signer.authorities["root"]
    partner = site.outside.authority("Partner CA", (root_key, own_root))  # type: ignore[arg-type]
    credential, request = await site.credential("partner-1")
    leaf = site.outside.issue(request, by=partner)
    taken = await site.bring(credential, [leaf, der(partner[1])])
    assert taken.status == common_pb2.CREDENTIAL_STATUS_ACTIVE


async def test_a_certificate_that_does_not_fit_is_refused(site: Site) -> None:
    outside, stranger = site.outside, OutsideCa("Stranger")
    credential, request = await site.credential("outside-2")
    _, other_request = await site.credential("outside-3")
    good = outside.chain(request)
    over = outside.authority("Over CA", outside.root_pair, ends=timedelta(days=-1))
    no_ca = outside.authority("No CA", outside.root_pair, ca=False)
    narrow = outside.authority("Narrow CA", outside.root_pair, path_length=0)
    below_narrow = outside.authority("Below CA", narrow)
    chains: list[list[bytes]] = [
        [],
        [b"not a certificate"],
        [b"x" * 70_000],
        good[:1],
        [good[0], der(stranger.certificate)],
        outside.chain(other_request),
        [good[1]],
        [*good, *([good[1]] * 8)],
        # A whole chain, sound in itself, to a root that nobody here trusts.
        [*stranger.chain(request), der(stranger.root)],
        [outside.issue(request, by=over), der(over[1])],
        [outside.issue(request, by=no_ca), der(no_ca[1])],
        [outside.issue(request, by=below_narrow), der(below_narrow[1]), der(narrow[1])],
    ]
    for chain in chains:
        with pytest.raises(FieldInvalid):
            await site.bring(credential, chain)
    still = await site.operator("GetCredential", id=credential.id)
    assert still.status == common_pb2.CREDENTIAL_STATUS_PENDING
    await site.bring(credential, good)
    with pytest.raises(Conflict):
        await site.bring(credential, good)
    own = await site.operator.made_credential("outside-4")
    for method in ("GetCertificationRequest", "ImportCertificate"):
        with pytest.raises(DomainError):
            await site.operator(method, credential_id=own.id)


def named(*identifiers: str, oid: x509.ObjectIdentifier = NameOID.USER_ID) -> x509.Name:
    return x509.Name(
        [
            x509.NameAttribute(NameOID.COMMON_NAME, "Sở Nội vụ"),
            *(x509.NameAttribute(oid, identifier) for identifier in identifiers),
        ]
    )


async def test_a_certificate_of_somebody_elses_number_is_refused_without_repeating_it(site: Site) -> None:
    operator = site.operator
    person = await operator(
        "CreateSubscriber",
        agency_id=await operator.agency(),
        kind=registry_pb2.SUBSCRIBER_KIND_PERSON,
        name="Nguyễn Văn An",
        tax_code="0106489944-001",
        citizen_number="012345678901",
        email="an.nv@example.gov.vn",
    )
    credential = await operator.credential(person.id, "numbers-1", **OUTSIDE)
    answer = await operator("GetCertificationRequest", credential_id=credential.id)

    async def bring(subject: x509.Name) -> Any:
        leaf = site.outside.issue(answer.certification_request, subject=subject)
        return await site.bring(credential, [leaf, der(site.outside.certificate)])

    for wrong in (
        named("MST:0106793535"),
        named("MST:0106489944"),
        named("CCCD:109876543210"),
        named("cccd: 109876543210"),
        named("MST:0106489944-001", "CCCD:109876543210"),
        named("CCCD:012345678901", "CCCD:109876543210"),
        named("MST:0106793535", oid=NameOID.ORGANIZATION_NAME),
    ):
        with pytest.raises(FieldInvalid, match="another") as caught:
            await bring(wrong)
        assert "109876543210" not in caught.value.message + str(caught.value.data)
    for good in (
        named("MST:0106489944-001", "CCCD:012345678901"),
        named("MST:0106489944001"),
        named("MST: 012345678901"),
        # The government's second generation names none; other kinds of identifier are not compared.
        named(),
        named("CMND:012345678", "HC:B1234567"),
    ):
        taken = await bring(good)
        assert taken.status == common_pb2.CREDENTIAL_STATUS_ACTIVE


async def test_many_imports_do_not_grow_what_verifiers_are_told(site: Site) -> None:
    credential, request = await site.credential("many-1")
    before = await site.trust()
    for number in range(5):
        below = site.outside.authority(f"CA {number}", site.outside.root_pair)
        await site.bring(credential, [site.outside.issue(request, by=below), der(below[1])])
    after = await site.trust()
    assert (after.anchors, after.intermediates) == (before.anchors, before.intermediates)


def test_settings_that_name_too_many_certificates_or_no_ca_stop_the_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    outside = OutsideCa()
    root = outside.write_root(tmp_path / "root.pem")
    assert anchors.read_outside([root, root], []).anchors == (der(outside.root),)
    leaf = tmp_path / "leaf.pem"
    _, no_ca = outside.authority("No CA", ca=False)
    leaf.write_bytes(no_ca.public_bytes(serialization.Encoding.PEM))
    for anchor_files, below_files in (([leaf], []), ([], [leaf])):
        with pytest.raises(ConfigError, match="no CA's"):
            anchors.read_outside(anchor_files, below_files)
    monkeypatch.setattr(anchors, "MAX_CERTIFICATES", 0)
    with pytest.raises(ConfigError, match="at most 0"):
        anchors.read_outside([root], [])
