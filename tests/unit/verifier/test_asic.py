"""Containers that were tampered with: members put in, taken out, exchanged and renamed, signatures of other containers."""

from __future__ import annotations

import base64
import hashlib
import io
import zipfile

import pytest

from services.signer.formats.cades import CadesBaseline
from services.verifier.domain import Code, Coverage, Indication, SubIndication, Verdict
from services.verifier.formats.asic import AsicFormat
from services.verifier.ports import SubmittedDocument
from tests.support.containers import (
    FILES,
    FLAVOURS,
    KINDS,
    codes,
    cosigned,
    listing,
    made,
    members,
    packed,
    signature_file,
    subs,
    verify,
)  # fmt: skip
from tests.support.document_signers import signed, signer


@pytest.mark.parametrize(("form", "kind"), FLAVOURS)
def test_what_the_signer_makes_is_valid_and_names_its_contents(form: str, kind: str) -> None:
    container = made(form, kind)
    report = verify(container)
    assert (report.verdict, report.clean) == (Verdict.VALID, True)
    assert report.format == {"ASIC_S": "ASiC-S", "ASIC_E": "ASiC-E"}[form]
    (found,) = report.signatures
    assert found.coverage.coverage is Coverage.WHOLE
    assert found.coverage.covered_bytes == sum(len(FILES[n]) for n in members(container) if n in FILES)
    contents = AsicFormat().find(SubmittedDocument(container)).contents
    assert {one.name: one.data for one in contents} == {
        n: d for n, d in members(container).items() if n in FILES
    }
    assert all(one.signed_by == (found.name,) for one in contents)


@pytest.mark.parametrize(("form", "kind"), FLAVOURS)
def test_a_changed_member_is_a_changed_document(form: str, kind: str) -> None:
    files = members(made(form, kind))
    report = verify(packed({**files, "to-trinh.txt": b"To trinh so 16"}))
    assert (report.verdict, subs(report)) == (Verdict.INVALID, [SubIndication.HASH_FAILURE])
    assert Code.DOC_MODIFIED in codes(report)


@pytest.mark.parametrize("kind", KINDS)
def test_a_member_that_is_gone_is_missed(kind: str) -> None:
    files = members(made("ASIC_E", kind))
    del files["to-trinh.txt"]
    report = verify(packed(files))
    assert subs(report) == [SubIndication.SIGNED_DATA_NOT_FOUND]
    assert report.verdict is Verdict.INDETERMINATE


@pytest.mark.parametrize("kind", KINDS)
def test_renamed_and_exchanged_members_do_not_pass(kind: str) -> None:
    files = members(made("ASIC_E", kind))
    renamed = {("to-trinh.TXT" if n == "to-trinh.txt" else n): d for n, d in files.items()}
    assert subs(verify(packed(renamed))) == [SubIndication.SIGNED_DATA_NOT_FOUND]
    one, other = FILES
    exchanged = {**files, one: files[other], other: files[one]}
    assert subs(verify(packed(exchanged))) == [SubIndication.HASH_FAILURE]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    "name", ["them.txt", "phu-luc/them.pdf", "mimetype2", "meta-inf/them.txt", "META-INF/them.txt", "META-INF/x/y.xml"]
)  # fmt: skip
def test_a_member_that_was_put_in_takes_the_verdict_away(kind: str, name: str) -> None:
    report = verify(packed({**members(made("ASIC_E", kind)), name: b"khong ai ky"}))
    assert subs(report) == [SubIndication.SIG_CONSTRAINTS_FAILURE]
    assert (report.verdict, report.clean) == (Verdict.INDETERMINATE, False)
    assert Code.NOT_ALL_SIGNED in codes(report)
    assert report.signatures[0].integrity.value == "intact"


@pytest.mark.parametrize("kind", KINDS)
def test_asic_s_holds_one_file_in_its_root(kind: str) -> None:
    files = members(made("ASIC_S", kind))
    assert subs(verify(packed({**files, "them.txt": b"x"}))) == [SubIndication.FORMAT_FAILURE]
    without = {n: d for n, d in files.items() if n != "to-trinh.txt"}
    assert subs(verify(packed(without))) == [SubIndication.SIGNED_DATA_NOT_FOUND]
    moved = {("a/to-trinh.txt" if n == "to-trinh.txt" else n): d for n, d in files.items()}
    assert not verify(packed(moved)).clean


