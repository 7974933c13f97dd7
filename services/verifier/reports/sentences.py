"""Sentences for people, in Vietnamese and English (verification rules, section 7). Codes stay; wording may improve."""

from __future__ import annotations

from services.verifier.domain import (
    Code,
    DocumentReport,
    Indication,
    SignatureKind,
    SignatureReport,
    SubIndication,
    Verdict,
)

_CODES: dict[Code, tuple[str, str]] = {
    Code.SIG_VALID: ("Chữ ký hợp lệ.", "The signature is valid."),
    Code.SIG_INVALID: ("Chữ ký không hợp lệ.", "The signature is not valid."),
    Code.SIG_INDETERMINATE: (
        "Không đủ thông tin để kết luận về chữ ký.",
        "There is not enough information to judge the signature.",
    ),
    Code.NOT_SIGNED: ("Tài liệu không có chữ ký số.", "The document carries no digital signature."),
    Code.DOC_INTACT: ("Tài liệu chưa bị thay đổi.", "The document has not been changed."),
    Code.DOC_EXTENDED: (
        "Phần đã ký nguyên vẹn; sau khi ký có bổ sung chữ ký, chú thích hoặc dữ liệu biểu mẫu.",
        "The signed part is intact; signatures, comments or form data were added after it.",
    ),
    Code.DOC_MODIFIED: (
        "Tài liệu đã bị thay đổi sau khi ký.",
        "The document was changed after it was signed.",
    ),
    Code.CERT_REVOKED: ("Chứng thư số đã bị thu hồi.", "The signer's certificate has been revoked."),
    Code.CERT_EXPIRED: ("Chứng thư số đã hết hạn.", "The signer's certificate has expired."),
    Code.CERT_NOT_YET: ("Chứng thư số chưa có hiệu lực.", "The signer's certificate is not yet valid."),
    Code.CERT_UNTRUSTED: (
        "Chứng thư số không tin cậy.",
        "The certificate does not lead to a trusted authority.",
    ),
    Code.CERT_HELD: ("Chứng thư số đang bị tạm giữ.", "The signer's certificate is on hold."),
    Code.CA_REVOKED: (
        "Chứng thư của cơ quan chứng thực đã bị thu hồi.",
        "The certificate of the certification authority has been revoked.",
    ),
    Code.CA_FOREIGN: (
        "Cảnh báo: chứng thư số do tổ chức chứng thực nước ngoài cấp.",
        "Warning: the certificate is by a foreign certification authority.",
    ),
    Code.STATUS_NOT_CHECKED: (
        "Cảnh báo: chưa kiểm tra được trạng thái thu hồi của chứng thư số.",
        "Warning: the revocation status of the certificate could not be checked.",
    ),
    Code.STATUS_STALE: (
        "Cảnh báo: trạng thái lấy từ danh sách thu hồi cũ.",
        "Warning: the only revocation list at hand is out of date.",
    ),
    Code.TS_NONE: ("Chữ ký không gắn dấu thời gian.", "The signature carries no time-stamp."),
    Code.TS_NOT_CHECKED: (
        "Chữ ký có dấu thời gian, nhưng dấu thời gian chưa được kiểm tra.",
        "There is a time-stamp, but it was not checked.",
    ),
    Code.TS_OK: ("Dấu thời gian hợp lệ.", "The time-stamp is valid."),
    Code.TS_UNDECIDED: (
        "Không đủ thông tin để kết luận về dấu thời gian; dấu thời gian này không được dùng làm bằng chứng.",
        "There is not enough information to judge the time-stamp; it was not used as a proof.",
    ),
    Code.CERT_REVOKED_LATER: (
        "Chứng thư số bị thu hồi sau thời điểm ký.",
        "The signer's certificate was revoked after the signature was made.",
    ),
    Code.CERT_EXPIRED_LATER: (
        "Chứng thư số hết hạn sau thời điểm ký.",
        "The signer's certificate expired after the signature was made.",
    ),
    Code.TIME_LOCAL_AS_UTC: (
        "Giờ ký ghi theo giờ Việt Nam nhưng đánh dấu là UTC (lệch 7 giờ).",
        "The signing time is local time written as UTC (seven hours off).",
    ),
    Code.TS_BAD: ("Dấu thời gian không hợp lệ.", "The time-stamp is not valid."),
    Code.ALG_SHA1: ("Cảnh báo: có sử dụng hàm băm SHA-1.", "Warning: the digest algorithm SHA-1 is used."),
    Code.ALG_WEAK: ("Thuật toán không được phép.", "An algorithm is used that is not allowed."),
    Code.SCOPE: (
        "Chứng thư số không dùng cho mục đích này.",
        "The certificate is not meant for this purpose.",
    ),
    Code.DOC_MALFORMED: ("Tệp bị hỏng hoặc sai định dạng.", "The file is damaged or not well-formed."),
    Code.DOC_ENCRYPTED: (
        "Tài liệu được mã hóa; hãy gửi bản không đặt mật khẩu.",
        "The document is encrypted; hand in a copy without a password.",
    ),
    Code.FORMAT_UNSUPPORTED: (
        "Định dạng này chưa được hỗ trợ; hãy gửi tệp PDF, CMS, XML, JSON, ASiC hoặc thư S/MIME.",
        "This format is not supported; hand in a PDF, CMS, XML or JSON file, an ASiC container or an S/MIME message.",
    ),
    Code.LIMIT_REACHED: (
        "Tài liệu vượt quá giới hạn kiểm tra; hãy chia nhỏ hoặc giảm kích thước.",
        "The document exceeds the limits of checking; split it or make it smaller.",
    ),
    Code.UNOWNED_BYTES: (
        "Tệp chứa dữ liệu không thuộc phiên bản nào của tài liệu.",
        "The file holds data that belongs to no revision of the document.",
    ),
    Code.TRUST_LEFT_OUT: (
        "Chỉ kiểm tra tính toàn vẹn; độ tin cậy của chứng thư số không được xét.",
        "Only integrity was checked; the trust in the certificate was left out.",
    ),
    Code.NOT_NOW: (
        "Kết quả được xét cho thời điểm do bên gọi nêu, không phải thời điểm hiện tại.",
        "The result is for the time that the caller named, not for now.",
    ),
    Code.PARTLY_SIGNED: (
        "Cảnh báo: chỉ một phần tài liệu được ký; phần còn lại không được chữ ký bảo vệ.",
        "Warning: only a part of the document is signed; no signature protects the rest.",
    ),
    Code.WRAPPING: (
        "Cảnh báo: phần được ký không nằm ở nơi người đọc tìm thấy nó; có thể chữ ký đã bị tráo.",
        "Warning: what is signed is not what a reader would take for it; the signature may have been moved.",
    ),
    Code.NOT_ALL_SIGNED: (
        "Cảnh báo: tệp chứa có tài liệu không được chữ ký này bảo vệ; có thể tài liệu đó được thêm vào sau khi ký.",
        "Warning: the container holds files that this signature does not cover; they may have been added later.",
    ),
    Code.INNER_BROKEN: (
        "Cảnh báo: bên trong có tài liệu mang chữ ký không hợp lệ hoặc chưa được kiểm tra.",
        "Warning: a document inside carries a signature that is not valid, or was not looked at.",
    ),
    Code.OWNER_MISMATCH: (
        "Cảnh báo: chủ thể ký không trùng với chủ hồ sơ.",
        "Warning: the signer is not the owner of the dossier.",
    ),
    Code.OWNER_NOT_COMPARABLE: (
        "Cảnh báo: chưa xác định được chủ thể ký có phải là chủ hồ sơ hay không.",
        "Warning: whether the signer is the owner of the dossier could not be told.",
    ),
}

