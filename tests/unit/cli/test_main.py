from __future__ import annotations

import errno
import json
import os
import re
import subprocess
import sys
import types
from collections.abc import Callable
from pathlib import Path

import click
import pytest

from remusnet import __version__, errors
from remusnet.cli._lazy import LazyCommand
from remusnet.cli.main import COMMANDS
from tests.lib.program import Run, runner

# Buffered output, as users have it: what is only written when the program ends can fail then.
ENVIRONMENT = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}

Program = Callable[..., subprocess.CompletedProcess[str]]
RunBody = Callable[[Callable[[], None]], tuple[int, str, str]]


@pytest.fixture
def program() -> Program:
    """The program as a process of its own: ``program("--help", NO_COLOR="1")``."""

    def run(*args: str, **environment: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "remusnet", *args],
            env={**ENVIRONMENT, **environment},
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )

    return run


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    """The program in this process: its exit code, stdout and stderr."""
    return runner(capsys)


@pytest.fixture
def run_body(monkeypatch: pytest.MonkeyPatch, run: Run) -> RunBody:
    """What the program makes of a command with the given body."""

    def run_body(body: Callable[[], None]) -> tuple[int, str, str]:
        module = types.ModuleType("remusnet_test_command")
        vars(module)["command"] = click.command("probe")(body)
        monkeypatch.setitem(sys.modules, module.__name__, module)
        monkeypatch.setitem(COMMANDS, "probe", LazyCommand(module.__name__, "A test's command"))
        return run("probe")

    return run_body


def raising(error: BaseException) -> Callable[[], None]:
    def body() -> None:
        raise error

    return body


# Help and version


def test_the_version_is_that_of_the_package(program: Program) -> None:
    done = program("--version")
    assert (done.returncode, done.stdout) == (0, f"remusnet {__version__}\n")


@pytest.mark.parametrize("option", ["-h", "--help"])
def test_help_lists_each_command_with_its_line(run: Run, option: str) -> None:
    code, out, _ = run(option)
    assert code == 0
    width = max(map(len, COMMANDS))
    for name, entry in COMMANDS.items():
        assert f"  {name:<{width}}  {entry.help}\n" in out
    assert "\nProtect a guest by hand:\n  policy " in out
    assert "docs/README.md" in out


def test_the_manual_is_where_help_says() -> None:
    root = Path(__file__).parents[3]
    assert (root / "docs" / "README.md").is_file()
    assert (root / "docs" / "tutorial" / "your-call-in-ci.md").is_file()


def test_every_command_of_help_is_in_the_manual() -> None:
    manual = (Path(__file__).parents[3] / "docs" / "reference" / "commands.md").read_text()
    for name in COMMANDS:
        assert re.search(rf"^\| `{name}\b", manual, re.MULTILINE), name


@pytest.mark.parametrize("name", COMMANDS)
def test_each_command_of_the_table_has_help(run: Run, name: str) -> None:
    code, out, _ = run(name, "-h")
    assert code == 0
    assert out.startswith(f"Usage: remusnet {name} ")


def test_without_arguments_it_shows_its_help_as_a_usage_error(run: Run) -> None:
    code, out, err = run()
    assert (code, out) == (2, "")
    assert err.startswith("Usage: remusnet ")


@pytest.mark.parametrize(
    ("args", "environment"),
    [
        (["--help"], {}),
        (["--version"], {}),
        (["completion", "bash"], {}),
        ([], {"_REMUSNET_COMPLETE": "bash_complete", "COMP_WORDS": "remusnet ", "COMP_CWORD": "1"}),
    ],
    ids=["help", "version", "completion", "completing"],
)
def test_what_needs_no_command_imports_none_of_the_heavy_libraries(
    args: list[str], environment: dict[str, str]
) -> None:
    """Each of them takes longer to import than all the rest of such a run."""
    code = f"""
import json, sys
from remusnet.cli.main import main
try:
    main({args!r})
except SystemExit as ended:
    assert not ended.code, ended.code
print(json.dumps(sorted({{name.split(".")[0] for name in sys.modules}})))
"""
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**ENVIRONMENT, **environment},
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    imported = set(json.loads(done.stdout.splitlines()[-1]))
    assert "click" in imported
    assert not imported & {"scapy", "pyroute2", "numpy", "jinja2", "rich", "matplotlib", "libvirt"}


# Errors


