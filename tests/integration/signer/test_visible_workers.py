"""Visible signatures in real document workers: confined, with the font they were started with, or without one."""

from __future__ import annotations

from pathlib import Path

import pytest

from services.kernel.errors import DomainError, FontMissing, ImageInvalid, PlaceInvalid
from services.signer.documents.documents import DocumentWorkers
from services.signer.formats.format import FileStart, Role
from services.signer.formats.parameters import Place, Visible
from tests.support import pdfs
from tests.support.document_signers import pdfsig, signer
from tests.support.pictures import (
    blank_pdf,
    font_file,
    ink,
    letter_pdf,
    rendered,
    signature_png,
    text_of,
)

PERSON = Visible("nd30.person")
COPY = Visible("nd30.copy", copy_form="SAO Y")
BOX = Place(width=100, height=50, page=1, left=50, bottom=300)
FAR = Place(width=100, height=50, page=2, left=50, bottom=300)
ANCHOR = Place(width=100, height=50, anchor="NOWHERE")


async def signed(
    workers: DocumentWorkers, data: bytes, shown: Visible, image: bytes | None = None
) -> tuple[bytes, tuple[str, ...]]:
    """Return the signed file and the warnings."""
    who = signer()
    async with workers.session() as session:
        await session.feed(data)
        if image is not None:
            session.begin_file(FileStart(role=Role.IMAGE, name="chữ ký.png"))
            await session.feed(image)
        made = await session.prepare(who.parameters(visible=shown))
        await session.complete(who.sign(made.digest))
        return b"".join([piece async for piece in session.result()]), made.warnings


async def test_a_confined_worker_finds_text_decodes_images_and_prints(tmp_path: Path) -> None:
    async with DocumentWorkers.open(workers=1, font_file=font_file()) as workers:
        data, warnings = await signed(workers, letter_pdf(), PERSON, signature_png())
        assert warnings == ()
        assert ink(rendered(data), "blue") is not None
        data, _ = await signed(workers, data, COPY)
        assert "SAO Y" in text_of(data)
        (tmp_path / "signed.pdf").write_bytes(data)
        assert [entry["Signature Validation"] for entry in pdfsig(tmp_path / "signed.pdf")] == [
            "Signature is Valid."
        ] * 2


async def test_a_large_document_is_searched_where_it_lies() -> None:
    # Above what a worker reads at once: PDFium reads through the descriptor.
    letter = letter_pdf()
    ballast = b"%" + b"x" * (9 << 20) + b"\n"
    end = letter.rindex(b"startxref")
    table = letter.rindex(b"xref\n", 0, end)
    offset = table + len(ballast)
    large = letter[:table] + ballast + letter[table:end] + b"startxref\n%d\n%%%%EOF\n" % offset
    async with DocumentWorkers.open(workers=1, font_file=font_file()) as workers:
        data, _ = await signed(workers, large, PERSON, signature_png())
    assert ink(rendered(data, dpi=72), "blue", dpi=72) is not None


async def test_without_a_font_the_caller_hears_what_is_missing() -> None:
    async with DocumentWorkers.open(workers=1) as workers:
        with pytest.raises(FontMissing, match="fonts-liberation2"):
            await signed(workers, blank_pdf(), COPY)


async def test_a_font_that_cannot_be_used_is_told_at_start(tmp_path: Path) -> None:
    broken = tmp_path / "broken.ttf"
    broken.write_bytes(b"no font")
    for path, reason in ((broken, "no TrueType font"), (tmp_path / "absent.ttf", "No such file")):
        with pytest.raises(ExceptionGroup) as caught:
            async with DocumentWorkers.open(workers=1, font_file=path):
                pass
        (error,) = caught.value.exceptions
        assert isinstance(error, OSError)
        assert reason in str(error)


HOSTILE: dict[str, tuple[bytes, Visible, bytes | None, type[DomainError]]] = {
    "not a PNG": (blank_pdf(), Visible("free", place=BOX), b"GIF89a", ImageInvalid),
    "image missing": (letter_pdf(), PERSON, None, ImageInvalid),
    "anchor nowhere": (blank_pdf(), Visible("free", place=ANCHOR), signature_png(), PlaceInvalid),
    "page out of range": (blank_pdf(), Visible("free", place=FAR), signature_png(), PlaceInvalid),
}


@pytest.mark.parametrize("case", HOSTILE)
async def test_what_a_worker_refuses_arrives_typed(case: str) -> None:
    data, shown, image, error = HOSTILE[case]
    async with DocumentWorkers.open(workers=1, font_file=font_file()) as workers:
        with pytest.raises(error):
            await signed(workers, data, shown, image)


async def test_a_content_stream_without_end_does_not_take_the_worker_along() -> None:
    # A form that paints itself, and a page that nests a million states: PDFium comes back all the same.
    content = b"q " * 1_000_000 + b"/X0 Do"
    objects = pdfs.page_objects()
    objects[pdfs.PAGE] = objects[pdfs.PAGE].replace(b"/Resources <<", b"/Resources <</XObject <</X0 6 0 R>> ")
    objects[pdfs.CONTENT] = b"<</Length %d>>\nstream\n%s\nendstream" % (len(content), content)
    objects[6] = (
        b"<</Type /XObject /Subtype /Form /BBox [0 0 9 9] /Resources <</XObject <</X0 6 0 R>>>> /Length 6>>\n"
        b"stream\n/X0 Do\nendstream"
    )
    async with DocumentWorkers.open(workers=1, timeout_seconds=20, font_file=font_file()) as workers:
        data, _ = await signed(workers, pdfs.assemble(objects), COPY)
        assert b"/Subtype /Form" in data
        again, _ = await signed(workers, blank_pdf(), COPY)
        assert "SAO Y" in text_of(again)