_REASONS: dict[SubIndication, tuple[str, str]] = {
    SubIndication.FORMAT_FAILURE: (
        "cấu trúc chữ ký sai chuẩn",
        "the signature is not built as the standards say",
    ),
    SubIndication.HASH_FAILURE: (
        "nội dung tài liệu đã bị thay đổi sau khi ký",
        "the content of the document was changed after it was signed",
    ),
    SubIndication.SIG_CRYPTO_FAILURE: (
        "giá trị chữ ký không khớp với khóa của người ký",
        "the signature value does not fit the signer's key",
    ),
    SubIndication.SIG_CONSTRAINTS_FAILURE: (
        "sau khi ký, tài liệu có thay đổi không được phép hoặc không rõ nguồn gốc",
        "after signing, the document was changed in ways that are not allowed or cannot be explained",
    ),
    SubIndication.CHAIN_CONSTRAINTS_FAILURE: (
        "chứng thư số không dùng cho mục đích ký tài liệu",
        "the certificate is not meant for signing documents",
    ),
    SubIndication.CERTIFICATE_CHAIN_GENERAL_FAILURE: (
        "chuỗi chứng thực không hợp lệ",
        "the certification path is not valid",
    ),
    SubIndication.CRYPTO_CONSTRAINTS_FAILURE: (
        "thuật toán đã không còn được phép khi chữ ký hoặc chứng thư số được tạo",
        "an algorithm was no longer allowed when the signature or a certificate was made with it",
    ),
    SubIndication.CRYPTO_CONSTRAINTS_FAILURE_NO_POE: (
        "thuật toán không còn được phép và không có bằng chứng chữ ký đã có từ trước",
        "an algorithm is no longer allowed, and nothing proves that the signature is older",
    ),
    SubIndication.NO_SIGNING_CERTIFICATE_FOUND: (
        "không xác định được chứng thư số của người ký",
        "the signer's certificate could not be determined",
    ),
    SubIndication.NO_CERTIFICATE_CHAIN_FOUND: (
        "không tìm được đường dẫn tới tổ chức chứng thực tin cậy",
        "no path to a trusted certification authority was found",
    ),
    SubIndication.NO_CERTIFICATE_CHAIN_FOUND_NO_POE: (
        "tổ chức chứng thực không còn được tin cậy và không có bằng chứng chữ ký đã có từ trước",
        "the certification authority is not trusted any more, and nothing proves that the signature is older",
    ),
    SubIndication.REVOKED: (
        "chữ ký được tạo sau khi chứng thư số đã bị thu hồi",
        "the signature was made after the certificate was revoked",
    ),
    SubIndication.EXPIRED: (
        "chữ ký được tạo sau khi chứng thư số đã hết hạn",
        "the signature was made after the certificate had expired",
    ),
    SubIndication.NOT_YET_VALID: (
        "chữ ký được tạo trước khi chứng thư số có hiệu lực",
        "the signature was made before the certificate became valid",
    ),
    SubIndication.REVOKED_NO_POE: (
        "chứng thư số đã bị thu hồi và không có bằng chứng chữ ký được tạo trước đó",
        "the certificate has been revoked, and nothing proves that the signature is older than that",
    ),
    SubIndication.REVOKED_CA_NO_POE: (
        "chứng thư của cơ quan chứng thực đã bị thu hồi",
        "the certificate of a certification authority has been revoked",
    ),
    SubIndication.OUT_OF_BOUNDS_NO_POE: (
        "hiện nằm ngoài thời hạn hiệu lực của chứng thư số và không có bằng chứng về thời điểm ký",
        "the certificate is outside its validity now, and nothing proves when the signature was made",
    ),
    SubIndication.TRY_LATER: (
        "chưa xác định được trạng thái của chứng thư số, hoặc chứng thư số đang bị tạm giữ; hãy kiểm tra lại sau",
        "the status of the certificate is not known yet, or it is on hold; check again later",
    ),
    SubIndication.TIMESTAMP_ORDER_FAILURE: (
        "thứ tự các dấu thời gian mâu thuẫn nhau",
        "the times of the time-stamps contradict their order",
    ),
    SubIndication.SIGNED_DATA_NOT_FOUND: (
        "thiếu nội dung đã ký; hãy gửi kèm tệp gốc",
        "the signed content is missing; hand in the original file with the signature",
    ),
    SubIndication.GENERIC: ("chưa thể kiểm tra chữ ký này", "this signature cannot be checked yet"),
}

