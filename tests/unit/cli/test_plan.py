"""``remusnet plan`` as a user meets it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from remusnet.policy.presets import PRESETS
from tests.lib.program import Run, runner


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    """Runs the command: its exit code, stdout and stderr."""
    return runner(capsys, "plan")


def test_without_options_it_is_tcp_only_by_u32_on_a_gigabit_link(run: Run) -> None:
    code, out, err = run("vif1.0")
    assert (code, err) == (0, "")
    assert "policy tcp-only on vif1.0 (classifier u32)" in out.splitlines()[1]
    assert "tc qdisc add dev ifb-1.0 root plug limit 50000000\n" in out


def test_rate_and_interval_make_the_limit_unless_it_is_given(run: Run) -> None:
    _, out, _ = run("vif1.0", "--interval", "400ms", "--rate", "100mbit")
    assert "plug limit 10000000\n" in out
    assert "# A plug holds up to 10000000 bytes (2 x 100mbit x 400ms).\n" in out
    _, out, _ = run("vif1.0", "--limit", "1MiB")
    assert "plug limit 1048576\n" in out


def test_a_memory_budget_makes_the_limit_in_every_format(run: Run) -> None:
    _, out, _ = run("vif1.0", "--memory", "64MB")
    assert "# A plug holds up to 5120000 bytes (64.0 MB of memory / 12.5).\n" in out
    assert "plug limit 5120000\n" in out
    document = json.loads(run("vif1.0", "--memory", "64MB", "--format", "json")[1])
    names = ("limit", "memory", "memory_needed", "rate")
    assert [document[name] for name in names] == [5_120_000, 64_000_000, 64_000_000, None]
    assert run("vif1.0", "--memory", "64MB", "--limit", "1MB")[0] == 2


@pytest.mark.parametrize("name", PRESETS)
def test_json_has_what_scripts_rely_on(run: Run, name: str) -> None:
    code, out, _ = run("vif1.0", "--policy", name, "--format", "json")
    document = json.loads(out)
    assert code == 0
    assert document["policy"] == name
    assert document["limit"] == 50_000_000
    assert {tuple(sorted(each)) for each in document["operations"]} == {
        ("arguments", "kind", "undo")
    }


def test_undo_takes_back_in_every_format(run: Run) -> None:
    for form in ("sh", "batch"):
        _, out, _ = run("vif1.0", "--undo", "--format", form)
        assert "qdisc delete dev vif1.0 ingress\n" in out
        assert "link delete dev ifb-1.0\n" in out
    _, out, _ = run("vif1.0", "--undo", "--format", "json")
    assert [each["kind"] for each in json.loads(out)["operations"]] == [
        "delete-ingress",
        "delete-device",
        "release-plug",
        "drain-plug",
        "delete-plug",
        "delete-device",
    ]


def test_one_buffer_for_several_vifs(run: Run) -> None:
    _, out, _ = run("vif1.0", "vif1.0-emu", "--buffer", "ifb-1")
    assert out.count("ip link add") == 2
    assert out.count("ingress\n") == 2


def test_without_decoupling_nothing_is_mirrored(run: Run) -> None:
    assert "mirror dev sink-1.0 pipe" in run("vif1.0")[1]
    for arguments in (["vif1.0", "--no-decouple"], ["vif1.0-emu"]):
        _, out, _ = run(*arguments)
        assert not {"mirror", "sink", "pfifo"} & set(out.split())


def test_a_policy_of_the_users_own(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text('name = "mine"\ndefault = "hold"\n', encoding="utf-8")
    _, out, _ = run("vif1.0", "--policy", str(path))
    assert "policy mine on vif1.0" in out


def test_templates_of_the_users_own(run: Run, tmp_path: Path) -> None:
    (tmp_path / "plan.sh.j2").write_text("{{ plan.vifs[0] }}\n", encoding="utf-8")
    assert run("vif1.0", "--templates", str(tmp_path)) == (0, "vif1.0\n", "")


# What would touch the machine: programs, sockets, files to write.
_NOTHING_TOUCHED = """
import sys

def refuse(event, arguments):
    if event.split(".")[0] in {"subprocess", "socket", "pty"} or event in {
        "os.exec", "os.fork", "os.posix_spawn", "os.spawn", "os.system", "os.mkdir", "os.remove",
        "os.rename", "os.link", "os.symlink", "os.chmod", "os.chown", "ctypes.dlopen",
    } or event == "open" and set(str(arguments[1])) & set("wax+"):
        raise RuntimeError(f"a dry run did {event} {arguments}")

