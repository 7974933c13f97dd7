"""The file that the verifier's command writes is the file that the registry reads: neither room knows the other."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding

from services.registry import trust_lists
from services.registry.domain.anchors import SIGNATURE, TIME_STAMP
from services.verifier.commands import trust_list_command
from tests.support.trust_lists import CA_QC, GRANTED, QTST, WITHDRAWN, List, Service, moment
from tests.unit.verifier.authority import NOW, Authority

LIMITED = [(WITHDRAWN, moment(2022)), (GRANTED, moment(2018))]


@pytest.mark.parametrize("next_update", [NOW + timedelta(days=30), None])
def test_the_registry_takes_what_the_verifier_has_checked(tmp_path: Path, next_update: object) -> None:
    authority = Authority("Scheme CA")
    operator = authority.signer(key=rsa.generate_private_key(65537, 2048))
    services = [
        Service(CA_QC, authority.der, [(GRANTED, moment(2020))]),
        Service(QTST, authority.der, LIMITED),
    ]
    listed = List(services, next_update=next_update)  # type: ignore[arg-type]
    (tmp_path / "list.xml").write_bytes(listed.signed(operator))
    (tmp_path / "signer.pem").write_bytes(operator.certificate.public_bytes(Encoding.PEM))
    output = tmp_path / "list.json"
    signer = ("--signer", str(tmp_path / "signer.pem"))
    arguments = [str(tmp_path / "list.xml"), *signer, "--scope", "public", "--output", str(output)]
    assert trust_list_command.main(arguments, NOW) == 0
    taken = trust_lists.read("neac", output)
    assert (taken.name, taken.head.operator, taken.head.sequence_number) == ("neac", "NEAC (VN)", 7)
    assert taken.next_update == next_update
    first, second = taken.anchors
    assert first.certificate == second.certificate == authority.der
    assert {first.scope, second.scope} == {"public"}
    assert {first.trust_list, second.trust_list} == {"neac"}
    assert first.is_trusted(SIGNATURE, NOW)
    assert not first.is_trusted(SIGNATURE, moment(2019))
    assert second.is_trusted(TIME_STAMP, moment(2019))
    assert not second.is_trusted(TIME_STAMP, NOW)
    assert not second.is_trusted(SIGNATURE, moment(2019))