@pytest.mark.parametrize(("form", "kind"), FLAVOURS)
def test_a_signature_of_another_container_does_not_pass(form: str, kind: str) -> None:
    files, other = members(made(form, kind)), members(made(form, kind, text=b"To trinh so 99"))
    name = signature_file(files)
    assert verify(packed({**files, name: other[name]})).verdict is Verdict.INVALID
    second = name.replace("META-INF/", "META-INF/zz-")
    added = verify(packed({**files, second: other[name]}))
    assert added.verdict is not Verdict.VALID
    assert len(added.signatures) == 2
    assert (added.signatures[0].indication is Indication.TOTAL_PASSED) is (form == "ASIC_E")
    # ASiC-S has one signature file, also where the second is the first again.
    again = verify(packed({**files, second: files[name]}))
    assert again.clean is ((form, kind) == ("ASIC_E", "XADES"))


def test_a_manifest_of_another_container_does_not_pass() -> None:
    name = "META-INF/ASiCManifest001.xml"
    files, other = members(made("ASIC_E", "CADES")), members(made("ASIC_E", "CADES", text=b"To trinh so 99"))
    assert verify(packed({**files, name: other[name]})).verdict is Verdict.INVALID
    both = verify(
        packed({**files, name: other[name], "META-INF/signature001.p7s": other["META-INF/signature001.p7s"]})
    )
    assert subs(both) == [SubIndication.HASH_FAILURE]
    beside = verify(packed({**files, "META-INF/ASiCManifest009.xml": other[name]}))
    assert subs(beside) == [SubIndication.SIG_CONSTRAINTS_FAILURE]
    before = verify(packed({"META-INF/ASiCManifest000.xml": other[name], **files}))
    assert subs(before) == [SubIndication.SIG_CONSTRAINTS_FAILURE]


def test_a_manifest_that_was_edited_or_is_gone_takes_the_signature_with_it() -> None:
    name = "META-INF/ASiCManifest001.xml"
    files = members(made("ASIC_E", "CADES"))
    fewer = files[name].replace(b"phu-luc/bang%201.xml", b"to-trinh.txt")
    assert verify(packed({**files, name: fewer})).verdict is Verdict.INVALID
    for broken in (b"<a/>", b"", files[name].replace(b"SigReference", b"sigReference")):
        assert subs(verify(packed({**files, name: broken}))) == [SubIndication.FORMAT_FAILURE]
    del files[name]
    assert subs(verify(packed(files))) == [SubIndication.FORMAT_FAILURE]


def test_a_digest_that_is_not_known_decides_nothing() -> None:
    files = members(made("ASIC_E", "CADES"))
    other = files["META-INF/ASiCManifest001.xml"].replace(b"xmlenc#sha256", b"xmlenc#khac", 1)
    who = signer()
    value = signed(CadesBaseline(), other, who, who.parameters(form="CADES", packaging="DETACHED"))
    files |= {"META-INF/ASiCManifest001.xml": other, "META-INF/signature001.p7s": value}
    report = verify(packed(files))
    assert (report.verdict, subs(report)) == (Verdict.INDETERMINATE, [SubIndication.GENERIC])


def test_what_a_manifest_leaves_out_is_not_signed() -> None:
    """A signer who signs a manifest with fewer objects than there are signs nothing else."""
    files = members(made("ASIC_E", "CADES"))
    smaller = {n: d for n, d in members(made("ASIC_S", "CADES")).items() if n == "to-trinh.txt"}
    manifest = listing("META-INF/signature001.p7s", smaller)
    who = signer()
    value = signed(CadesBaseline(), manifest, who, who.parameters(form="CADES", packaging="DETACHED"))
    made_of = {**files, "META-INF/ASiCManifest001.xml": manifest, "META-INF/signature001.p7s": value}
    report = verify(packed(made_of))
    assert subs(report) == [SubIndication.SIG_CONSTRAINTS_FAILURE]
    assert report.signatures[0].coverage.coverage is Coverage.PARTIAL
    contents = AsicFormat().find(SubmittedDocument(packed(made_of))).contents
    assert {one.name for one in contents if not one.signed_by} == {"phu-luc/bang 1.xml"}
    del made_of["phu-luc/bang 1.xml"]
    assert verify(packed(made_of)).clean


@pytest.mark.parametrize("kind", KINDS)
def test_two_signatures_over_all_pass_and_a_later_object_is_told(kind: str) -> None:
    once = made("ASIC_E", kind)
    twice = cosigned(once, kind)
    assert verify(twice).clean
    assert len(verify(twice).signatures) == 2
    later = verify(cosigned(packed({**members(once), "them.txt": b"them"}), kind))
    assert [s.indication for s in later.signatures] == [Indication.TOTAL_PASSED] * 2
    assert (later.verdict, later.clean) == (Verdict.VALID, False)
    assert Code.DOC_EXTENDED in {n.code for n in later.signatures[0].notices}
    assert later.signatures[1].clean


