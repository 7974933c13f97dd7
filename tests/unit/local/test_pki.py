import stat
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.x509.verification import PolicyBuilder, Store

from deploy.local.pki import MEMBER_DAYS, MEMBERS, provide_mesh

NOW = datetime(2026, 11, 22, tzinfo=UTC)


def certificate(path: Path) -> x509.Certificate:
    return x509.load_pem_x509_certificate(path.read_bytes())


def test_each_member_has_a_certificate_with_its_own_name_and_no_other_members(tmp_path: Path) -> None:
    mesh = provide_mesh(tmp_path, NOW)
    assert set(mesh) == set(MEMBERS)
    for name, identity in mesh.items():
        names = (
            certificate(identity.certificate)
            .extensions.get_extension_for_class(x509.SubjectAlternativeName)
            .value
        )
        dns = names.get_values_for_type(x509.DNSName)
        assert dns[0] == name
        assert not set(dns[1:]) & set(MEMBERS)


def test_every_certificate_is_a_server_certificate_by_the_meshs_ca(tmp_path: Path) -> None:
    mesh = provide_mesh(tmp_path, NOW)
    store = Store([certificate(mesh["nats"].ca)])
    for name, identity in mesh.items():
        policy = PolicyBuilder().store(store).time(NOW)
        chain = policy.build_server_verifier(x509.DNSName(name)).verify(certificate(identity.certificate), [])
        assert len(chain) == 2


def test_private_keys_are_readable_by_their_user_only(tmp_path: Path) -> None:
    mesh = provide_mesh(tmp_path, NOW)
    for path in [*(identity.private_key for identity in mesh.values()), tmp_path / "ca.key"]:
        assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_second_start_keeps_everything_and_a_late_one_renews_what_ends_soon(tmp_path: Path) -> None:
    provide_mesh(tmp_path, NOW)
    first = contents(tmp_path)
    provide_mesh(tmp_path, NOW + timedelta(days=10))
    assert contents(tmp_path) == first
    late = NOW + timedelta(days=MEMBER_DAYS - 10)
    mesh = provide_mesh(tmp_path, late)
    assert (tmp_path / "ca.pem").read_bytes() == first["ca.pem"]
    assert certificate(mesh["signer"].certificate).not_valid_after_utc > late + timedelta(
        days=MEMBER_DAYS - 1
    )


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}
