"""A schema of the ETSI TS 119 102-2 (1.4.1) validation report, as far as reports of this project use it, and stricter.

Written from the clauses: element order and counts, identifiers that are references within the file, the standard's names
where it has some. What the standard allows and this project never writes is not in it.
"""

from __future__ import annotations

from functools import cache

from lxml import etree

VR = "http://uri.etsi.org/19102/v1.4.1#"
_HEAD = f"""<xs:schema xmlns:xs="http://www.w3.org/2001/XMLSchema" xmlns:v="{VR}" targetNamespace="{VR}"
 elementFormDefault="qualified">"""
_TYPES = r"""
<xs:simpleType name="Sub"><xs:restriction base="xs:anyURI">
 <xs:pattern value="urn:etsi:019102:subindication:[A-Z_]+"/></xs:restriction></xs:simpleType>
<xs:simpleType name="Main"><xs:restriction base="xs:anyURI">
 <xs:pattern value="urn:etsi:019102:mainindication:(total-passed|total-failed|indeterminate|passed|failed)"/>
</xs:restriction></xs:simpleType>
<xs:simpleType name="Utc"><xs:restriction base="xs:dateTime"><xs:pattern value=".+Z"/></xs:restriction></xs:simpleType>
<xs:complexType name="Ref"><xs:attribute name="VOReference" type="xs:IDREFS" use="required"/></xs:complexType>
<xs:complexType name="Poe"><xs:sequence>
 <xs:element name="POETime" type="v:Utc"/>
 <xs:element name="TypeOfProof"><xs:simpleType><xs:restriction base="xs:anyURI">
  <xs:pattern value="urn:etsi:019102:poetype:(validation|provided|policy)"/></xs:restriction></xs:simpleType></xs:element>
 <xs:element name="POEObject" type="v:Ref" minOccurs="0"/>
</xs:sequence></xs:complexType>
<xs:complexType name="Digest"><xs:sequence>
 <xs:any namespace="http://www.w3.org/2000/09/xmldsig#" processContents="skip" minOccurs="2" maxOccurs="2"/>
</xs:sequence></xs:complexType>
<xs:complexType name="Attribute"><xs:sequence>
 <xs:element name="AttributeObject" type="v:Ref" minOccurs="0"/>
 <xs:choice minOccurs="0"><xs:element name="Time" type="v:Utc"/><xs:element name="TimeStampValue" type="v:Utc"/></xs:choice>
</xs:sequence></xs:complexType>
<xs:complexType name="Chain"><xs:sequence>
 <xs:element name="SigningCertificate" type="v:Ref"/>
 <xs:element name="IntermediateCertificate" type="v:Ref" minOccurs="0" maxOccurs="unbounded"/>
 <xs:element name="TrustAnchor" type="v:Ref" minOccurs="0"/>
</xs:sequence></xs:complexType>
<xs:complexType name="Data"><xs:sequence>
 <xs:element name="TrustAnchor" type="v:Ref" minOccurs="0"/>
 <xs:element name="CertificateChain" type="v:Chain" minOccurs="0"/>
 <xs:element name="RevocationStatusInformation" minOccurs="0"><xs:complexType><xs:sequence>
  <xs:element name="ValidationObjectId" type="v:Ref"/><xs:element name="RevocationTime" type="v:Utc"/>
  <xs:element name="RevocationReason" type="xs:anyURI" minOccurs="0"/>
 </xs:sequence></xs:complexType></xs:element>
 <xs:element name="CryptoInformation" minOccurs="0"><xs:complexType><xs:sequence>
  <xs:element name="ValidationObjectId" type="v:Ref"/><xs:element name="Algorithm" type="xs:anyURI"/>
  <xs:element name="SecureAlgorithm" type="xs:boolean"/>
 </xs:sequence></xs:complexType></xs:element>
 <xs:element name="AdditionalValidationReportData"><xs:complexType><xs:sequence>
  <xs:element name="ReportData" maxOccurs="unbounded"><xs:complexType><xs:sequence>
   <xs:element name="Type" type="xs:anyURI"/><xs:element name="Value" type="xs:string"/>
  </xs:sequence></xs:complexType></xs:element>
 </xs:sequence></xs:complexType></xs:element>
</xs:sequence></xs:complexType>
<xs:complexType name="Status"><xs:sequence>
 <xs:element name="MainIndication" type="v:Main"/>
 <xs:element name="SubIndication" type="v:Sub" minOccurs="0"/>
 <xs:element name="AssociatedValidationReportData" type="v:Data" minOccurs="0"/>
</xs:sequence></xs:complexType>
<xs:complexType name="Constraint"><xs:sequence>
 <xs:element name="ValidationConstraintIdentifier" type="xs:anyURI"/>
 <xs:element name="ConstraintStatus"><xs:complexType><xs:sequence><xs:element name="Status"><xs:simpleType>
  <xs:restriction base="xs:anyURI"><xs:pattern value="urn:etsi:019102:constraintStatus:(applied|disabled)"/>
  </xs:restriction></xs:simpleType></xs:element></xs:sequence></xs:complexType></xs:element>
 <xs:element name="ValidationStatus" type="v:Status" minOccurs="0"/>
</xs:sequence></xs:complexType>
<xs:complexType name="Report"><xs:sequence>
 <xs:element name="SignatureIdentifier" minOccurs="0"><xs:complexType><xs:sequence>
  <xs:element name="DigestAlgAndValue" type="v:Digest" minOccurs="0"/>
  <xs:any namespace="http://www.w3.org/2000/09/xmldsig#" processContents="skip" minOccurs="0"/>
  <xs:element name="HashOnly" type="xs:boolean"/><xs:element name="DocHashOnly" type="xs:boolean"/>
 </xs:sequence><xs:attribute name="id" type="xs:ID" use="required"/></xs:complexType></xs:element>
 <xs:element name="ValidationConstraintsEvaluationReport" minOccurs="0"><xs:complexType><xs:sequence>
  <xs:element name="ValidationConstraint" type="v:Constraint" maxOccurs="unbounded"/>
 </xs:sequence></xs:complexType></xs:element>
 <xs:element name="ValidationTimeInfo" minOccurs="0"><xs:complexType><xs:sequence>
  <xs:element name="ValidationTime" type="v:Utc"/><xs:element name="BestSignatureTime" type="v:Poe"/>
 </xs:sequence></xs:complexType></xs:element>
 <xs:element name="SignersDocument" minOccurs="0"><xs:complexType><xs:sequence>
  <xs:element name="DigestAlgAndValue" type="v:Digest"/>
  <xs:element name="SignersDocumentRepresentation" type="v:Ref"/></xs:sequence></xs:complexType></xs:element>
 <xs:element name="SignatureAttributes" minOccurs="0"><xs:complexType><xs:choice maxOccurs="unbounded">
  <xs:element name="SigningTime" type="v:Attribute"/><xs:element name="SigningCertificate" type="v:Attribute"/>
  <xs:element name="SignatureTimeStamp" type="v:Attribute"/><xs:element name="SigAndRefsTimeStamp" type="v:Attribute"/>
  <xs:element name="ArchiveTimeStamp" type="v:Attribute"/><xs:element name="DocTimeStamp" type="v:Attribute"/>
 </xs:choice></xs:complexType></xs:element>
 <xs:element name="SignerInformation" minOccurs="0"><xs:complexType><xs:sequence>
  <xs:element name="SignerCertificate" type="v:Ref"/><xs:element name="Signer" type="xs:string"/>
 </xs:sequence></xs:complexType></xs:element>
 <xs:element name="SignatureValidationProcess" minOccurs="0"><xs:complexType><xs:sequence>
  <xs:element name="SignatureValidationProcessID" type="xs:anyURI"/></xs:sequence></xs:complexType></xs:element>
 <xs:element name="SignatureValidationStatus" type="v:Status"/>
</xs:sequence></xs:complexType>
"""
_OBJECTS = r"""
<xs:complexType name="Object"><xs:sequence>
 <xs:element name="ObjectType"><xs:simpleType><xs:restriction base="xs:anyURI">
  <xs:pattern value="urn:etsi:019102:validationObject:(certificate|CRL|OCSPResponse|timestamp|signedData)"/>
 </xs:restriction></xs:simpleType></xs:element>
 <xs:element name="ValidationObjectRepresentation"><xs:complexType><xs:choice maxOccurs="unbounded">
  <xs:element name="direct" type="xs:string"/><xs:element name="base64" type="xs:base64Binary"/>
  <xs:element name="DigestAlgAndValue" type="v:Digest"/>
 </xs:choice></xs:complexType></xs:element>
 <xs:element name="POE" type="v:Poe"/>
 <xs:element name="POEProvisioning" minOccurs="0"><xs:complexType><xs:sequence>
  <xs:element name="POETime" type="v:Utc"/></xs:sequence></xs:complexType></xs:element>
 <xs:element name="ValidationReport" type="v:Report" minOccurs="0"/>
</xs:sequence><xs:attribute name="id" type="xs:ID" use="required"/></xs:complexType>
<xs:element name="ValidationReport"><xs:complexType><xs:sequence>
 <xs:element name="SignatureValidationReport" type="v:Report" maxOccurs="unbounded"/>
 <xs:element name="SignatureValidationObjects" minOccurs="0"><xs:complexType><xs:sequence>
  <xs:element name="ValidationObject" type="v:Object" maxOccurs="unbounded"/></xs:sequence></xs:complexType></xs:element>
</xs:sequence></xs:complexType></xs:element>
</xs:schema>
"""


@cache
def schema() -> etree.XMLSchema:
    """The schema, compiled."""
    return etree.XMLSchema(etree.XML(_HEAD + _TYPES + _OBJECTS))


def parsed(report: bytes) -> etree._Element:
    """The report's root, after it was found to fit the schema."""
    root = etree.fromstring(report, etree.XMLParser(resolve_entities=False, no_network=True))
    schema().assertValid(root)
    assert dangling(root) == set()
    return root


def dangling(root: etree._Element) -> set[str]:
    """References to what the report does not hold: the library does not check xs:IDREFS."""
    held = {value for element in root.iter() if (value := element.get("id"))}
    referred = {name for element in root.iter() for name in element.get("VOReference", "").split()}
    return referred - held
