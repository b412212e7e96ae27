"""Vifs of domains, asked of libvirt's own test driver (test:///FILE), which needs no daemon."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from remusnet.errors import InvalidInput, MissingDependency
from remusnet.host.libvirt import domain_vifs, listed_vifs

pytestmark = pytest.mark.libvirt

UUID = "f2b1c0de-0000-4000-8000-000000000001"
CARD = "<interface type='bridge'><source bridge='xenbr0'/>{}</interface>"
DOMAIN = """
<domain type='test' id='{number}'>
  <name>{name}</name><uuid>{uuid}</uuid><memory>8192</memory><vcpu>1</vcpu>
  <os><type arch='x86_64'>hvm</type></os>
  <devices>{cards}</devices>
</domain>
"""


def domain(name: str, uuid: str, number: int, *targets: str) -> str:
    cards = "".join(CARD.format(f"<target dev='{each}'/>" if each else "") for each in targets)
    return DOMAIN.format(name=name, uuid=uuid, number=number, cards=cards)


@pytest.fixture
def uri(tmp_path: Path) -> str:
    pytest.importorskip("libvirt", reason="libvirt-python is not installed")
    file = tmp_path / "node.xml"
    domains = [
        domain("guest", UUID, 7, "vif7.0", "vif7.1-emu"),
        domain("12", UUID[:-1] + "2", 8, "web0"),
        domain("silent", UUID[:-1] + "3", 9),
        domain("nameless", UUID[:-1] + "4", 10, ""),
    ]
    file.write_text(f"<node>{''.join(domains)}</node>")
    return f"test://{file}"


@pytest.fixture
def devices(tmp_path: Path) -> Path:
    folder = tmp_path / "net"
    names = ("lo", "vif7.0", "vif7.0-emu", "vif7.1", "vif7.1-emu", "vif10.0", "vifx", "web0")
    for name in names:
        (folder / name).mkdir(parents=True)
    return folder


def numbers(uri: str) -> dict[str, int]:
    """The test driver gives its domains numbers of its own."""
    import libvirt

    connection = libvirt.open(uri)
    try:
        return {each.name(): each.ID() for each in connection.listAllDomains()}
    finally:
        connection.close()


def test_a_domain_is_found_by_name_uuid_and_number(uri: str, devices: Path) -> None:
    expected = (("vif7.0", "vif7.0-emu"), ("vif7.1", "vif7.1-emu"))
    for word in ("guest", UUID, UUID.upper(), str(numbers(uri)["guest"])):
        assert domain_vifs(word, uri, devices) == expected


def test_a_name_of_digits_is_found_where_no_number_is(uri: str, devices: Path) -> None:
    assert domain_vifs("12", uri, devices) == (("web0",),)


def test_a_vif_that_the_system_does_not_list_stays_in_the_answer(uri: str, tmp_path: Path) -> None:
    """So that apply can say that it is not there."""
    assert domain_vifs("guest", uri, tmp_path) == (("vif7.0",), ("vif7.1-emu",))


@pytest.mark.parametrize("word", ["silent"])
def test_a_domain_without_cards_is_refused(uri: str, devices: Path, word: str) -> None:
    with pytest.raises(InvalidInput, match="has no network cards"):
        domain_vifs(word, uri, devices)


@pytest.mark.parametrize("word", ["gest", "99", UUID[:-1] + "9", "", "no\nline"])
def test_an_unknown_domain_is_one_line_with_those_there_are(
    uri: str, devices: Path, word: str
) -> None:
    with pytest.raises(InvalidInput) as caught:
        domain_vifs(word, uri, devices)
    assert "no such domain" in str(caught.value)
    assert "'guest'" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_domain_that_does_not_run_has_no_vifs(uri: str, devices: Path) -> None:
    """Each connection to the test driver has its own domains: this one stops none for others."""
    import libvirt

    class Stopped:
        def __getattr__(self, name: str) -> object:
            return getattr(libvirt, name)

        def openReadOnly(self, where: str) -> object:  # noqa: N802 - libvirt's name
            connection = libvirt.open(where)
            connection.lookupByName("guest").destroy()
            return connection

    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(sys.modules, "libvirt", Stopped())
        with pytest.raises(InvalidInput, match="does not run"):
            domain_vifs("guest", uri, devices)


@pytest.mark.parametrize("where", ["test:///no/such/file.xml", "nonsense:///"])
def test_where_libvirt_does_not_answer_one_line_says_so(devices: Path, where: str) -> None:
    pytest.importorskip("libvirt", reason="libvirt-python is not installed")
    with pytest.raises(MissingDependency, match="no connection to libvirt") as caught:
        domain_vifs("guest", where, devices)
    assert "\n" not in str(caught.value)


def test_libvirt_itself_prints_nothing(uri: str, capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(InvalidInput):
        domain_vifs("gest", uri)
    assert capfd.readouterr() == ("", "")


def test_without_libvirt_python_the_hint_lists_the_vifs(
    devices: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "libvirt", None)
    with pytest.raises(MissingDependency) as caught:
        domain_vifs("guest", "test:///default", devices)
    assert "pip install 'remusnet[libvirt]'" in str(caught.value)
    assert "vifs here: vif7.0, vif7.0-emu, vif7.1, vif7.1-emu, vif10.0" in str(caught.value)
    assert caught.value.exit_code == 3


def test_vifs_are_listed_in_the_order_of_their_numbers(devices: Path, tmp_path: Path) -> None:
    assert listed_vifs(devices)[-1] == "vif10.0"
    assert listed_vifs(tmp_path / "none") == ()