@pytest.mark.parametrize(
    "kind",
    [
        errors.CheckFailed,
        errors.InvalidInput,
        errors.MissingDependency,
        errors.NotPermitted,
        errors.Conflict,
        errors.KernelRefused,
    ],
)
def test_an_error_is_one_line_on_stderr_and_its_exit_code(
    run_body: RunBody, kind: type[errors.RemusnetError]
) -> None:
    code, out, err = run_body(raising(kind("what is wrong")))
    assert (code, out, err) == (kind.exit_code, "", "remusnet: error: what is wrong\n")


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("a\nremusnet: forged", r"a\nremusnet: forged"),
        ("\x1b[2J", r"\x1b[2J"),
        ("\x9b2J", r"\x9b2J"),
        ("left\u202eright", r"left\u202eright"),
        ("not UTF-8: \udcff", r"not UTF-8: \udcff"),
        ("Grüße, naïve 日本", "Grüße, naïve 日本"),
    ],
)
def test_what_could_move_a_cursor_or_forge_a_line_is_escaped(
    run_body: RunBody, text: str, shown: str
) -> None:
    assert run_body(raising(errors.InvalidInput(text)))[2] == f"remusnet: error: {shown}\n"


def test_a_control_character_in_an_argument_is_escaped(run: Run) -> None:
    code, _, err = run("\x1b[31mplan\n")
    assert (code, err.count("\n"), "\x1b" in err) == (2, 1, False)


def test_an_unknown_command_is_answered_with_a_close_one(run: Run) -> None:
    code, out, err = run("plam")
    assert (code, out) == (2, "")
    assert err == (
        "remusnet: error: no such command: 'plam' (did you mean 'plan'?) (see remusnet --help)\n"
    )


@pytest.mark.parametrize(
    ("args", "hint"),
    [
        (["--nonsense"], "(see remusnet --help)\n"),
        (["completion"], "(see remusnet completion --help)\n"),
        (["completion", "tcsh"], "(see remusnet completion --help)\n"),
        (["completion", "bash", "zsh"], "(see remusnet completion --help)\n"),
    ],
)
def test_a_usage_error_is_one_line_with_where_to_look(run: Run, args: list[str], hint: str) -> None:
    code, out, err = run(*args)
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert err.startswith("remusnet: error: ")
    assert err.endswith(hint)


def test_a_click_exception_that_is_no_usage_error_is_bad_input(run_body: RunBody) -> None:
    code, _, err = run_body(raising(click.FileError("x.toml", "it is\nbroken")))
    assert (code, err) == (2, "remusnet: error: Could not open file 'x.toml': it is broken\n")


@pytest.mark.parametrize("error", [KeyboardInterrupt(), EOFError(), click.Abort()])
def test_an_interrupt_is_quiet(run_body: RunBody, error: BaseException) -> None:
    assert run_body(raising(error)) == (130, "", "")


@pytest.mark.parametrize(
    ("error", "code", "shown"),
    [
        (FileNotFoundError(errno.ENOENT, "No such file", "a\tb"), 2, r"a\tb: No such file"),
        (PermissionError(errno.EACCES, "Permission denied", "x"), 4, "x: Permission denied"),
        (OSError("odd"), 2, "odd"),
    ],
)
def test_what_the_system_refuses_is_one_line(
    run_body: RunBody, error: OSError, code: int, shown: str
) -> None:
    assert run_body(raising(error)) == (code, "", f"remusnet: error: {shown}\n")


def test_a_bug_shows_its_traceback_and_is_no_failed_check(run_body: RunBody) -> None:
    """1 is a check that did not hold, for scripts; a crash must not look like one."""
    code, _, err = run_body(raising(ZeroDivisionError("oops")))
    assert code == 70
    assert "Traceback" in err
    assert err.splitlines()[-1].startswith("remusnet: error: this is a bug")


def printing(lines: int) -> list[str]:
    """A program of remusnet's whose command prints so many lines, for a process of its own."""
    code = f"""
import click, sys, types
from remusnet.cli._lazy import LazyCommand
from remusnet.cli.main import COMMANDS, main
def body():
    for _ in range({lines}):
        print("line")
module = types.ModuleType("probe")
module.command = click.Command("probe", callback=body)
sys.modules["probe"] = module
COMMANDS["probe"] = LazyCommand("probe", "")
main(["probe"])
"""
    return [sys.executable, "-c", code]


# Less than a buffer holds, and more: either the last flush or a print is refused.
@pytest.mark.parametrize("lines", [1, 100_000])
def test_a_reader_who_stops_reading_ends_it_quietly(lines: int) -> None:
    read, write = os.pipe()
    os.close(read)
    with os.fdopen(write, "w") as closed:
        done = subprocess.run(
            printing(lines),
            env=ENVIRONMENT,
            stdout=closed,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
            timeout=60,
        )
    assert (done.returncode, done.stderr) == (141, "")


