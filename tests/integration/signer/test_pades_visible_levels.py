"""A visible signature reaches the highest level as an invisible one does."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

import pytest
from PIL import Image

from services.signer.formats.format import Document, Role, Signed
from services.signer.formats.pades import PadesBaseline
from services.signer.formats.parameters import Level, Place, Visible
from tests.support import pdfs
from tests.support.document_signers import signer
from tests.support.pades_verdicts import assert_openssl, assert_pdfsig, lta_verdicts, opened
from tests.support.stamping import raise_to

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize("certification", [0, 1])
async def test_a_visible_signature_reaches_the_highest_level(certification: int, tmp_path: Path) -> None:
    drawn = Image.new("RGBA", (400, 300), (0, 0, 0, 0))
    drawn.paste((255, 0, 0, 255), (50, 50, 350, 250))
    out = io.BytesIO()
    drawn.save(out, "PNG")
    picture = Document(io.BytesIO(out.getvalue()), len(out.getvalue()), "seal.png", "image/png", Role.IMAGE)
    original = pdfs.one_page_pdf()
    document = Document(io.BytesIO(original), len(original), others=(picture,))
    form, who = PadesBaseline(), signer()
    visible = Visible("free", Place(width=80, height=60, page=1, left=100, bottom=200))
    parameters = who.parameters(level=Level.B_LTA, visible=visible, certification=certification)
    prepared = form.prepare(document, parameters)
    addition = form.complete(document, parameters, prepared.state, who.sign(prepared.digest))
    data = original + raise_to(form, Signed(document, addition), Level.B_LTA)
    verdicts = await lta_verdicts(data)
    assert [(verdict.indication, verdict.docmdp_ok) for verdict in verdicts] == [("AdESPassed.OK", True)]
    assert_pdfsig(tmp_path, data, 1)
    assert assert_openssl(tmp_path, data) == 2
    shown, stamp = opened(data).root["/Pages"]["/Kids"][0]["/Annots"]
    assert [float(edge) for edge in shown.get_object()["/Rect"]] == [100, 200, 180, 260]
    assert [float(edge) for edge in stamp.get_object()["/Rect"]] == [0, 0, 0, 0]
