"""``remusnet policy``, run as a user runs it."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from remusnet.policy import PRESETS
from remusnet.policy.toml import load
from tests.lib.program import Run, runner

EXAMPLES = Path(__file__).parents[3] / "docs" / "examples"
RIGHT = 'name = "mine"\ndefault = "hold"\n[[rule]]\nverdict = "bypass"\nethertype = "arp"\n'
WRONG = 'name = "mine"\n[[rule]]\nverdict = "hold"\nprotocol = "udp"\nsource-port = 70000\n'
WRONG_LINES = [
    'default: missing; expected "hold" or "bypass"',
    'rule[1].source-port: invalid port: 70000; expected 0-65535, or a range such as "10000-20000"',
]


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    """``run("list")``: exit code, stdout and stderr of ``remusnet policy list``."""
    return runner(capsys, "policy")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working directory, with a file that is right and one that is wrong."""
    (tmp_path / "right.toml").write_text(RIGHT)
    (tmp_path / "wrong.toml").write_text(WRONG)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_list_is_a_table_of_what_each_preset_holds_and_lets_bypass(run: Run) -> None:
    code, out, err = run("list")
    assert (code, err) == (0, "")
    names = [line.split(" ")[0] for line in out.splitlines()]
    assert [name for name in names if name] == ["POLICY", *PRESETS]
    assert "ARP; IPv6, ICMPv6, type 133-137; RTP or RTCP" in " ".join(out.split())
    assert "\x1b" not in out


def test_no_color_means_no_colours_even_where_colours_are_forced(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("NO_COLOR", "1")
    _, out, _ = run("list")
    # Bold is no colour: no-color.org.
    assert "\x1b[3" not in out


def test_list_json_names_holds_and_bypasses(run: Run) -> None:
    code, out, _ = run("list", "--json")
    assert code == 0
    listed = json.loads(out)
    assert [policy["name"] for policy in listed] == list(PRESETS)
    assert listed[0] == {
        "name": "tcp-only",
        "description": PRESETS["tcp-only"].description,
        "default": "bypass",
        "holds": "TCP",
        "bypasses": "everything else",
    }


@pytest.mark.parametrize("name", ["tcp-only", "real-time", "hold-all"])
def test_show_prints_a_file_that_says_the_same(run: Run, name: str) -> None:
    code, out, _ = run("show", name)
    assert code == 0
    assert load(out, name) == PRESETS[name]


def test_show_says_in_plain_words_what_each_rule_and_the_default_do(run: Run) -> None:
    _, out, _ = run("show", "real-time")
    assert "# Bypass IPv6, ICMPv6, type 133-137.\n[[rule]]\n" in out
    assert "# What no rule matches is held.\n" in out
    assert "# Frames too short or too odd to be judged are held, whatever this file says.\n" in out


def test_show_says_that_only_stock_remus_does_not_hold_odd_frames(run: Run) -> None:
    _, out, _ = run("show", "stock-remus")
    assert "# Frames too short or too odd to be judged are not held for that" in out
    assert "# Only stock-remus does that: the policy of a file always holds them.\n" in out


def test_show_prints_what_a_file_extends_with_it(run: Run, folder: Path) -> None:
    (folder / "more.toml").write_text('name = "more"\nextends = "tcp-only"\n')
    _, out, _ = run("show", "more.toml")
    assert load(out, "-").rules == PRESETS["tcp-only"].rules


def test_show_json_has_the_keys_of_a_file(run: Run) -> None:
    code, out, _ = run(
        "show", "--json", str(Path(__file__).parents[3] / "docs/examples/phones.toml")
    )
    assert code == 0
    shown = json.loads(out)
    assert {key: shown[key] for key in ("name", "default", "holds_odd")} == {
        "name": "phones",
        "default": "hold",
        "holds_odd": True,
    }
    assert shown["rules"][2] == {
        "name": "media",
        "verdict": "bypass",
        "match": {
            "protocol": [17],
            "destination": ["192.0.2.0/24", "2001:db8:5060::/48"],
            "source-port": ["10000-20000"],
            "payload": ["rtcp", "rtp"],
        },
    }


def test_an_unknown_policy_ends_in_one_line_with_a_suggestion(run: Run) -> None:
    code, out, err = run("show", "realtime")
    assert (code, out) == (2, "")
    assert err.startswith("remusnet: error: unknown policy: 'realtime' (did you mean 'real-time'?)")
    assert err.count("\n") == 1


@pytest.mark.usefixtures("folder")
def test_check_says_that_a_file_is_right(run: Run) -> None:
    assert run("check", "right.toml") == (0, "right.toml: ok (mine, 1 rule)\n", "")


@pytest.mark.usefixtures("folder")
def test_check_prints_every_mistake_of_every_file_on_a_line(run: Run) -> None:
    code, out, err = run("check", "wrong.toml", "right.toml", "absent.toml")
    assert code == 2
    assert out == "right.toml: ok (mine, 1 rule)\n"
    assert err.splitlines() == [
        *(f"wrong.toml: {line}" for line in WRONG_LINES),
        "absent.toml: No such file or directory; expected a file to read",
    ]


@pytest.mark.usefixtures("folder")
def test_check_json_has_every_mistake_with_its_path(run: Run) -> None:
    code, out, err = run("check", "--json", "wrong.toml", "right.toml")
    assert (code, err) == (2, "")
    wrong, right = json.loads(out)
    assert right == {"file": "right.toml", "ok": True, "mistakes": [], "warnings": []}
    assert (wrong["file"], wrong["ok"]) == ("wrong.toml", False)
    assert wrong["mistakes"][1] == {
        "path": "rule[1].source-port",
        "problem": "invalid port: 70000",
        "expected": '0-65535, or a range such as "10000-20000"',
    }


def test_check_warns_of_rules_that_are_never_asked(run: Run, folder: Path) -> None:
    everything = '[[rule]]\nverdict = "hold"\n'
    (folder / "late.toml").write_text(f'{RIGHT}{everything}{everything}protocol = "tcp"\n')
    code, out, _ = run("check", "late.toml")
    assert code == 0
    assert out.splitlines() == [
        "late.toml: ok (mine, 3 rules)",
        "late.toml: warning: rule 'rule-3' is never asked: one before it matches every frame",
    ]


def test_a_file_s_name_can_not_disturb_a_terminal(run: Run, folder: Path) -> None:
    (folder / "a\x1b[2J\n.toml").write_text(RIGHT)
    assert run("check", "a\x1b[2J\n.toml")[1] == "'a\\x1b[2J\\n.toml': ok (mine, 1 rule)\n"


def test_check_without_a_file_is_a_usage_error(run: Run) -> None:
    code, out, err = run("check")
    assert (code, out) == (2, "")
    assert "(see remusnet policy check --help)" in err


@pytest.mark.parametrize("args", [[], ["list"], ["show"], ["check"]])
def test_help_has_examples_or_says_what_is_printed(run: Run, args: list[str]) -> None:
    code, out, _ = run(*args, "--help")
    assert code == 0
    assert "remusnet policy" in out


def test_what_check_accepts_as_a_pipe_it_reads(run: Run) -> None:
    """As a shell's ``<(...)`` gives it."""
    reading, writing = os.pipe()
    os.write(writing, RIGHT.encode())
    os.close(writing)
    try:
        code, out, _ = run("show", f"/dev/fd/{reading}")
    finally:
        os.close(reading)
    assert (code, load(out, "-").name) == (0, "mine")
