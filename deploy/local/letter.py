"""The demo's document: a two-page official letter (công văn) as Nghị định 30/2020/NĐ-CP, Phụ lục I lays it out.

The province, the people and the numbers are invented. The same fonts give the same bytes every time.

    python -m deploy.local.letter OUT.pdf
"""

from __future__ import annotations

import io
import sys
from pathlib import Path
from typing import Literal

from reportlab.lib.pagesizes import A4
from reportlab.lib.styles import ParagraphStyle
from reportlab.lib.units import cm, mm
from reportlab.pdfbase import pdfmetrics
from reportlab.pdfbase.ttfonts import TTFont
from reportlab.pdfgen.canvas import Canvas
from reportlab.platypus import (
    BaseDocTemplate,
    CondPageBreak,
    Flowable,
    Frame,
    KeepTogether,
    PageTemplate,
    Paragraph,
    Spacer,
    Table,
)

from deploy.local.console import PlatformError
from deploy.local.tools import Tools

NUMBER = "1268/UBND-HCC"
TITLE = "Triển khai ký số và xác thực văn bản điện tử trong giải quyết thủ tục hành chính"
FACES = {"Serif": "Regular", "Serif-Bold": "Bold", "Serif-Italic": "Italic", "Serif-BoldItalic": "BoldItalic"}

OPENING = (
    "Thực hiện quy định về giao dịch điện tử và về công tác văn thư, nhằm bảo đảm kết quả giải quyết thủ tục hành "
    "chính trả cho người dân, doanh nghiệp dưới dạng điện tử có đầy đủ giá trị pháp lý và kiểm tra được tại mọi nơi "
    "tiếp nhận, Ủy ban nhân dân tỉnh Ví Dụ yêu cầu các sở, ban, ngành, Ủy ban nhân dân các xã, phường tổ chức thực "
    "hiện thống nhất các nội dung sau đây:"
)
TASKS: tuple[tuple[str, tuple[str, ...]], ...] = (
    (
        "1. Ký số kết quả giải quyết thủ tục hành chính",
        (
            "a) Từ ngày 01 tháng 12 năm 2026, toàn bộ kết quả giải quyết thủ tục hành chính thuộc phạm vi dịch vụ công "
            "trực tuyến toàn trình được ban hành dưới dạng tệp PDF, có chữ ký số của người có thẩm quyền hoặc chữ ký "
            "số của cơ quan, tổ chức theo đúng loại văn bản.",
            "b) Khóa ký của cơ quan, tổ chức được tạo và lưu giữ trong thiết bị an toàn phần cứng đặt tại trung tâm dữ "
            "liệu của tỉnh. Không sao chép khóa ra ngoài thiết bị; không lưu mã kích hoạt trong phần mềm nghiệp vụ.",
            "c) Văn bản thuộc phạm vi bí mật nhà nước không được chuyển lên hệ thống ký số tập trung dưới bất kỳ hình "
            "thức nào và tiếp tục thực hiện theo quy định của pháp luật về bảo vệ bí mật nhà nước.",
        ),
    ),
    (
        "2. Xác thực hồ sơ điện tử do người dân, doanh nghiệp nộp",
        (
            "a) Bộ phận Một cửa các cấp kiểm tra chữ ký số trên từng thành phần hồ sơ ngay khi tiếp nhận. Phiếu tiếp "
            "nhận ghi rõ kết quả kiểm tra: hợp lệ, không hợp lệ hoặc chưa đủ căn cứ kết luận, kèm lý do bằng tiếng Việt "
            "để người nộp biết cách bổ sung.",
            "b) Trường hợp nội dung văn bản đã bị thay đổi sau khi ký, công chức tiếp nhận từ chối thành phần hồ sơ đó và "
            "hướng dẫn người nộp ký lại. Không yêu cầu nộp bản giấy để thay thế việc kiểm tra chữ ký số.",
        ),
    ),
    (
        "3. Quản lý chứng thư số và trách nhiệm của người sử dụng",
        (
            "a) Thủ trưởng cơ quan, đơn vị rà soát danh sách người được cấp chứng thư số của đơn vị mình trước ngày 25 "
            "hằng tháng; đề nghị tạm dừng ngay khi có thay đổi về vị trí công tác hoặc có dấu hiệu lộ, mất quyền kiểm "
            "soát; đề nghị thu hồi trong thời hạn 24 giờ khi chấm dứt sử dụng.",
            "b) Mọi lần ký, từ chối ký và thay đổi trạng thái chứng thư số đều được ghi nhật ký theo trình tự liên tục, "
            "lưu trữ tối thiểu 10 năm và cung cấp cho cơ quan thanh tra, kiểm tra khi có yêu cầu.",
        ),
    ),
    (
        "4. Tổ chức thực hiện",
        (
            "a) Sở Khoa học và Công nghệ chủ trì, phối hợp với Trung tâm Phục vụ hành chính công tỉnh hoàn thành kết nối "
            "hệ thống ký số tập trung với hệ thống thông tin giải quyết thủ tục hành chính; tập huấn cho công chức Bộ "
            "phận Một cửa của 34 xã, phường; hoàn thành trước ngày 20 tháng 12 năm 2026.",
            "b) Sở Tài chính cân đối, bố trí kinh phí duy trì thiết bị và dịch vụ theo phân cấp ngân sách hiện hành.",
            "c) Định kỳ ngày 15 hằng tháng, các cơ quan, đơn vị báo cáo Ủy ban nhân dân tỉnh số lượng văn bản đã ký số, "
            "số hồ sơ đã kiểm tra và các vướng mắc phát sinh (qua Văn phòng Ủy ban nhân dân tỉnh để tổng hợp).",
        ),
    ),
)
CLOSING = (
    "Ủy ban nhân dân tỉnh yêu cầu Thủ trưởng các sở, ban, ngành, Chủ tịch Ủy ban nhân dân các xã, phường khẩn trương "
    "triển khai thực hiện. Trong quá trình thực hiện, nếu có khó khăn, vướng mắc, kịp thời phản ánh về Sở Khoa học và "
    "Công nghệ để được hướng dẫn hoặc báo cáo Ủy ban nhân dân tỉnh xem xét, quyết định./."
)
RECIPIENTS = (
    "Như trên;",
    "Chủ tịch, các PCT UBND tỉnh;",
    "Trung tâm PVHCC tỉnh;",
    "CVP, các PCVP UBND tỉnh;",
    "Lưu: VT, KSTT.",
)


