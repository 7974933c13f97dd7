"""The key that signs time-stamps signs nothing else, and no other certificate is for time-stamping."""

from __future__ import annotations

import tomllib
from datetime import timedelta
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID
from pydantic import ValidationError

from services.kernel.errors import FieldInvalid, Forbidden
from services.kernel.values import KeyAlgorithm
from services.signer.authority import Authority, AuthorityRule, Purpose
from services.signer.config import AuthorityKeySettings, SignerSettings, TimeStampSettings
from tests.support.key_usage import key_usage
from tests.unit.signer.authorities import (
    CA,
    CA_USAGE,
    CLIENT_AUTH,
    ISSUING,
    LEAF,
    LEAF_USAGE,
    NOW,
    ROOT,
    World,
    crl,
    hierarchy,
    other,
    tbs,
)

STAMPING = (x509.ExtendedKeyUsage([ExtendedKeyUsageOID.TIME_STAMPING]), True)
UNIT_EXTENSIONS = (LEAF, LEAF_USAGE, STAMPING)


@pytest.fixture
async def world() -> World:
    """The whole hierarchy, and a time-stamp key beside it."""
    made = await hierarchy()
    rules = {
        **made.authority._rules,
        "tsa": AuthorityRule(
            "tsa", "time_stamping", KeyAlgorithm.ECDSA_P256, frozenset({"time_stamp"}), create=True
        ),
        "greedy": AuthorityRule(
            "greedy", "time_stamping", KeyAlgorithm.ECDSA_P256, frozenset({"certificate", "crl"}), create=True
        ),
    }
    made.authority = Authority(rules, made.keys, made.hsm, "authority", made.ledger, lambda: NOW)
    for name in ("tsa", "greedy"):
        await made.authority.generate(name)
    return made


def unit(world: World, *extensions: tuple[x509.ExtensionType, bool], **changes: Any) -> bytes:
    fields = {"public": world.public("tsa"), "extensions": extensions or UNIT_EXTENSIONS, **changes}
    return tbs(**fields)


async def test_the_issuing_ca_certifies_the_time_stamp_key(world: World) -> None:
    made = await world.sign("issuing", unit(world))
    assert made.public_key() == world.public("tsa")


@pytest.mark.parametrize("name", ["tsa", "greedy"])
async def test_the_time_stamp_key_signs_neither_certificates_nor_crls(world: World, name: str) -> None:
    before = world.hsm.signed
    for purpose, bytes_ in ((Purpose.CERTIFICATE, unit(world)), (Purpose.CRL, crl())):
        with pytest.raises(Forbidden):
            await world.authority.sign(name, purpose, bytes_)
    assert world.hsm.signed == before


REFUSED: list[tuple[str, tuple[tuple[x509.ExtensionType, bool], ...], dict[str, Any]]] = [
    ("purpose not critical", (LEAF, LEAF_USAGE, (STAMPING[0], False)), {}),
    ("no purpose", (LEAF, LEAF_USAGE), {}),
    ("a subscriber's purpose", (LEAF, LEAF_USAGE, CLIENT_AUTH), {}),
    (
        "two purposes",
        (
            LEAF,
            LEAF_USAGE,
            (
                x509.ExtendedKeyUsage([ExtendedKeyUsageOID.TIME_STAMPING, ExtendedKeyUsageOID.CLIENT_AUTH]),
                True,
            ),
        ),
        {},
    ),
    ("a CA", (CA, CA_USAGE, STAMPING), {}),
    ("key usage of a CA", (LEAF, CA_USAGE, STAMPING), {}),
    ("encipherment", (LEAF, (key_usage("digital_signature", "key_encipherment"), True), STAMPING), {}),
    ("no key usage", (LEAF, STAMPING), {}),
    ("a CA's name", UNIT_EXTENSIONS, {"subject": ISSUING}),
    ("too long a life", UNIT_EXTENSIONS, {"life": timedelta(days=6 * 365)}),
    ("an alternative name", (*UNIT_EXTENSIONS, (x509.SubjectAlternativeName([x509.RFC822Name("a@b.vn")]), False)), {}),
    ("an unknown extension", (*UNIT_EXTENSIONS, other("1.2.3.4")), {}),
    ("another key", UNIT_EXTENSIONS, {"public": ec.generate_private_key(ec.SECP256R1()).public_key()}),
]  # fmt: skip


@pytest.mark.parametrize(
    ("extensions", "changes"), [row[1:] for row in REFUSED], ids=[row[0] for row in REFUSED]
)
async def test_what_the_issuing_ca_does_not_certify_for_time_stamping(
    world: World, extensions: tuple[tuple[x509.ExtensionType, bool], ...], changes: dict[str, Any]
) -> None:
    with pytest.raises(FieldInvalid):
        await world.sign("issuing", unit(world, *extensions, **changes))


async def test_the_root_does_not_certify_the_time_stamp_key(world: World) -> None:
    with pytest.raises(FieldInvalid):
        await world.sign("root", unit(world, issuer=ROOT))


@pytest.mark.parametrize(
    ("role", "may_sign"),
    [
        ("time_stamping", ("certificate", "crl")),
        ("time_stamping", ("time_stamp", "crl")),
        ("time_stamping", ()),
        ("issuing", ("time_stamp",)),
        ("root", ("certificate", "time_stamp")),
    ],
)
def test_a_key_stamps_the_time_or_does_everything_else(role: str, may_sign: tuple[str, ...]) -> None:
    with pytest.raises(ValidationError, match="time_stamping"):
        AuthorityKeySettings.model_validate({"name": "tsa", "role": role, "may_sign": may_sign})


def test_the_authority_needs_a_key_of_its_role() -> None:
    tls = "{ certificate_file = 'c', private_key_file = 'k', ca_file = 'a' }"
    text = f"""
        replica = "signer-1"
        telemetry = {{ http_listen = "127.0.0.1:1" }}
        rpc = {{ listen = "127.0.0.1:1", tls = {tls} }}
        registry = {{ target = "a:1", server_name = "registry", tls = {tls} }}
        verifier = {{ target = "a:1", server_name = "verifier", tls = {tls} }}
        bus = {{ servers = ["tls://a:1"], user = "signer", password_file = "p" }}
        database = {{ url = "sqlite+aiosqlite:///d" }}
        blobs = {{ folder = "b" }}
        time_stamp = {{ key = "tsa" }}
        [hsm]
        documents = {{ module = "m", token_label = "d", pin_file = "d" }}
        authority = {{ module = "m", token_label = "a", pin_file = "a" }}
        [[authority.keys]]
        name = "tsa"
    """
    good = tomllib.loads(text + 'role = "time_stamping"\nmay_sign = ["time_stamp"]')
    read = SignerSettings.model_validate(good)
    assert read.time_stamp == TimeStampSettings(key="tsa")
    with pytest.raises(ValidationError, match=r"time_stamp\.key"):
        SignerSettings.model_validate(tomllib.loads(text + 'role = "issuing"'))
    with pytest.raises(ValidationError, match="policy"):
        TimeStampSettings(policy="1.02.3")


@pytest.mark.parametrize("policy", ["1.40.3", "0.40", "3.1", "2.25." + "9" * 60, "1", ""])
def test_a_policy_that_no_token_can_name_is_refused(policy: str) -> None:
    with pytest.raises(ValidationError, match="policy"):
        TimeStampSettings(policy=policy)


@pytest.mark.parametrize("policy", ["0.39", "1.39.1", "2.40.1", "2.999"])
def test_a_policy_at_the_edge_of_what_can_be_is_taken(policy: str) -> None:
    assert TimeStampSettings(policy=policy).policy == policy
