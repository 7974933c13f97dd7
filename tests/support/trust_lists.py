"""Trust lists (ETSI TS 119 612) written by hand, in canonical form, and signed as a whole."""

from __future__ import annotations

import base64
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from tests.unit.verifier import xml_signing
from tests.unit.verifier.authority import NOW, Signer
from tests.unit.verifier.xml_signing import ENVELOPED, EXCLUSIVELY, Target

URI = "http://uri.etsi.org/TrstSvc"
GRANTED, WITHDRAWN = f"{URI}/TrustedList/Svcstatus/granted", f"{URI}/TrustedList/Svcstatus/withdrawn"
SUPERVISED = f"{URI}/eSigDir-1999-93-EC-TrustedList/Svcstatus/undersupervision"
CA_QC, QTST, OTHER = f"{URI}/Svctype/CA/QC", f"{URI}/Svctype/TSA/QTST", f"{URI}/Svctype/Certstatus/OCSP"
WEB = f"{URI}/TrustedList/SvcInfoExt/ForWebSiteAuthentication"


def moment(year: int) -> datetime:
    """The beginning of a year."""
    return datetime(year, 1, 1, tzinfo=UTC)


def text(at: datetime) -> str:
    """As lists write it."""
    return at.strftime("%Y-%m-%dT%H:%M:%SZ")


@dataclass
class Service:
    """One service; `statuses` newest first: (status, since)."""

    kind: str
    certificate: bytes
    statuses: list[tuple[str, datetime]]
    further: str = ""

    def xml(self) -> str:
        """The element in canonical form."""
        (status, since), *history = self.statuses
        digital = base64.b64encode(self.certificate).decode()
        identity = f"<X509Certificate>{digital}</X509Certificate>" if self.certificate else ""
        earlier = "".join(
            f"<ServiceHistoryInstance>{self.said(*one, '<X509SKI>AAAA</X509SKI>')}</ServiceHistoryInstance>"
            for one in history
        )
        return (
            f"<TSPService><ServiceInformation>{self.said(status, since, identity)}</ServiceInformation>"
            f"<ServiceHistory>{earlier}</ServiceHistory></TSPService>"
        )

    def said(self, status: str, since: datetime, identity: str) -> str:
        """What the service and each instance of its history have in common."""
        more = f"<URI>{self.further}</URI>"
        information = f"<AdditionalServiceInformation>{more}</AdditionalServiceInformation>"
        return (
            f"<ServiceTypeIdentifier>{self.kind}</ServiceTypeIdentifier>"
            '<ServiceName><Name xml:lang="vi">Dịch vụ</Name><Name xml:lang="en">Service</Name></ServiceName>'
            f"<ServiceDigitalIdentity><DigitalId>{identity}</DigitalId></ServiceDigitalIdentity>"
            f"<ServiceStatus>{status}</ServiceStatus><StatusStartingTime>{text(since)}</StatusStartingTime>"
            f"{information if self.further else ''}"
        )


@dataclass
class List:
    """A list to be written."""

    services: list[Service] = field(default_factory=list)
    number: str = "7"
    issued: datetime = NOW - timedelta(days=1)
    next_update: datetime | None = NOW + timedelta(days=30)
    operator: str = "NEAC"

    def body(self) -> str:
        """What is signed, without the root's tags."""
        update = "" if self.next_update is None else f"<dateTime>{text(self.next_update)}</dateTime>"
        services = "".join(one.xml() for one in self.services)
        return (
            f"<SchemeInformation><TSLSequenceNumber>{self.number}</TSLSequenceNumber>"
            f'<SchemeOperatorName><Name xml:lang="en">{self.operator}</Name></SchemeOperatorName>'
            f"<SchemeTerritory>VN</SchemeTerritory><ListIssueDateTime>{text(self.issued)}</ListIssueDateTime>"
            f"<NextUpdate>{update}</NextUpdate></SchemeInformation><TrustServiceProviderList>"
            f"<TrustServiceProvider><TSPServices>{services}</TSPServices></TrustServiceProvider>"
            "</TrustServiceProviderList>"
        )

    def signed(self, signer: Signer, method: str = xml_signing.RSA_SHA256) -> bytes:
        """The list, signed as a whole."""
        start = '<TrustServiceStatusList xmlns="http://uri.etsi.org/02231/v2#">'
        whole = f"{start}{self.body()}</TrustServiceStatusList>"
        target = Target("", whole.encode(), ENVELOPED + EXCLUSIVELY)
        signature = xml_signing.signature(signer, target, method=method)
        return f"{start}{self.body()}{signature}</TrustServiceStatusList>".encode()
