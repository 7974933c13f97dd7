"""Every format, each loaded when the first document of its kind comes: the libraries behind some take longer to load than
a small file takes to check. For a command that ends after one document; a worker loads all of them before it starts.
"""

from __future__ import annotations

from services.verifier.formats import xml_input, zip_records
from services.verifier.formats.cms_file import CmsFormat
from services.verifier.formats.jades import JadesFormat
from services.verifier.formats.smime import SmimeFormat
from services.verifier.formats.time_stamp_file import TimeStampFileFormat
from services.verifier.ports import Findings, SignatureFormat, SubmittedDocument


class _Pdf:
    name = "PDF"

    def recognises(self, data: bytes) -> bool:
        return b"%PDF-" in data[:1024]

    def find(self, document: SubmittedDocument) -> Findings:
        from services.verifier.formats.pdf import PdfFormat

        return PdfFormat().find(document)


class _Xml:
    name = "XML"

    def recognises(self, data: bytes) -> bool:
        return xml_input.looks_like(data)

    def find(self, document: SubmittedDocument) -> Findings:
        from services.verifier.formats.xml_signature import XmlFormat

        return XmlFormat().find(document)


class _Asic:
    name = "ASiC"

    def recognises(self, data: bytes) -> bool:
        return zip_records.looks_like(data)

    def find(self, document: SubmittedDocument) -> Findings:
        from services.verifier.formats.asic import AsicFormat

        return AsicFormat().find(document)


FORMATS: tuple[SignatureFormat, ...] = (
    # Before PDF: all three may hold a PDF file within their first kilobyte, where PDF readers look for its header.
    _Asic(),
    TimeStampFileFormat(),
    CmsFormat(),
    SmimeFormat(),
    _Pdf(),
    _Xml(),
    JadesFormat(),
)
