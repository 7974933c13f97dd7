"""The report on a document."""

from __future__ import annotations

from collections.abc import Mapping

from gateway import translate
from gateway.schemas.words import Schema, answered, flag, maybe, moment, number, ref, rows, text, words

VERIFICATION_SCHEMAS: Mapping[str, Schema] = {
    "Certificate": answered(
        subject=text("Subject, RFC 4514."),
        issuer=text("Issuer, RFC 4514."),
        common_name=maybe("Common name."),
        organization=maybe("Organisation."),
        title=maybe("Title (chức vụ)."),
        email=maybe("E-mail."),
        identifiers=rows(
            answered(
                type=words("Kind.", ["tax", "citizen", "old_id", "passport", "other"]),
                value=text("Normalised value."),
                malformed=flag("Not of the form that its kind must have."),
            ),
            "Identifiers found (MST, CCCD …).",
        ),
        serial_number=text("Serial number, hexadecimal."),
        sha256=text("SHA-256 of the DER, hexadecimal."),
        not_before=moment("Start of validity."),
        not_after=moment("End of validity."),
    ),
    "SignatureReport": answered(
        name=text("PDF field name, or signer-1 and so on."),
        format=text("Such as PAdES-B-B."),
        indication=words("Main indication (ETSI EN 319 102-1).", translate.INDICATIONS),
        sub_indication=maybe("Sub-indication, such as HASH_FAILURE."),
        integrity=maybe("intact, extended or broken."),
        signer={"oneOf": [ref("Certificate"), {"type": "null"}]},
        path=rows(ref("Certificate"), "Certification path, leaf first."),
        claimed_signing_time=moment("As the signer claims it."),
        best_signing_time=moment("The time at which the certificate was judged."),
        algorithm=maybe("Signature algorithm."),
        coverage={
            "oneOf": [
                answered(
                    kind=text("whole_document, revision or partial."),
                    covered_bytes=number("Covered bytes."),
                    total_bytes=number("Size of the document."),
                    revision={"type": ["integer", "null"], "description": "Revision that it closes."},
                ),
                {"type": "null"},
            ]
        },
        later_changes=rows(
            answered(
                revision={"type": ["integer", "null"], "description": "Revision that made it."},
                kind=text("Kind of change."),
                allowed=flag("The rules of the signature allow it."),
                description=text("What it touches."),
            ),
            "What came after it.",
        ),
        status_source={
            "oneOf": [
                answered(
                    kind=text("crl, ocsp or none."),
                    produced_at=moment("thisUpdate or producedAt."),
                    url=maybe("Where it was had."),
                ),
                {"type": "null"},
            ]
        },
        warnings=rows(answered(code=text("Code."), vi=text("Vietnamese."), en=text("English.")), "Warnings."),
        sentence_vi=text("One plain sentence in Vietnamese."),
        sentence_en=text("The same in English."),
        clean=flag("Nothing is left to warn about."),
    ),
    "Verification": answered(
        verdict=words("Verdict on the whole document.", translate.VERDICTS),
        clean=flag("Every signature is clean."),
        signatures=rows(ref("SignatureReport"), "One report for each signature."),
        document_sha256=text("SHA-256 of the document as received, hexadecimal."),
        validated_at=moment("When it was judged."),
        sentence_vi=text("One plain sentence in Vietnamese."),
        sentence_en=text("The same in English."),
        integrity_only=flag("Trust was left out on request."),
    ),
}
