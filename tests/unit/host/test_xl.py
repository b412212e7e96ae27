"""xl.conf's default script, and which xl processes run."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from remusnet.host.xl_conf import default_script, with_default, without_default
from remusnet.host.xl_processes import remus_domains

SCRIPT = "/etc/xen/scripts/remusnet-netbuf"
LINES = st.lists(
    st.sampled_from(
        [
            "",
            "# a comment",
            'vif.default.bridge="xenbr0"',
            'remus.default.netbufscript="/other"',
            "remus.default.netbufscript = '/third'",
            '#remus.default.netbufscript="/commented"',
            "claim_mode=1",
        ]
    )
)


@given(LINES, st.sampled_from(["\n", "\r\n"]), st.booleans())
def test_xl_conf_comes_back_byte_for_byte(lines: list[str], newline: str, ends: bool) -> None:
    text = newline.join(lines) + (newline if ends else "")
    ours = with_default(text, SCRIPT)
    assert default_script(ours) == SCRIPT
    assert with_default(ours, SCRIPT) == ours
    assert without_default(ours) == text
    assert without_default(text) == text


def test_what_somebody_adds_later_stays() -> None:
    ours = with_default("claim_mode=1\n", SCRIPT) + "autoballoon=0\n"
    assert without_default(ours) == "claim_mode=1\nautoballoon=0\n"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", None),
        ('#remus.default.netbufscript="/a"', None),
        ('remus.default.netbufscript="/a"', "/a"),
        ("remus.default.netbufscript='/a'\n remus.default.netbufscript = /b", "/b"),
        ('remus.default.netbufscript=""', ""),
    ],
)
def test_the_last_setting_counts(text: str, expected: str | None) -> None:
    assert default_script(text) == expected


@pytest.mark.parametrize(
    ("words", "domain"),
    [
        ("xl remus guest backup", "guest"),
        ("/usr/sbin/xl -v remus -Fb -i 200 -N /x/script guest localhost", "guest"),
        ("xl remus -i200 -u 7 backup", "7"),
        ("xl remus -e -s ssh guest backup", "guest"),
        ("xl list", None),
        ("xl remus", None),
        ("vim remus guest", None),
        ("", None),
    ],
)
def test_the_domain_of_an_xl_remus_is_its_first_argument(
    tmp_path: Path, words: str, domain: str | None
) -> None:
    process = tmp_path / "4711"
    process.mkdir()
    (process / "cmdline").write_bytes(b"".join(f"{w}\0".encode() for w in words.split()))
    (tmp_path / "12").mkdir()  # one that has ended meanwhile
    assert remus_domains(tmp_path) == ({} if domain is None else {domain: 4711})
