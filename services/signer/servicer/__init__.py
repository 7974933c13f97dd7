"""The signer's RPCs: proto on one side, domain on the other, nothing decided in between."""

from services.signer.servicer.rpc import ALLOW, SERVICE_NAME, SignerServicer

__all__ = ["ALLOW", "SERVICE_NAME", "SignerServicer"]
