"""Time-stamp tokens in containers, and members of every kind that are rubbish or a burden."""

from __future__ import annotations

import base64
import hashlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.kernel.values import DigestAlgorithm
from services.verifier.domain import Code, Indication, SignatureKind, SubIndication, Verdict
from services.verifier.formats import zip_members
from services.verifier.reports import sentences
from tests.support import stamping
from tests.support.containers import (
    FILES,
    FLAVOURS,
    KINDS,
    listing,
    made,
    members,
    packed,
    signature_file,
    subs,
    verify,
)


def stamped(manifest: bytes | None = None, content: bytes = FILES["to-trinh.txt"]) -> dict[str, bytes]:
    """ASiC-S with a time-stamp in place of a signature; with a manifest, ASiC-E."""
    over = content if manifest is None else manifest
    token = stamping.token(hashlib.sha256(over).digest(), DigestAlgorithm.SHA256)
    files = {"to-trinh.txt": content, "META-INF/timestamp.tst": token}
    return files if manifest is None else {**files, "META-INF/ASiCManifest.xml": manifest}


@pytest.mark.parametrize("form", ["ASIC_S", "ASIC_E"])
def test_a_time_stamp_alone_is_judged_and_signs_nothing(form: str) -> None:
    text = FILES["to-trinh.txt"]
    manifest = None if form == "ASIC_S" else listing("META-INF/timestamp.tst", {"to-trinh.txt": text})
    mimetype = {"mimetype": b"application/vnd.etsi.asic-%b+zip" % form[-1].lower().encode()}
    files = {**mimetype, **stamped(manifest)}
    report = verify(packed(files))
    assert report.verdict is Verdict.UNSIGNED
    (token,) = report.signatures
    assert token.kind is SignatureKind.DOCUMENT_TIMESTAMP
    assert token.indication is Indication.TOTAL_PASSED, token.detail
    # Nobody signed it, before and after it was changed: only the time-stamp is told to have failed.
    broken = verify(packed({**files, "to-trinh.txt": b"To trinh so 16"}))
    assert (broken.verdict, broken.clean) == (Verdict.UNSIGNED, False)
    assert subs(broken) == [SubIndication.HASH_FAILURE]
    for rubbish in (b"", b"\x30\x00", b"x" * 100):
        report = verify(packed({**files, "META-INF/timestamp.tst": rubbish}))
        assert report.verdict is Verdict.MALFORMED
    if manifest is not None:
        del files["META-INF/ASiCManifest.xml"]
        assert subs(verify(packed(files))) == [SubIndication.FORMAT_FAILURE]


def archived(form: str, kind: str) -> dict[str, bytes]:
    """A container with an archive manifest over all that was in it, and a token over that."""
    files = members(made(form, kind))
    listed = {n: d for n, d in files.items() if n == signature_file(files) or n in FILES}
    listed = {n.replace(" ", "%20"): d for n, d in listed.items()}
    manifest = listing("META-INF/timestamp001.tst", listed)
    token = stamping.token(hashlib.sha256(manifest).digest(), DigestAlgorithm.SHA256)
    return {**files, "META-INF/ASiCArchiveManifest.xml": manifest, "META-INF/timestamp001.tst": token}


@pytest.mark.parametrize(("form", "kind"), FLAVOURS)
def test_a_token_over_a_signature_file_is_an_archive_time_stamp_of_its_signatures(
    form: str, kind: str
) -> None:
    """Also of XAdES signatures, which have archive time-stamps of their own."""
    report = verify(packed(archived(form, kind)))
    assert report.clean, [s.detail for s in report.signatures]
    assert report.signatures[0].signing_time.source.value == "archive_time_stamp"
    assert report.signatures[1].kind is SignatureKind.DOCUMENT_TIMESTAMP


@pytest.mark.parametrize(("form", "kind"), FLAVOURS)
def test_a_broken_archive_time_stamp_takes_nothing_from_a_signature(form: str, kind: str) -> None:
    """As in the signatures that hold theirs themselves: it proves no time, and is told to have failed."""
    files = archived(form, kind)
    manifest = files["META-INF/ASiCArchiveManifest.xml"]
    broken = {**files, "META-INF/ASiCArchiveManifest.xml": manifest + b"\n"}
    report = verify(packed(broken))
    assert (report.verdict, report.clean) == (Verdict.VALID, True)
    signature, token = report.signatures
    assert signature.signing_time.source.value != "archive_time_stamp"
    assert Code.TS_BAD in {notice.code for notice in signature.notices}
    assert (token.indication, token.sub_indication) == (Indication.TOTAL_FAILED, SubIndication.HASH_FAILURE)
    assert sentences.of_signature(token) == sentences.of_code(Code.TS_BAD)
    changed = verify(packed({**broken, "to-trinh.txt": b"To trinh so 16"}))
    assert changed.verdict is Verdict.INVALID
    added = verify(packed({**broken, "them.txt": b"khong ai ky"}))
    assert not added.clean
    for rubbish in (b"khong ai ky", token_of(broken)[:-9]):
        hidden = verify(packed({**broken, "META-INF/timestamp001.tst": rubbish}))
        assert (hidden.verdict, hidden.clean) == (Verdict.MALFORMED, False)