Align = Literal[0, 1, 4]
# reportlab's own numbers, whose types its stubs want as literals.
LEFT: Align = 0
CENTER: Align = 1
JUSTIFY: Align = 4


def _style(name: str, size: float, font: str = "Serif", align: Align = CENTER) -> ParagraphStyle:
    # A line is a quarter higher than its letters: Vietnamese stacks two marks on a vowel.
    return ParagraphStyle(
        name, fontName=font, fontSize=size, leading=size * 1.25, alignment=align, bulletFontName=font
    )


def _indented(name: str, font: str, before: float, after: float) -> ParagraphStyle:
    parent = _style(f"{name}-base", 14, font, JUSTIFY)
    return ParagraphStyle(name, parent, firstLineIndent=1 * cm, spaceBefore=before, spaceAfter=after)


HEADING = _style("heading", 12.5)
HEADING_BOLD = _style("heading-bold", 12.5, "Serif-Bold")
MOTTO = _style("motto", 13.5, "Serif-Bold")
PLACE = _style("place", 13.5, "Serif-Italic")
PLAIN = _style("plain", 13)
TASK = _indented("task", "Serif-Bold", 6, 3)
BODY = _indented("body", "Serif", 0, 6)
RECIPIENT_HEAD = _style("recipient-head", 12, "Serif-BoldItalic", LEFT)
RECIPIENT = _style("recipient", 11, "Serif", LEFT)
SIGNER = _style("signer", 13.5, "Serif-Bold")


def make_letter(fonts: Path) -> bytes:
    """Return the letter as PDF; `fonts` is the folder with the four LiberationSerif files, which are embedded."""
    for name, face in FACES.items():
        if name not in pdfmetrics.getRegisteredFontNames():
            font = TTFont(name, str(fonts / f"LiberationSerif-{face}.ttf"))
            if ord("ệ") not in font.face.charToGlyph:
                raise PlatformError(f"the font {fonts / f'LiberationSerif-{face}.ttf'} has no Vietnamese letters: "
                                    "install Liberation 2 (Debian: apt-get install fonts-liberation2)")  # fmt: skip
            pdfmetrics.registerFont(font)
    buffer = io.BytesIO()
    document = BaseDocTemplate(
        buffer, pagesize=A4, leftMargin=30 * mm, rightMargin=18 * mm, topMargin=20 * mm, bottomMargin=20 * mm,
        title=f"Công văn số {NUMBER}: {TITLE}", author="Ủy ban nhân dân tỉnh Ví Dụ", subject="Công văn",
        creator="Kyso", lang="vi-VN", invariant=1,
    )  # fmt: skip
    frame = Frame(document.leftMargin, document.bottomMargin, document.width, document.height, 0, 0, 0, 0)
    document.addPageTemplates([PageTemplate(id="page", frames=[frame], onPage=_page_number)])
    document.build([*_head(document.width), *_body(), _foot(document.width)])
    return buffer.getvalue()