sys.addaudithook(refuse)
from remusnet.cli.main import main
main(sys.argv[1:])
"""


@pytest.mark.parametrize("form", ["sh", "batch", "json"])
def test_a_dry_run_starts_nothing_opens_no_socket_and_writes_no_file(form: str) -> None:
    """So it needs neither root, nor tc, nor the device; it has an empty PATH here."""
    done = subprocess.run(
        [sys.executable, "-B", "-c", _NOTHING_TOUCHED, "plan", "no-such-vif", "--format", form],
        env={"PATH": "", "PYTHONPATH": str(Path(__file__).parents[3])},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert "no-such-vif" in done.stdout


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["vif1.0;reboot"], "invalid device name: 'vif1.0;reboot'"),
        (["$(reboot)"], "invalid device name: '$(reboot)'"),
        (["vif1\n.0"], r"invalid device name: 'vif1\n.0'"),
        (["vif/1"], "invalid device name: 'vif/1'"),
        ([""], "invalid device name: it is empty"),
        (["x" * 16], "has 16 characters, Linux takes at most 15"),
        (["--", "-vif"], "invalid device name: '-vif'"),
        (["vif1.0", "vif1.0"], "a vif is named twice: vif1.0 vif1.0"),
        ([], "VIF"),
        (["vif1.0", "--buffer", "a b"], "invalid device name: 'a b'"),
        (["vif1.0", "--buffer", "vif1.0"], "vif1.0 can not be a vif and a buffer device"),
        (["vif1.0", "--policy", "tcp-onyl"], "did you mean 'tcp-only'?"),
        (["vif1.0", "--policy", "gone.toml"], "gone.toml"),
        (["vif1.0", "--classifier", "u23"], "did you mean 'u32'?"),
        (["vif1.0", "--interval", "0"], "--interval: invalid time"),
        (["vif1.0", "--interval", "0ms"], "--interval: invalid time"),
        (["vif1.0", "--interval", "-200ms"], "--interval: invalid time: '-200ms'"),
        (["vif1.0", "--interval", "fast"], "--interval: invalid time: 'fast'"),
        (["vif1.0", "--interval", "200"], "--interval: invalid time: '200'"),
        (["vif1.0", "--rate", "0gbit"], "--rate: invalid rate: '0gbit'"),
        (["vif1.0", "--rate", "fast"], "--rate: invalid rate: 'fast'"),
        (["vif1.0", "--limit", "0"], "invalid limit: 0 bytes"),
        (["vif1.0", "--limit", "65549"], "invalid limit: 65549 bytes"),
        (["vif1.0", "--limit", "5GB"], "invalid limit: 5000000000 bytes"),
        (["vif1.0", "--limit", "-1"], "--limit: invalid size: '-1'"),
        (["vif1.0", "--format", "xml"], "'xml'"),
        (["vif1.0", "--templates", "/gone"], "no such folder: '/gone'"),
    ],
)
def test_bad_input_is_one_line_and_exit_code_2(
    run: Run, arguments: list[str], message: str
) -> None:
    code, out, err = run(*arguments)
    assert (code, out) == (2, "")
    assert err.startswith("remusnet: error: ")
    assert err.count("\n") == 1
    assert err.endswith("\n")
    assert message in err


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({}, "no *.j2 templates in"),
        ({"plan-sh.j2": b""}, "none of the templates is one of remusnet's"),
        ({"plan.sh.j2": b"{% if %}"}, "template plan.sh.j2, line 1: "),
        ({"plan.sh.j2": b"{{ plan.__class__ }}"}, "access to attribute '__class__'"),
        ({"plan.sh.j2": b"\xff"}, "not UTF-8"),
        ({"plan.sh.j2": b" " * ((1 << 20) + 1)}, "larger than a template can be"),
    ],
)
def test_bad_templates_are_one_line_and_exit_code_2(
    run: Run, tmp_path: Path, files: dict[str, bytes], message: str
) -> None:
    for name, content in files.items():
        (tmp_path / name).write_bytes(content)
    code, out, err = run("vif1.0", "--templates", str(tmp_path))
    assert (code, out) == (2, "")
    assert err.count("\n") == 1
    assert message in err