def token_of(files: dict[str, bytes]) -> bytes:
    return files["META-INF/timestamp001.tst"]


@pytest.mark.parametrize("kind", KINDS)
def test_asic_s_has_a_signature_or_a_time_stamp_over_its_file(kind: str) -> None:
    """EN 319 162-1 4.3.3.2: one of both, whether the time-stamp holds or not."""
    files = members(made("ASIC_S", kind))
    for over in (files["to-trinh.txt"], b"else"):
        token = stamping.token(hashlib.sha256(over).digest(), DigestAlgorithm.SHA256)
        report = verify(packed({**files, "META-INF/timestamp.tst": token}))
        assert (report.verdict, subs(report)[0]) == (Verdict.MALFORMED, SubIndication.FORMAT_FAILURE)
    assert not verify(packed({**archived("ASIC_S", kind), "META-INF/timestamp.tst": token})).clean


OCTETS = st.binary(max_size=200)


@given(
    st.dictionaries(
        st.sampled_from(
            [
                "mimetype",
                "a.txt",
                "b.xml",
                "META-INF/signatures.xml",
                "META-INF/signature.p7s",
                "META-INF/manifest.xml",
                "META-INF/timestamp.tst",
                "META-INF/ASiCManifest.xml",
                "META-INF/ASiCArchiveManifest1.xml",
                "META-INF/evidencerecord.xml",
                "META-INF/x",
            ]
        ),
        st.one_of(
            OCTETS,
            st.sampled_from([b"application/vnd.etsi.asic-s+zip", b"application/vnd.etsi.asic-e+zip"]),
            OCTETS.map(lambda octets: b"<asic:ASiCManifest>" + octets),
        ),
    ),
    st.sampled_from(["ASIC_S", "ASIC_E"]),
    st.sampled_from(KINDS),
)
@settings(max_examples=60, deadline=None)
def test_no_members_raise_or_pass_beside_the_signed_ones(
    files: dict[str, bytes], form: str, kind: str
) -> None:
    whole = {**members(made(form, kind)), **files}
    report = verify(packed(whole))
    if report.clean:
        objects = {name for name in whole if not name.startswith("META-INF/") and name != "mimetype"}
        assert objects == {name for name in members(made(form, kind)) if name in FILES}
        assert all(whole[name] == FILES[name] for name in objects)


def test_transforms_do_not_make_one_file_a_hundred_times_the_work(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each reference that transforms a member has it parsed anew: what that costs is counted beforehand."""
    monkeypatch.setattr(zip_members, "MAX_MARKS", 20_000)
    digest = (
        '<ds:DigestMethod Algorithm="http://www.w3.org/2001/04/xmlenc#sha256"/>'
        f"<ds:DigestValue>{base64.b64encode(bytes(32)).decode()}</ds:DigestValue>"
    )
    transform = '<ds:Transform Algorithm="http://www.w3.org/TR/2001/REC-xml-c14n-20010315"/>'
    reference = f'<ds:Reference URI="a.xml"><ds:Transforms>{transform}</ds:Transforms>{digest}</ds:Reference>'
    signature = (
        '<ds:Signature xmlns:ds="http://www.w3.org/2000/09/xmldsig#"><ds:SignedInfo>'
        f'<ds:CanonicalizationMethod Algorithm="http://www.w3.org/TR/2001/REC-xml-c14n-20010315"/>'
        f'<ds:SignatureMethod Algorithm="http://www.w3.org/2001/04/xmldsig-more#rsa-sha256"/>{reference * 400}'
        "</ds:SignedInfo><ds:SignatureValue>AAAA</ds:SignatureValue></ds:Signature>"
    )
    content = b"<a>" + b"<b/>" * 1000 + b"</a>"
    report = verify(packed({"a.xml": content, "META-INF/signatures.xml": signature.encode()}))
    assert report.verdict is Verdict.INDETERMINATE
    assert report.notices[0].code is Code.LIMIT_REACHED
