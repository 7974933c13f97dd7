"""The settings files of the one-machine platform, as each process will read them."""

from __future__ import annotations

import stat
import tomllib
from dataclasses import replace
from pathlib import Path

import pytest

from deploy.local import processes, settings
from deploy.local.bus import MAX_STORE, provide_bus
from deploy.local.pki import provide_mesh
from deploy.local.processes import Provisions
from deploy.local.token import AUTHORITY, DOCUMENTS, TokenStore
from deploy.local.toml import Section, toml_text
from gateway.config import GatewaySettings
from services.kernel.runtime.config import ProcessSettings, parse
from services.registry.config import RegistrySettings
from services.signer.config import SignerSettings
from services.verifier.config import VerifierSettings
from tests.support.deployments import assert_crls_pass, assert_streams_fit


@pytest.fixture
def platform(tmp_path: Path) -> tuple[settings.Settings, Provisions]:
    chosen = replace(settings.load("platform"), state=tmp_path, logs=tmp_path / "log")
    mesh = provide_mesh(tmp_path / "mesh")
    tokens = TokenStore(
        module=Path("/usr/lib/softhsm/libsofthsm2.so"),
        configuration=tmp_path / "softhsm2.conf",
        pins={label: tmp_path / f"{label}.pin" for label in (DOCUMENTS, AUTHORITY)},
        library_path="",
    )
    bus = provide_bus(tmp_path / "bus", mesh["nats"], chosen.ports, None)
    return chosen, Provisions(Path("nats-server"), tokens, mesh, bus)


def read(section: Section, model: type[ProcessSettings]) -> ProcessSettings:
    return parse(model, tomllib.loads(toml_text(section)))


def test_every_process_accepts_its_settings(platform: tuple[settings.Settings, Provisions]) -> None:
    read(processes.gateway(*platform), GatewaySettings)
    read(processes.registry(*platform), RegistrySettings)
    read(processes.signer(*platform), SignerSettings)
    read(processes.verifier(*platform), VerifierSettings)


def test_document_keys_and_ca_keys_are_in_tokens_with_pins_of_their_own(
    platform: tuple[settings.Settings, Provisions],
) -> None:
    signer = read(processes.signer(*platform), SignerSettings)
    assert isinstance(signer, SignerSettings)
    assert signer.hsm.documents.token_label != signer.hsm.authority.token_label
    assert signer.hsm.documents.pin_file != signer.hsm.authority.pin_file


def test_each_stream_has_one_maker_and_all_of_them_fit_in_the_store(
    platform: tuple[settings.Settings, Provisions],
) -> None:
    signer = read(processes.signer(*platform), SignerSettings)
    registry = read(processes.registry(*platform), RegistrySettings)
    assert isinstance(signer, SignerSettings)
    assert isinstance(registry, RegistrySettings)
    assert_streams_fit(signer.bus.streams, registry.bus.streams, MAX_STORE)


def test_a_crl_passes_wherever_one_has_to(platform: tuple[settings.Settings, Provisions]) -> None:
    signer = read(processes.signer(*platform), SignerSettings)
    registry = read(processes.registry(*platform), RegistrySettings)
    gateway = read(processes.gateway(*platform), GatewaySettings)
    verifier = read(processes.verifier(*platform), VerifierSettings)
    assert_crls_pass(signer, registry, gateway, verifier)


def test_the_bus_starts_first_and_the_door_opens_last(platform: tuple[settings.Settings, Provisions]) -> None:
    order = [[part.name for part in wave] for wave in processes.waves(*platform)]
    assert order == [["nats"], ["registry", "signer"], ["verifier"], ["gateway"]]


def test_every_settings_file_is_readable_by_its_user_only(
    platform: tuple[settings.Settings, Provisions],
) -> None:
    processes.waves(*platform)
    files = sorted((platform[0].state / "config").iterdir())
    assert [path.name for path in files] == ["gateway.toml", "registry.toml", "signer.toml", "verifier.toml"]
    assert {stat.S_IMODE(path.stat().st_mode) for path in files} == {0o600}


def test_the_signer_prints_with_the_font_that_was_found(
    platform: tuple[settings.Settings, Provisions],
) -> None:
    chosen, provisions = platform
    found = replace(provisions, font_file=Path("/fonts/Serif.ttf"))
    signer = read(processes.signer(chosen, found), SignerSettings)
    assert isinstance(signer, SignerSettings)
    assert signer.documents.font_file == Path("/fonts/Serif.ttf")
