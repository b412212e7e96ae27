"""xl.conf's default script, and which xl processes run."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from remusnet.errors import InvalidInput
from remusnet.host.xen import xl_process
from remusnet.host.xenstore import Xenstore
from remusnet.host.xl_conf import default_script, with_default, without_default
from remusnet.host.xl_processes import receivers, remus_domains

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
    process(tmp_path, 4711, *words.split())
    (tmp_path / "12").mkdir()  # one that has ended meanwhile
    assert remus_domains(tmp_path) == ({} if domain is None else {domain: 4711})


def process(
    proc: Path,
    number: int,
    *words: str,
    program: str = "xl",
    parent: int = 1,
    users: tuple[int, int, int, int] = (0, 0, 0, 0),
    mode: int = 0o755,
) -> Path:
    """A process in a /proc of ours; its executable is a file that root has."""
    file = proc / f"files/{number}/{program}"
    file.parent.mkdir(parents=True)
    file.touch()
    file.chmod(mode)
    folder = proc / str(number)
    folder.mkdir()
    (folder / "cmdline").write_bytes(b"".join(f"{w}\0".encode() for w in words))
    uid = "\t".join(map(str, users))
    (folder / "status").write_text(f"Name:\tUid: 0\nPPid:\t{parent}\nUid:\t{uid}\n")
    (folder / "exe").symlink_to(file)
    return folder


REMUS = ("xl", "remus", "pbx", "backup")


@pytest.mark.parametrize(
    "users", [(1000, 1000, 1000, 1000), (1000, 0, 0, 0), (0, 1000, 0, 0), (100000,) * 4]
)
def test_another_users_process_is_no_xl_remus_whatever_its_command_line_says(
    tmp_path: Path, users: tuple[int, int, int, int]
) -> None:
    """It made `xen recover` keep what a killed xl had left, for as long as it ran."""
    process(tmp_path, 4711, *REMUS, users=users)
    assert remus_domains(tmp_path) == {}


@pytest.mark.parametrize("program", ["python3.11", "bash", "xl2", "xl (deleted)x"])
def test_another_program_is_no_xl_remus_whatever_its_command_line_says(
    tmp_path: Path, program: str
) -> None:
    process(tmp_path, 4711, *REMUS, program=program)
    assert remus_domains(tmp_path) == {}


def test_an_xl_that_others_can_write_is_not_the_systems(tmp_path: Path) -> None:
    process(tmp_path, 4711, *REMUS, mode=0o777)
    assert remus_domains(tmp_path) == {}


def test_an_xl_that_was_upgraded_since_is_still_one(tmp_path: Path) -> None:
    process(tmp_path, 4711, *REMUS, program="xl (deleted)")
    assert remus_domains(tmp_path) == {"pbx": 4711}


def test_what_only_root_may_see_is_taken_for_xl_where_it_is_roots(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As for an ordinary user's `xen status`."""
    process(tmp_path, 4711, *REMUS)
    process(tmp_path, 4712, "xl", "remus", "theirs", "x", users=(1000,) * 4)

    def refuse(path: Path) -> str:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr("os.readlink", refuse)
    assert remus_domains(tmp_path) == {"pbx": 4711}


def test_a_copy_of_xl_that_is_about_to_become_ssh_is_not_it(tmp_path: Path) -> None:
    process(tmp_path, 4711, *REMUS)
    process(tmp_path, 4712, *REMUS, parent=4711)
    assert remus_domains(tmp_path) == {"pbx": 4711}


def test_a_real_process_that_only_says_so_is_not_believed() -> None:
    """In the real /proc: root's, but not xl's executable."""
    with subprocess.Popen(["remus", "30"], executable="/bin/sleep", stdin=subprocess.PIPE) as real:
        assert "30" not in remus_domains()
        real.kill()
    shell = ["xl", "-c", "read x", "remus", "pbx-of-nobody"]
    with subprocess.Popen(shell, executable="/bin/sh", stdin=subprocess.PIPE) as real:
        assert "pbx-of-nobody" not in remus_domains()
        real.kill()


def test_a_receiver_is_found_by_its_helper(tmp_path: Path) -> None:
    process(tmp_path, 10, "xl", "migrate-receive", "-r", "-e")
    process(tmp_path, 11, "xl", "migrate-receive", "-r", "-e")
    for number, parent, domid in ((20, 10, "3"), (21, 11, "8"), (22, 1, "9")):
        process(
            tmp_path,
            number,
            *("/usr/lib/xen-4.17/bin/libxl-save-helper", "--restore-domain", "11", "-1", domid),
            *("2", "0", "3", "0", "1", "1"),
            program="libxl-save-helper",
            parent=parent,
        )
    process(
        tmp_path,
        23,
        *("libxl-save-helper", "--save-domain", "1", "2", "5"),
        program="libxl-save-helper",
        parent=10,
    )
    assert receivers(tmp_path) == {3: 10, 8: 11}


@pytest.mark.parametrize("word", ["pbx", "3", "f2b1c0de-0000-4000-8000-000000000001"])
def test_the_one_process_of_a_domain_is_found_by_each_of_its_names(
    tmp_path: Path, store_folder: Path, word: str
) -> None:
    """pkill -f 'xl remus.*pbx' ends pbx2's too, and an editor of notes on it."""
    store(store_folder, 3, "pbx", "f2b1c0de-0000-4000-8000-000000000001")
    store(store_folder, 4, "pbx2", "f2b1c0de-0000-4000-8000-000000000002")
    proc = tmp_path / "proc"
    process(proc, 4711, "xl", "remus", "-i", "200", "pbx2", "backup")
    process(proc, 4712, "xl", "remus", "-i", "200", "pbx", "backup")
    process(proc, 4713, "vi", "xl remus pbx", program="vi")
    assert xl_process(word, Xenstore(), proc=proc) == 4712


def test_a_domain_that_is_called_otherwise_by_now_is_found_by_its_old_name(
    tmp_path: Path, store_folder: Path
) -> None:
    store(store_folder, 3, "pbx-fenced", "u")
    process(tmp_path / "proc", 4712, *REMUS)
    assert xl_process("pbx", Xenstore(), proc=tmp_path / "proc") == 4712
    with pytest.raises(InvalidInput, match="no xl remus runs for 'pbx-fenced'"):
        xl_process("pbx-fenced", Xenstore(), proc=tmp_path / "proc")


def test_the_receiver_of_a_domain_is_found_on_the_backup(
    tmp_path: Path, store_folder: Path
) -> None:
    store(store_folder, 7, "pbx--incoming", "u")
    proc = tmp_path / "proc"
    process(proc, 10, "xl", "migrate-receive", "-r")
    words = ("libxl-save-helper", "--restore-domain", "1", "2", "7")
    process(proc, 11, *words, program="libxl-save-helper", parent=10)
    assert xl_process("pbx", Xenstore(), receiver=True, proc=proc) == 10
    with pytest.raises(InvalidInput, match="no xl migrate-receive runs for 'web'"):
        xl_process("web", Xenstore(), receiver=True, proc=proc)


def store(folder: Path, domid: int, name: str, uuid: str) -> None:
    for key, value in (("name", name), ("vm", f"/vm/{uuid}")):
        node = folder / f"store/local/domain/{domid}/{key}"
        node.mkdir(parents=True)
        (node / ".value").write_text(f"{value}\n")