def _page_number(canvas: Canvas, document: BaseDocTemplate) -> None:
    # Numbered from the second page on, in the middle of the upper margin.
    if document.page > 1:
        canvas.setFont("Serif", 13)
        canvas.drawCentredString(A4[0] / 2, A4[1] - 14 * mm, str(document.page))


class _Rule(Flowable):
    """A line in the middle of its cell; `share` is its part of the cell's width. Table cells ignore alignment."""

    def __init__(self, share: float) -> None:
        super().__init__()
        self._share = share
        self._width = 0.0

    def wrap(self, available_width: float, available_height: float) -> tuple[float, float]:
        del available_height
        self._width = available_width
        return available_width, 6

    def draw(self) -> None:
        half = self._width * self._share / 2
        self.canv.setLineWidth(0.7)
        self.canv.line(self._width / 2 - half, 4, self._width / 2 + half, 4)


def _head(width: float) -> list[Flowable]:
    left: list[Flowable] = [
        Paragraph("ỦY BAN NHÂN DÂN", HEADING_BOLD),
        Paragraph("TỈNH VÍ DỤ", HEADING_BOLD),
        _Rule(0.38),
        Paragraph(f"Số: {NUMBER}", PLAIN),
        Paragraph(
            "V/v triển khai ký số và xác thực văn bản điện tử trong giải quyết thủ tục hành chính", HEADING
        ),
    ]
    right: list[Flowable] = [
        Paragraph("CỘNG HÒA XÃ HỘI CHỦ NGHĨA VIỆT NAM", HEADING_BOLD),
        Paragraph("Độc lập - Tự do - Hạnh phúc", MOTTO),
        _Rule(0.62),
        Paragraph("Ví Dụ, ngày 22 tháng 11 năm 2026", PLACE),
    ]
    table = Table([[left, right]], colWidths=[width * 0.41, width * 0.59])
    table.setStyle(
        [
            ("VALIGN", (0, 0), (-1, -1), "TOP"),
            ("LEFTPADDING", (0, 0), (-1, -1), 0),
            ("RIGHTPADDING", (0, 0), (-1, -1), 0),
        ]
    )
    addressee = Table(
        [[Paragraph("Kính gửi:", _style("to", 14, "Serif", LEFT)),
          [Paragraph("- Các sở, ban, ngành thuộc tỉnh;", _style("to1", 14, "Serif", LEFT)),
           Paragraph("- Ủy ban nhân dân các xã, phường.", _style("to2", 14, "Serif", LEFT))]]],
        colWidths=[2.4 * cm, 8.6 * cm], hAlign="CENTER",
    )  # fmt: skip
    addressee.setStyle([("VALIGN", (0, 0), (-1, -1), "TOP")])
    return [table, Spacer(1, 8 * mm), addressee, Spacer(1, 5 * mm)]


def _body() -> list[Flowable]:
    parts: list[Flowable] = [Paragraph(OPENING, BODY)]
    for heading, paragraphs in TASKS:
        first, *rest = (Paragraph(text, BODY) for text in paragraphs)
        # A heading needs room for a few lines of its text below it.
        parts += [CondPageBreak(3 * cm), Paragraph(heading, TASK), first, *rest]
    return [*parts, Paragraph(CLOSING, BODY)]


def _foot(width: float) -> Flowable:
    left: list[Flowable] = [
        Paragraph("Nơi nhận:", RECIPIENT_HEAD),
        *(Paragraph(f"- {who}", RECIPIENT) for who in RECIPIENTS),
    ]
    right: list[Flowable] = [
        Paragraph("TM. ỦY BAN NHÂN DÂN", SIGNER),
        Paragraph("KT. CHỦ TỊCH", SIGNER),
        Paragraph("PHÓ CHỦ TỊCH", SIGNER),
        Spacer(1, 24 * mm),
        Paragraph("Nguyễn Thị Minh Họa", SIGNER),
    ]
    table = Table([[left, right]], colWidths=[width * 0.48, width * 0.52])
    table.setStyle(
        [
            ("VALIGN", (0, 0), (-1, -1), "TOP"),
            ("LEFTPADDING", (0, 0), (-1, -1), 0),
            ("TOPPADDING", (0, 0), (-1, -1), 8),
        ]
    )
    return KeepTogether([table])


def main(arguments: list[str]) -> int:
    """Write the letter to the file named by the one argument."""
    if len(arguments) != 1:
        print("usage: python -m deploy.local.letter OUT.pdf")
        return 2
    Path(arguments[0]).write_bytes(make_letter(Tools().serif_fonts()))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
