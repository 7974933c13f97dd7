"""XML signatures written by hand: SignedInfo is text that is canonical as it stands, so that no canonicaliser helps."""

from __future__ import annotations

import base64
import hashlib
from dataclasses import dataclass

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.serialization import Encoding

from tests.unit.verifier.authority import Signer

DS = "http://www.w3.org/2000/09/xmldsig#"
EXCLUSIVE = "http://www.w3.org/2001/10/xml-exc-c14n#"
ENVELOPED = f'<ds:Transform Algorithm="{DS}enveloped-signature"></ds:Transform>'
EXCLUSIVELY = f'<ds:Transform Algorithm="{EXCLUSIVE}"></ds:Transform>'
RSA_SHA256 = "http://www.w3.org/2001/04/xmldsig-more#rsa-sha256"
SHA256 = "http://www.w3.org/2001/04/xmlenc#sha256"


@dataclass(frozen=True)
class Target:
    """One reference: what it names, what is done with that, and the octets that must come out."""

    uri: str
    octets: bytes
    transforms: str = EXCLUSIVELY
    type: str = ""

    def text(self) -> str:
        """The Reference element in canonical form."""
        kind = f' Type="{self.type}"' if self.type else ""
        value = base64.b64encode(hashlib.sha256(self.octets).digest()).decode()
        return (
            f'<ds:Reference{kind} URI="{self.uri}"><ds:Transforms>{self.transforms}</ds:Transforms>'
            f'<ds:DigestMethod Algorithm="{SHA256}"></ds:DigestMethod>'
            f"<ds:DigestValue>{value}</ds:DigestValue></ds:Reference>"
        )


def signature(
    signer: Signer, *targets: Target, method: str = RSA_SHA256, inside: str = "", bare_key: bool = False
) -> str:
    """A Signature element over these targets; `inside` follows KeyInfo. `method` is only named, RSA is what signs."""
    info = (
        f'<ds:SignedInfo xmlns:ds="{DS}"><ds:CanonicalizationMethod Algorithm="{EXCLUSIVE}">'
        f'</ds:CanonicalizationMethod><ds:SignatureMethod Algorithm="{method}"></ds:SignatureMethod>'
        f"{''.join(one.text() for one in targets)}</ds:SignedInfo>"
    )
    assert isinstance(signer.key, rsa.RSAPrivateKey)
    digest = hashes.SHA1() if method.endswith("sha1") else hashes.SHA256()  # noqa: S303 - what old signers did
    value = base64.b64encode(signer.key.sign(info.encode(), padding.PKCS1v15(), digest)).decode()
    return (
        f'<ds:Signature xmlns:ds="{DS}">{info}<ds:SignatureValue>{value}</ds:SignatureValue>'
        f"<ds:KeyInfo>{_key(signer, bare=bare_key)}</ds:KeyInfo>{inside}</ds:Signature>"
    )


def _key(signer: Signer, *, bare: bool) -> str:
    if not bare:
        der = base64.b64encode(signer.certificate.public_bytes(Encoding.DER)).decode()
        return f"<ds:X509Data><ds:X509Certificate>{der}</ds:X509Certificate></ds:X509Data>"
    assert isinstance(signer.key, rsa.RSAPrivateKey)
    numbers = signer.key.public_key().public_numbers()
    modulus, exponent = (
        base64.b64encode(one.to_bytes((one.bit_length() + 7) // 8, "big")).decode()
        for one in (numbers.n, numbers.e)
    )
    return (
        f"<ds:KeyValue><ds:RSAKeyValue><ds:Modulus>{modulus}</ds:Modulus>"
        f"<ds:Exponent>{exponent}</ds:Exponent></ds:RSAKeyValue></ds:KeyValue>"
    )
