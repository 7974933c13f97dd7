"""docs/formats.md says what the code takes: formats, packagings, levels, media types, sizes; and its links lead somewhere."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from services.signer.config import DocumentSettings
from services.signer.documents import documents, session, wire
from services.signer.formats import (
    asic,
    cades,
    cms_container,
    jades,
    jades_json,
    pades_room,
    pdf_structure,
    smime,
    xades,
    xml_document,
    xml_references,
    zip_reader,
)
from services.signer.formats.parameters import (
    DIGEST_LEVELS,
    MAX_LEVELS,
    PACKAGINGS,
    FormatName,
    Level,
    media_type_of,
)
from services.signer.formats.visible import image
from services.signer.service import levels

ROOT = Path(__file__).resolve().parents[4]
DOCUMENT = ROOT / "docs" / "formats.md"
TEXT = DOCUMENT.read_text(encoding="utf-8")
MIB = 1 << 20


def rows(heading: str) -> list[list[str]]:
    """Return the cells of the tables under a heading; an empty first cell is that of the row above."""
    section = TEXT.split(f"\n## {heading}\n")[1].split("\n## ")[0]
    found: list[list[str]] = []
    for line in section.partition("\n|---")[2].splitlines():
        if line.startswith("| "):
            cells = [cell.strip() for cell in line.strip("|").split(" | ")]
            found.append([cells[0].strip() or found[-1][0], *cells[1:]])
    return found


def words(cell: str) -> list[str]:
    return re.findall(r"`([a-z_]+)`", cell)


def told() -> dict[str, dict[str, list[str]]]:
    """Return what the table tells: levels by format and packaging."""
    found: dict[str, dict[str, list[str]]] = {}
    levels: list[str] = []
    for cells in rows("The table"):
        if not words(cells[0]):
            continue
        levels = levels if cells[2] == "the same" else re.findall(r"B-(?:B|T|LTA|LT)\b", cells[2])
        for packaging in words(cells[1]):
            found.setdefault(words(cells[0])[0], {})[packaging] = levels
    return found


@pytest.mark.parametrize("name", PACKAGINGS)
def test_the_table_has_every_format_with_its_packagings_in_order_and_its_levels(name: FormatName) -> None:
    levels = [level.value for level in Level if MAX_LEVELS[name].includes(level)]
    expected = {packaging.lower(): levels for packaging in PACKAGINGS[name]}
    if name == "PADES":
        # What stands in the file cannot be made without it.
        expected["detached"] = [level.value for level in Level if DIGEST_LEVELS[name].includes(level)]
    assert told()[name.lower()] == expected
    assert list(told()[name.lower()]) == [packaging.lower() for packaging in PACKAGINGS[name]]


def test_the_table_has_no_other_format() -> None:
    assert set(told()) == {name.lower() for name in PACKAGINGS}


def test_every_media_type_is_in_the_table() -> None:
    given = {cells[4].split(" ")[0].strip("`") for cells in rows("The table") if words(cells[0])}
    made = {
        media_type_of(name, packaging, compact)
        for name, packagings in PACKAGINGS.items()
        for packaging in packagings
        for compact in (False, True)
    }
    assert given - {"the"} == made - {"application/jose+json"}
    assert "`application/jose+json`" in TEXT


def mib(size: int) -> str:
    assert size % MIB == 0
    return f"{size // MIB} MiB"


def test_sizes_are_those_of_the_code() -> None:
    settings = DocumentSettings()
    sizes = {cells[0]: cells[1] for cells in rows("Sizes")}
    enveloped = {cades.MAX_CONTENT_BYTES, xades.MAX_ENVELOPED_BYTES, jades.MAX_PAYLOAD_BYTES}
    assert sizes["a request, all its files together"] == mib(settings.max_document_bytes)
    assert f"the signer takes {session.MAX_FILES}" in TEXT
    assert sizes["what is added to a PDF; the whole result of any other format"] == mib(wire.MAX_BODY_BYTES)
    assert sizes["time for one step on one document"] == f"{settings.timeout_seconds:g} s"
    assert sizes["memory of a document worker"] == f"{documents.WORKER_MEMORY_BYTES >> 30} GiB"
    assert {sizes["content inside a CMS, XML or JSON signature (`enveloping`)"]} == set(map(mib, enveloped))
    assert sizes["XML document that is read"] == (
        f"{mib(xml_document.MAX_XML_BYTES)}, {xml_document.MAX_DEPTH} levels deep, {xml_document.MAX_ELEMENTS:,} "
        f"elements, {xml_references.MAX_SIGNATURES} signatures"
    )
    assert sizes["contents of an ASiC container together"] == (
        f"{mib(asic.MAX_CONTENT_BYTES)}; a container that is read {mib(zip_reader.MAX_ZIP_BYTES)} and "
        f"{zip_reader.MAX_MEMBERS:,} members"
    )
    assert sizes["JSON signature that is read"] == (
        f"{mib(jades_json.MAX_JWS_BYTES)}, {jades_json.MAX_SIGNATURES} signatures"
    )
    assert sizes["CMS container that is read"] == (
        f"{mib(cms_container.MAX_CONTAINER_BYTES)}, {cms_container.MAX_SIGNERS} signatures"
    )
    assert sizes["message"] == mib(smime.MAX_MESSAGE_BYTES)
    assert sizes["PDF"] == (
        f"{pdf_structure.MAX_OBJECTS:,} objects, {pdf_structure.MAX_REVISIONS} revisions, "
        f"{pdf_structure.MAX_FIELDS:,} form fields"
    )
    assert (
        sizes["image of a visible signature"] == f"{mib(image.MAX_BYTES)}, {image.MAX_SIDE:,} pixels a side"
    )
    assert sizes["time-stamps and collections of evidence for one document"] == str(levels.MAX_STEPS)
    assert sizes["time-stamp token in a PDF"] == f"{pades_room.TOKEN_BYTES >> 10} KiB"


@pytest.mark.parametrize("page", sorted(path.name for path in DOCUMENT.parent.glob("*.md")))
def test_links_of_the_documentation_lead_somewhere(page: str) -> None:
    path = DOCUMENT.parent / page
    for target, place in re.findall(r"\]\(([^)#\s]*)(?:#([^)\s]*))?\)", path.read_text(encoding="utf-8")):
        if "://" in target:
            continue
        file = path.parent / target if target else path
        assert file.exists(), f"{page}: {target}"
        if place:
            headings = {
                re.sub(r"[^\w -]", "", line.lstrip("# ").lower()).replace(" ", "-")
                for line in file.read_text(encoding="utf-8").splitlines()
                if line.startswith("#")
            }
            assert place in headings, f"{page}: {target}#{place}"


@pytest.mark.parametrize("page", ["formats.md", "threat-model.md"])
def test_the_tests_that_the_documentation_names_are_there(page: str) -> None:
    text = (DOCUMENT.parent / page).read_text(encoding="utf-8")
    named = set(re.findall(r"`(?:tests/)?([\w/]*test_\w+\.py)`", text))
    there = [path.as_posix() for path in (ROOT / "tests").rglob("test_*.py")]
    assert named
    assert [name for name in named if not any(path.endswith(f"/{name}") for path in there)] == []
