"""Key usages of test certificates (RFC 5280 4.2.1.3)."""

from __future__ import annotations

from cryptography import x509

AUTHORITY = ("key_cert_sign", "crl_sign")
SIGNER = ("digital_signature", "content_commitment")
_EVERY = (
    *SIGNER,
    "key_encipherment",
    "data_encipherment",
    "key_agreement",
    *AUTHORITY,
    "encipher_only",
    "decipher_only",
)


def key_usage(*names: str) -> x509.KeyUsage:
    """The extension with these bits."""
    assert set(names) <= {*_EVERY}, names
    return x509.KeyUsage(**{name: name in names for name in _EVERY})
