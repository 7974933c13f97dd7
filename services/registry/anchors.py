"""CA certificates of others, from the PEM files that the settings name."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from services.kernel.runtime.config import ConfigError, read_pem
from services.registry.config import OutsideAnchorSettings
from services.registry.domain.anchors import Anchor
from services.registry.outside import OutsideTrust

MAX_CERTIFICATES = 200
MAX_BYTES = 512 * 1024
"""Of all together: every verifier gets them in one message, again and again."""


def read_outside(anchor_files: Sequence[Path], intermediate_files: Sequence[Path]) -> OutsideTrust:
    """Return every certificate of the files; raise ConfigError where one is no CA's, or where they are too many."""
    trust = OutsideTrust(
        _read(anchor_files, "outside anchor"), _read(intermediate_files, "outside intermediate")
    )
    known = (*trust.anchors, *trust.intermediates)
    if len(known) > MAX_CERTIFICATES or sum(map(len, known)) > MAX_BYTES:
        raise ConfigError(
            [
                f"ca.outside_anchor_files and ca.outside_intermediate_files: {len(known)} certificates with "
                f"{sum(map(len, known))} bytes, at most {MAX_CERTIFICATES} with {MAX_BYTES} may be named"
            ]
        )
    return trust


def read_anchors(settings: Sequence[OutsideAnchorSettings]) -> tuple[Anchor, ...]:
    """Return the anchors that are trusted on terms; raise ConfigError as `read_outside`."""
    found = tuple(
        Anchor(der, one.scope, one.trusted_from, one.trusted_until, frozenset(one.purposes))
        for one in settings
        for der in _read([one.file], "outside anchor")
    )
    if len(found) > MAX_CERTIFICATES or sum(len(one.certificate) for one in found) > MAX_BYTES:
        raise ConfigError(
            [
                f"ca.outside_anchors: {len(found)} certificates, at most {MAX_CERTIFICATES} with {MAX_BYTES} bytes"
            ]
        )
    return found


def _read(files: Sequence[Path], what: str) -> tuple[bytes, ...]:
    found: list[bytes] = []
    for path in files:
        try:
            certificates = x509.load_pem_x509_certificates(read_pem(path, what))
            for certificate in certificates:
                if not certificate.extensions.get_extension_for_class(x509.BasicConstraints).value.ca:
                    raise ConfigError([f"{what} {path}: holds a certificate that is no CA's"])
        except (ValueError, x509.ExtensionNotFound, x509.DuplicateExtension) as error:
            raise ConfigError([f"{what} {path}: not PEM certificates of CAs"]) from error
        found += [certificate.public_bytes(Encoding.DER) for certificate in certificates]
    return tuple(dict.fromkeys(found))