_DOCUMENT: dict[Verdict, tuple[str, str]] = {
    Verdict.VALID: ("Kết luận: hợp lệ.", "Conclusion: valid."),
    Verdict.INVALID: ("Kết luận: không hợp lệ.", "Conclusion: not valid."),
    Verdict.MALFORMED: (
        "Kết luận: không hợp lệ (tệp hoặc chữ ký sai định dạng).",
        "Conclusion: not valid (the file or a signature is malformed).",
    ),
    Verdict.INDETERMINATE: ("Kết luận: không đủ thông tin.", "Conclusion: not enough information."),
    Verdict.UNSIGNED: ("Tài liệu không có chữ ký số.", "The document carries no digital signature."),
}


def of_code(code: Code) -> tuple[str, str]:
    """Vietnamese and English sentence of a message code."""
    return _CODES[code]


def reason(sub: SubIndication) -> tuple[str, str]:
    """Why a signature did not pass, as a clause without capital and full stop."""
    return _REASONS[sub]


def of_signature(report: SignatureReport, *, integrity_only: bool = False) -> tuple[str, str]:
    """One sentence on a signature: the verdict and, where it did not pass, the reason."""
    if report.sub_indication is None:
        vi, en = _CODES[Code.SIG_VALID]
        who = report.signer.common_name if report.signer is not None else ""
        if integrity_only:
            return (
                "Chữ ký nguyên vẹn; chưa xét độ tin cậy.",
                "The signature is intact; trust was not looked at.",
            )
        return (f"{vi[:-1]}: {who}.", f"{en[:-1]}: {who}.") if who else (vi, en)
    failed = report.indication is Indication.TOTAL_FAILED
    if failed and report.kind is SignatureKind.DOCUMENT_TIMESTAMP:
        # The reasons speak of signatures, and of changes after signing: nobody signs by a time-stamp.
        return _CODES[Code.TS_BAD]
    vi, en = _CODES[Code.SIG_INVALID if failed else Code.SIG_INDETERMINATE]
    why_vi, why_en = reason(report.sub_indication)
    return f"{vi[:-1]}: {why_vi}.", f"{en[:-1]}: {why_en}."


def of_document(report: DocumentReport) -> tuple[str, str]:
    """One sentence on the whole document."""
    vi, en = _DOCUMENT[report.verdict]
    obstacles = {Code.DOC_MALFORMED, Code.DOC_ENCRYPTED, Code.FORMAT_UNSUPPORTED, Code.LIMIT_REACHED}
    for notice in report.notices:
        if notice.code in obstacles:
            more_vi, more_en = _CODES[notice.code]
            return f"{vi} {more_vi}", f"{en} {more_en}"
    if report.verdict is Verdict.VALID and not report.clean:
        told = {notice.code for notice in report.notices}
        passed = (one for one in report.signatures if one.indication is not Indication.TOTAL_FAILED)
        stained = not all(signature.clean for signature in passed)
        why = Code.DOC_EXTENDED if stained else next((code for code in _WHOLE if code in told), None)
        if why is not None:
            more_vi, more_en = _CODES[why]
            return f"{vi} {more_vi}", f"{en} {more_en}"
    return vi, en


_WHOLE = (Code.INNER_BROKEN, Code.OWNER_MISMATCH, Code.OWNER_NOT_COMPARABLE)
"""What takes `clean` from a document though its own signatures are."""
