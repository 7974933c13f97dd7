"""The report on a document."""

from __future__ import annotations

from collections.abc import Mapping

from gateway import verdicts, verifying
from gateway.schemas.words import (
    Schema,
    answered,
    asked,
    base64,
    flag,
    listed,
    maybe,
    maybe_number,
    moment,
    number,
    ref,
    rows,
    text,
    words,
)

_ASKED: Mapping[str, Schema] = {
    "integrity_only": flag("Leave trust out."),
    "file_name": text("File name as the caller knows it.", maxLength=255),
    "valid_at": moment("Judge for this time instead of now."),
    "owner": ref("DossierOwner"),
}


def _kept(**more: Schema) -> Schema:
    return answered(
        id=text("Id, made of what is kept."),
        agency_id=text("Agency that it is kept for."),
        client_id=text("Client that had it kept."),
        document_sha256=text("SHA-256 of the document that was verified, hexadecimal."),
        verdict=words("Verdict.", verdicts.VERDICTS),
        validated_at=moment("When the document was verified."),
        kept_at=moment("When it was first kept."),
        reference=maybe("The caller's own reference."),
        **more,
    )


VERIFICATION_SCHEMAS: Mapping[str, Schema] = {
    "Certificate": answered(
        subject=text("Subject, RFC 4514."),
        issuer=text("Issuer, RFC 4514."),
        common_name=maybe("Common name."),
        organization=maybe("Organisation."),
        organizational_unit=maybe("Organisational unit."),
        issuer_name=maybe("Name of the issuer for people."),
        title=maybe("Title (chức vụ)."),
        email=maybe("E-mail."),
        identifiers=rows(
            answered(
                type=words("Kind.", ["tax", "citizen", "old_id", "passport", "other"]),
                value=text("Normalised value."),
                malformed=flag("Not of the form that its kind must have."),
                prefix=maybe("What stands before it in the certificate, such as MST."),
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
        indication=words("Main indication (ETSI EN 319 102-1).", verdicts.INDICATIONS),
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
                    revisions=maybe_number("Revisions of the document."),
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
                    next_update=moment("nextUpdate."),
                    revoked_at=moment("When the certificate was revoked or put on hold."),
                    reason=maybe("Reason of that."),
                ),
                {"type": "null"},
            ]
        },
        warnings=rows(ref("VerificationWarning"), "Warnings."),
        sentence_vi=text("One plain sentence in Vietnamese."),
        sentence_en=text("The same in English."),
        clean=flag("Nothing is left to warn about."),
        kind=words("What the signed data says.", ["signature", "document_timestamp"]),
        detail=maybe("Why it did not pass, for engineers."),
        signing_time_source=maybe(
            "What proves best_signing_time; checking: nothing, it is the time of the check."
        ),
        time_stamp_authority=maybe("Time-stamp unit that proves it."),
        digest_algorithm=maybe("Digest algorithm."),
        owner={"oneOf": [ref("OwnerMatch"), {"type": "null"}]},
    ),
    "VerificationWarning": answered(
        code=text("Code."),
        vi=text("Vietnamese."),
        en=text("English."),
        detail=maybe("More, for engineers."),
    ),
    "OwnerMatch": answered(
        result=words("Whether the signer is the dossier's owner.", ["match", "mismatch", "not_comparable"]),
        reason=text("What that rests on, such as same_identifier."),
        vi=text("Vietnamese."),
        en=text("English."),
    ),
    "DossierOwner": asked(
        (),
        name=text("Name.", maxLength=512),
        tax_code=text("Tax code (MST)."),
        citizen_id=text("Citizen number (CCCD), or old identity card number (CMND)."),
        passport=text("Passport number."),
        code=text("Identifier under another prefix, as PREFIX:VALUE."),
        head_office_counts=flag("A branch may sign for its head office, and the other way round."),
    ),
    "VerificationRequest": asked(
        (),
        **_ASKED,
        report=words("Form of the report.", verifying.FORMS),
        language=words("Language of a page for people.", verifying.LANGUAGES),
        include_evidence=flag("Answer the evidence used with the report (json only)."),
        keep_evidence=flag("Have the registry keep the evidence used."),
        reference=text("The caller's own reference for what is kept.", maxLength=200),
    ),
    "ExtractionRequest": asked((), **_ASKED),
    "Verification": answered(
        verdict=words("Verdict on the whole document.", verdicts.VERDICTS),
        clean=flag("Every signature is clean."),
        signatures=rows(ref("SignatureReport"), "One report for each signature."),
        document_sha256=text("SHA-256 of the document as received, hexadecimal."),
        validated_at=moment("When it was judged."),
        sentence_vi=text("One plain sentence in Vietnamese."),
        sentence_en=text("The same in English."),
        integrity_only=flag("Trust was left out on request."),
        valid_at=moment("The time that the caller named to be judged for; null: validated_at."),
        warnings=rows(ref("VerificationWarning"), "Warnings on the document as a whole."),
        format=maybe("Format of the document."),
        owner={"oneOf": [ref("OwnerMatch"), {"type": "null"}]},
        evidence_id=maybe("Name under which the evidence is kept."),
        evidence_left_out=number("Values of the evidence that were too large."),
        inner=rows(
            answered(name=maybe("Its name within the other."), report=ref("Verification")),
            "Signed documents that the document carries, each with its own report.",
        ),
    )
    | {"description": "With include_evidence there is a member `evidence`: a list of UsedEvidence."},
    "UsedEvidence": answered(
        kind=words("What it is.", [kind for kind in verdicts.MEDIA_TYPES if kind != "report"]),
        media_type=text("Media type."),
        sha256=text("SHA-256, hexadecimal."),
        data=base64("The value."),
    ),
    "Evidence": _kept(files=rows(ref("EvidenceFile"), "Files, in the order of the verification.")),
    "EvidenceEntry": _kept(),
    "EvidenceFile": answered(
        kind=words("What it is.", verdicts.MEDIA_TYPES),
        sha256=text("SHA-256, hexadecimal."),
        size=number("Bytes."),
        url=text("Where it is fetched."),
    ),
    "EvidenceList": listed("evidence", "EvidenceEntry"),
}