@pytest.mark.parametrize("kind", KINDS)
def test_two_signatures_over_different_objects_make_no_whole(kind: str) -> None:
    first, second = members(made("ASIC_S", kind)), members(made("ASIC_S", kind, text=b"khac"))
    name = signature_file(first)
    files = {"to-trinh.txt": first["to-trinh.txt"], name: first[name]}
    files |= {"khac.txt": second["to-trinh.txt"], name.replace("signature", "signature2"): second[name]}
    report = verify(packed({"mimetype": b"application/vnd.etsi.asic-e+zip", **files}))
    assert report.verdict is not Verdict.VALID


@pytest.mark.parametrize("kind", KINDS)
def test_octets_between_members_are_suspicious(kind: str) -> None:
    whole = made("ASIC_E", kind)
    end = whole.rindex(b"PK\x05\x06")
    report = verify(whole[:end] + b"an giau" + whole[end:])
    assert subs(report) == [SubIndication.SIG_CONSTRAINTS_FAILURE]
    assert Code.UNOWNED_BYTES in codes(report)


def test_files_that_are_no_containers_are_told_apart() -> None:
    plain = verify(packed({"a.txt": b"1"}))
    assert (plain.verdict, plain.signatures) == (Verdict.UNSIGNED, ())
    empty = verify(packed({"mimetype": b"application/vnd.etsi.asic-e+zip", "a.txt": b"1"}))
    assert empty.verdict is Verdict.UNSIGNED
    office = verify(packed({"[Content_Types].xml": b"<a/>", "_xmlsignatures/sig1.xml": b"<a/>"}))
    assert office.verdict is Verdict.INDETERMINATE
    assert office.notices[0].code is Code.FORMAT_UNSUPPORTED
    for name, kind in (
        ("[Content_Types].xml", b""),
        ("content.xml", b"application/vnd.oasis.opendocument.text"),
    ):
        parts = packed({"mimetype": kind, name: b"<a/>"})
        assert AsicFormat().find(SubmittedDocument(parts)).contents == []
    slip = verify(packed({"../a": b"1"}))
    assert (slip.verdict, slip.notices[0].code) == (Verdict.MALFORMED, Code.DOC_MALFORMED)
    bomb = zipfile.ZipInfo("a")
    bomb.compress_type = zipfile.ZIP_DEFLATED
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr(bomb, bytes(8 << 20))
    report = verify(out.getvalue())
    assert (report.verdict, report.notices[0].code) == (Verdict.INDETERMINATE, Code.LIMIT_REACHED)


@pytest.mark.parametrize("kind", KINDS)
def test_the_media_type_may_be_missing_or_another(kind: str) -> None:
    for form in ("ASIC_S", "ASIC_E"):
        files = members(made(form, kind))
        del files["mimetype"]
        assert verify(packed(files)).clean
        assert verify(packed({**files, "mimetype": b"text/plain"})).clean


def test_a_signature_file_without_a_signature_is_not_overlooked() -> None:
    files = members(made("ASIC_E", "XADES"))
    for rubbish in (b"", b"<a/>", b"\x00" * 20, b"<!DOCTYPE a []><a/>"):
        report = verify(packed({**files, "META-INF/signatures002.xml": rubbish}))
        assert report.verdict is Verdict.MALFORMED
        assert report.signatures[0].indication is Indication.TOTAL_PASSED


def test_a_digest_that_is_not_reliable_does_not_carry_a_signature() -> None:
    """SHA-1 in the manifest: the signature value is sound, what it stands for is not."""
    files = members(made("ASIC_E", "CADES"))
    manifest = files["META-INF/ASiCManifest001.xml"]
    for name, data in FILES.items():
        old = base64.b64encode(hashlib.sha256(data).digest())
        assert old in manifest, name
        manifest = manifest.replace(old, base64.b64encode(hashlib.sha1(data).digest()))  # noqa: S324
    manifest = manifest.replace(
        b"http://www.w3.org/2001/04/xmlenc#sha256", b"http://www.w3.org/2000/09/xmldsig#sha1"
    )
    who = signer()
    value = signed(CadesBaseline(), manifest, who, who.parameters(form="CADES", packaging="DETACHED"))
    files |= {"META-INF/ASiCManifest001.xml": manifest, "META-INF/signature001.p7s": value}
    report = verify(packed(files))
    assert report.verdict is Verdict.INDETERMINATE
    assert Code.ALG_SHA1 in codes(report)
