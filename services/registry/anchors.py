"""Trust anchors of others, from the PEM files that the settings name."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from services.kernel.runtime.config import ConfigError, read_pem


def read_anchors(files: Sequence[Path]) -> list[bytes]:
    """Return every certificate of the files, DER; raise ConfigError where one is no CA certificate."""
    anchors: list[bytes] = []
    for path in files:
        try:
            certificates = x509.load_pem_x509_certificates(read_pem(path, "outside anchor"))
            for certificate in certificates:
                if not certificate.extensions.get_extension_for_class(x509.BasicConstraints).value.ca:
                    raise ConfigError([f"outside anchor {path}: holds a certificate that is no CA's"])
        except (ValueError, x509.ExtensionNotFound, x509.DuplicateExtension) as error:
            raise ConfigError([f"outside anchor {path}: not PEM certificates of CAs"]) from error
        anchors += [certificate.public_bytes(Encoding.DER) for certificate in certificates]
    return anchors
