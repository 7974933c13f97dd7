"""A confined process keeps its word: what it says it gave up, it cannot reach."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from services.kernel.runtime.confinement import (
    FILES,
    NETWORK,
    TCP,
    Unconfined,
    code_folders,
    require_confined,
)
from tests.support.confinement import probe


def test_what_is_given_up_cannot_be_reached(tmp_path: Path) -> None:
    secret = tmp_path / "pin"
    secret.write_text("0000")
    with socket.create_server(("127.0.0.1", 0)) as server:
        given_up, reached = probe(secret, server.getsockname()[1])
    assert not [what for what in given_up if reached[what]]
    assert reached["code"]
    assert reached["pipe"]
    assert not reached["memory"]
    assert reached["writing"] is ("files" not in given_up)


def test_the_folder_of_secrets_on_a_developers_machine_is_not_code() -> None:
    state = Path(__file__).resolve().parents[3] / "var"
    assert not [folder for folder in code_folders() if state.is_relative_to(folder)]


@pytest.mark.parametrize("enough", [{FILES, NETWORK}, {FILES, TCP}, {FILES, NETWORK, TCP}])
def test_files_and_one_way_out_of_networks_are_confinement(enough: set[str]) -> None:
    require_confined(frozenset(enough))


@pytest.mark.parametrize(
    ("given_up", "missing"),
    [(set(), "files .* and networks"), ({FILES}, "networks"), ({NETWORK, TCP}, "files")],
)
def test_what_is_missing_is_named(given_up: set[str], missing: str) -> None:
    with pytest.raises(Unconfined, match=missing):
        require_confined(frozenset(given_up))