@pytest.mark.parametrize("lines", [1, 100_000])
def test_a_full_disk_is_one_line(lines: int) -> None:
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            printing(lines),
            env=ENVIRONMENT,
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
            timeout=60,
        )
    assert done.returncode == 74
    assert done.stderr == "remusnet: error: could not be printed: No space left on device\n"


_DONE = """
import sys
from pathlib import Path
import click
from remusnet.cli import apply
from remusnet.cli.main import main

@click.command()
@click.argument("words", nargs=-1)
def command(words):
    Path(words[0]).write_text("done")
    click.echo("x" * int(words[1]))

apply.command = command
main(["apply", *sys.argv[1:]])
"""


@pytest.mark.parametrize("unbuffered", [False, True])
@pytest.mark.parametrize("length", [1, 1_000_000])
@pytest.mark.parametrize(
    ("output", "why"), [("full", "No space left on device"), ("closed", "Broken pipe")]
)
def test_what_is_done_but_can_not_be_printed_has_a_sentence_and_a_code_of_its_own(
    output: str, why: str, length: int, unbuffered: bool, tmp_path: Path
) -> None:
    if output == "full":
        descriptor = os.open("/dev/full", os.O_WRONLY)
    else:
        read, descriptor = os.pipe()
        os.close(read)
    try:
        done = subprocess.run(
            [
                sys.executable,
                *(["-u"] if unbuffered else []),
                "-c",
                _DONE,
                str(tmp_path / "out"),
                str(length),
            ],
            env=ENVIRONMENT,
            stdout=descriptor,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
            timeout=60,
        )
    finally:
        os.close(descriptor)
    assert (tmp_path / "out").read_text() == "done"
    assert done.stderr == f"remusnet: error: done, but could not be printed: {why}\n"
    assert done.returncode == 74


def test_a_report_that_is_written_is_done_even_if_nobody_reads_about_it(tmp_path: Path) -> None:
    call = Path(__file__).parents[2] / "data/call.pcap"
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [
                sys.executable,
                "-m",
                "remusnet",
                "simulate",
                "--capture",
                str(call),
                "--policy",
                "tcp-only",
                "--out",
                str(tmp_path / "out.pcap"),
            ],
            cwd=Path(__file__).parents[3],
            env=ENVIRONMENT,
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
            timeout=120,
        )
    assert done.returncode == 74, done.stderr
    assert done.stderr.endswith("done, but could not be printed: No space left on device\n")
    assert (tmp_path / "out.pcap").exists()


def test_a_full_disk_under_a_file_is_not_taken_for_that_of_the_output() -> None:
    call = Path(__file__).parents[2] / "data/call.pcap"
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "remusnet",
            "simulate",
            "--capture",
            str(call),
            "--policy",
            "tcp-only",
            "--out",
            "/dev/full",
        ],
        cwd=Path(__file__).parents[3],
        env=ENVIRONMENT,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 2
    assert "printed" not in done.stderr
    assert done.stderr.endswith("No space left on device\n")


def test_a_closed_output_is_no_error_of_its_own() -> None:
    done = subprocess.run(
        ["sh", "-c", 'exec "$0" "$@" >&-', *printing(1)],
        env=ENVIRONMENT,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert (done.returncode, done.stderr) == (0, "")


# Colours and shells


@pytest.mark.parametrize(("value", "color"), [("1", False), ("", None)])
def test_no_color_turns_colours_off_unless_it_is_empty(
    monkeypatch: pytest.MonkeyPatch, run_body: RunBody, value: str, color: bool | None
) -> None:
    """None leaves it to click, which asks whether it writes to a terminal."""
    seen: list[bool | None] = []
    monkeypatch.setenv("NO_COLOR", value)
    assert run_body(lambda: seen.append(click.get_current_context().color))[0] == 0
    assert seen == [color]


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_prints_a_script_that_asks_remusnet(run: Run, shell: str) -> None:
    code, out, err = run("completion", shell)
    assert (code, err) == (0, "")
    assert f"_REMUSNET_COMPLETE={shell}_complete" in out


@pytest.mark.parametrize(
    ("words", "at", "expected"),
    [
        ("remusnet p", "1", {"policy", "plan", "plug"}),
        ("remusnet --v", "1", {"--verbose", "--version"}),
        ("remusnet completion ", "2", {"bash", "zsh", "fish"}),
    ],
)
def test_a_shell_gets_the_words_that_fit(
    program: Program, words: str, at: str, expected: set[str]
) -> None:
    done = program(_REMUSNET_COMPLETE="bash_complete", COMP_WORDS=words, COMP_CWORD=at)
    assert {line.partition(",")[2] for line in done.stdout.splitlines()} == expected
