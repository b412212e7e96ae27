"""Completion in the real shells, on an account that is new: set up by the documented line."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pexpect
import pytest

from tests.lib.terminal import plain

ROOT = Path(__file__).parents[3]
COMMANDS = (ROOT / "docs" / "reference" / "commands.md").read_text()
SHELLS = ("bash", "zsh", "fish")
# A key that prints what stands on the command line.
SHOW = {
    "bash": r"""bind -x '"\C-g": printf "\n<%s>\n" "$READLINE_LINE"'""",
    "zsh": r"""show() { print -r -- "\n<$BUFFER>" }; zle -N show; bindkey '^G' show""",
    "fish": r"""bind \cg 'echo; echo "<"(commandline)">"'""",
}
QUIETLY = {"bash": ["--login"], "zsh": [], "fish": []}

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("completion")]


def documented(shell: str) -> str:
    """The line that sets a shell up, as the manual has it."""
    (line,) = re.findall(rf"^    (.*remusnet completion {shell} .*)$", COMMANDS, re.MULTILINE)
    return str(line)


@dataclass(frozen=True, slots=True)
class Session:
    """A shell of a new account, in a folder with some files."""

    child: pexpect.spawn[str]

    def completed(self, line: str, tabs: int = 1) -> tuple[str, str]:
        """What stands on the line behind so many tabs, and all that the shell said meanwhile."""
        self.child.send("\x15" + line + "\t" * tabs + "\x07")
        self.child.expect(r"<(remusnet[^\r\n]*)>")
        return str(self.child.match[1]), plain(str(self.child.before))


@pytest.fixture(scope="module", params=SHELLS)
def session(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Session]:
    shell = request.param
    if shutil.which(shell) is None:
        pytest.skip(f"not installed: {shell} (scripts/test installs it for root)")
    home = tmp_path_factory.mktemp(f"home-{shell}")
    folder = tmp_path_factory.mktemp(f"folder-{shell}")
    for name in ("call.pcap", "my recording.pcap", "fig8.toml", "rules.toml"):
        (folder / name).write_text("")
    (folder / "reports").mkdir()
    programs = Path(sys.executable).parent
    environment = {
        "HOME": str(home),
        "PATH": f"{programs}{os.pathsep}/usr/bin{os.pathsep}/bin",
        "TERM": "xterm",
        "LANG": "C.UTF-8",
    }
    subprocess.run(
        [shell, "-c", documented(shell)], env=environment, cwd=folder, check=True, timeout=60
    )
    child = pexpect.spawn(
        shell,
        ["-i"],
        env=environment,
        cwd=str(folder),
        encoding="utf-8",
        dimensions=(50, 200),
        timeout=60,
    )
    child.send(f"{SHOW[shell]}; echo rea''dy\r")
    child.expect("ready")
    yield Session(child)
    child.close(force=True)


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("remusnet cl", "remusnet classify "),
        ("remusnet policy sh", "remusnet policy show "),
        ("remusnet classify ca", "remusnet classify call.pcap "),
        ("remusnet classify my", "remusnet classify my\\ recording.pcap "),
        ("remusnet simulate ca", "remusnet simulate call.pcap "),
        ("remusnet simulate fig9", "remusnet simulate fig9 "),
        ("remusnet simulate --policy ho", "remusnet simulate --policy hold-all "),
        ("remusnet simulate --policy ru", "remusnet simulate --policy rules.toml "),
        ("remusnet simulate --policy=ho", "remusnet simulate --policy=hold-all "),
        ("remusnet simulate fig8 --report re", "remusnet simulate fig8 --report reports/"),
        ("remusnet simulate fig8 --assert mos.", "remusnet simulate fig8 --assert mos.min "),
        ("remusnet plan vif1.0 --classifier bp", "remusnet plan vif1.0 --classifier bpf "),
        ("remusnet apply vif1.0 --classifier a", "remusnet apply vif1.0 --classifier auto "),
        ("remusnet plan vif1.0 --interval 400u", "remusnet plan vif1.0 --interval 400us "),
        ("remusnet plan vif1.0 --rate 1g", "remusnet plan vif1.0 --rate 1gbit "),
        ("remusnet policy check ru", "remusnet policy check rules.toml "),
    ],
)
def test_a_tab_completes(session: Session, line: str, expected: str) -> None:
    found, _ = session.completed(line)
    assert found.rstrip() == expected.rstrip()


def test_names_and_files_are_offered_together(session: Session) -> None:
    _, said = session.completed("remusnet simulate fig8", tabs=2)
    assert re.search(r"fig8\s.*fig8\.toml|fig8\.toml\s.*fig8\s", said, re.DOTALL)


def test_every_unit_is_offered_behind_a_number(session: Session) -> None:
    _, said = session.completed("remusnet plan vif1.0 --interval 200", tabs=2)
    assert {"200ms", "200s", "200us", "200ns", "200min"} <= set(said.split())
