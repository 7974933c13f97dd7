"""The file of token keys: made once where the registry owns it, only read where it is a secret of the cluster."""

from __future__ import annotations

from pathlib import Path

import pytest

from services.kernel.runtime.process import StartError
from services.registry.tokenkeys import TokenKeys


def test_the_file_is_made_closed_and_read_again(tmp_path: Path) -> None:
    path = tmp_path / "token-keys.jwks"
    made = TokenKeys.open(path)
    assert path.stat().st_mode & 0o777 == 0o600
    assert TokenKeys.open(path).public_jwks == made.public_jwks


def test_a_mounted_secret_may_be_read_by_its_group_and_is_a_link(tmp_path: Path) -> None:
    secret = tmp_path / "..data" / "token-keys.jwks"
    made = TokenKeys.open(secret)
    secret.chmod(0o440)
    mounted = tmp_path / "token-keys.jwks"
    mounted.symlink_to(secret)
    assert TokenKeys.open(mounted).public_jwks == made.public_jwks


@pytest.mark.parametrize("mode", [0o644, 0o660, 0o604])
def test_a_file_that_others_can_read_or_write_is_refused(tmp_path: Path, mode: int) -> None:
    path = tmp_path / "token-keys.jwks"
    TokenKeys.open(path)
    path.chmod(mode)
    with pytest.raises(StartError, match="chmod 600"):
        TokenKeys.open(path)


def test_where_it_is_missing_and_cannot_be_made_the_error_says_so(tmp_path: Path) -> None:
    # A name below a file: no user, not even root, can make that.
    blocked = tmp_path / "file"
    blocked.touch()
    with pytest.raises(StartError, match="come from a secret"):
        TokenKeys.open(blocked / "token-keys.jwks")
