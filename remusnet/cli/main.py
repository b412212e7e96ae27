"""The ``remusnet`` program: its commands, and what its errors look like.

This is the only place that turns an exception into a message and an exit code. Whatever goes
wrong for a reason that the user can change ends in one line on stderr. A traceback means a bug.
"""

from __future__ import annotations

import contextlib
import io
import os
import shutil
import sys
import traceback
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

import click
from click.shell_completion import shell_complete

from remusnet import __version__
from remusnet.cli._groups import NoCommand
from remusnet.cli._lazy import LazyCommand, LazyGroup
from remusnet.cli._narrow import help_width
from remusnet.cli._output import UNPRINTED, lasting, output_failure, watch_output
from remusnet.cli._trials import settle_trials
from remusnet.cli.names import COMPLETE_VARIABLE, PROGRAM
from remusnet.defaults import RUN_DIR, RUN_DIR_VARIABLE
from remusnet.errors import InvalidInput, NotPermitted, RemusnetError

_TRY = "See what Remus does to calls (without Xen)"
_INTERVAL = "Choose a checkpoint interval"
_BY_HAND = "Protect a guest by hand"
_XEN = "Protect a guest under xl remus"
_SIP = "Serve SIP without replication"
_MODEL = "Find out which design is worth it"

# The order is that of --help; without a section a command stands with the last ones.
COMMANDS = {
    "simulate": LazyCommand(
        "remusnet.cli.simulate", "Send a scenario or a capture through Remus's buffer", _TRY
    ),
    "classify": LazyCommand(
        "remusnet.cli.classify", "Show what each policy holds of a capture", _TRY
    ),
    "run": LazyCommand("remusnet.cli.run", "Run a program of your own under Remus, live", _TRY),
    "scenario": LazyCommand("remusnet.cli.scenario", "List, show and check scenarios", _TRY),
    "metrics": LazyCommand("remusnet.cli.metrics", "List what assertions can ask for", _TRY),
    "figures": LazyCommand("remusnet.cli.figures", "Simulate and draw the thesis's figures", _TRY),
    "sweep": LazyCommand(
        "remusnet.cli.sweep", "Simulate a scenario at many checkpoint intervals", _INTERVAL
    ),
    "tune": LazyCommand("remusnet.cli.tune", "Find the best checkpoint interval", _INTERVAL),
    "policy": LazyCommand("remusnet.cli.policy", "List, show and check policies", _BY_HAND),
    "plan": LazyCommand(
        "remusnet.cli.plan", "Print the rules that would protect a vif (dry run)", _BY_HAND
    ),
    "apply": LazyCommand(
        "remusnet.cli.apply", "Protect a vif: hold what its guest sends", _BY_HAND
    ),
    "try": LazyCommand(
        "remusnet.cli.trial", "Apply, and go back unless somebody confirms it", _BY_HAND
    ),
    "confirm": LazyCommand("remusnet.cli.confirm", "Keep what is on trial", _BY_HAND),
    "diff": LazyCommand("remusnet.cli.diff", "Compare this host with its desired state", _BY_HAND),
    "status": LazyCommand(
        "remusnet.cli.status", "Show what is protected, held and dropped", _BY_HAND
    ),
    "verify": LazyCommand(
        "remusnet.cli.verify", "Compare what was applied with the kernel", _BY_HAND
    ),
    "remove": LazyCommand(
        "remusnet.cli.remove", "End a protection; release what is held", _BY_HAND
    ),
    "watch": LazyCommand("remusnet.cli.watch", "Keep protections as they were applied", _BY_HAND),
    "trace": LazyCommand("remusnet.cli.trace", "Show what becomes of each frame", _BY_HAND),
    "plug": LazyCommand(
        "remusnet.cli.plug", "Hold or release what is in a buffer device", _BY_HAND
    ),
    "checkpoint": LazyCommand("remusnet.cli.checkpoint", "Drive a plug as Remus would", _BY_HAND),
    "xen": LazyCommand("remusnet.cli.xen", "Let xl remus use remusnet, and see what it does", _XEN),
    "sip": LazyCommand(
        "remusnet.cli.sip", "Run a SIP server of supervised actors, and look at it", _SIP
    ),
    "availability": LazyCommand(
        "remusnet.cli.availability", "Compare how available designs are, by models", _MODEL
    ),
    "lab": LazyCommand("remusnet.cli.lab", "Have a real kernel to try things in, as a process"),
    "doctor": LazyCommand("remusnet.cli.doctor", "Show what this machine lacks, and what mends it"),
    "completion": LazyCommand("remusnet.cli.completion", "Print a shell's completion script"),
}

# As a shell reports a program that SIGINT or SIGPIPE has ended (128 + the signal's number).
_INTERRUPTED = 130
_BROKEN_PIPE = 141
# EX_SOFTWARE of sysexits.h. Not Python's 1, which scripts would take for a check that failed.
_BUG = 70


class _Program(LazyGroup):
    table = COMMANDS


@click.group(cls=_Program, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name=PROGRAM, message="%(prog)s %(version)s")
@click.option("-v", "--verbose", is_flag=True, help="Say on stderr what the journal is told.")
@click.pass_context
def cli(context: click.Context, verbose: bool) -> None:
    """Decide what a Remus-protected guest may send before a checkpoint commits.

    `remusnet COMMAND --help` explains a command, with examples. The manual is docs/README.md of
    the source; its tutorial/your-call-in-ci.md is the way in.
    """
    if verbose:
        from remusnet.kernel import journal

        journal.verbose = True
    if context.invoked_subcommand != "confirm":  # which decides about trials itself
        settle_trials(Path(os.environ.get(RUN_DIR_VARIABLE) or RUN_DIR))


def main(args: Sequence[str] | None = None) -> NoReturn:
    """Run ``remusnet`` with ``args`` (default: the command line's) and exit."""
    watch_output()
    sys.exit(_run(list(sys.argv[1:] if args is None else args)))


def _run(args: list[str]) -> int:
    """The exit code of a run; what it has to say is printed by then."""
    # click's own main() is not used: it reports a broken pipe as 1 and an error in its own words.
    try:
        try:
            code = _invoke(args)
        finally:
            # Here, not when the interpreter ends: no code could catch a full disk then.
            if sys.stdout is not None:  # as it is after >&-
                sys.stdout.flush()
    except RemusnetError as error:
        return _fail(str(error), error.exit_code)
    except NoCommand as error:
        error.show()
        return error.exit_code
    except click.UsageError as error:
        return _fail(_usage(error), error.exit_code)
    except click.ClickException as error:
        return _fail(_joined(error.format_message()), InvalidInput.exit_code)
    except (KeyboardInterrupt, EOFError, click.Abort):
        return _INTERRUPTED
    except OSError as error:
        if output_failure() is not None or isinstance(error, BrokenPipeError):
            return _unprinted(error, args)
        _discard_output()
        where = f"{error.filename}: " if error.filename is not None else ""
        denied = isinstance(error, PermissionError)
        code = NotPermitted.exit_code if denied else InvalidInput.exit_code
        return _fail(f"{where}{error.strerror or error}", code)
    except Exception:  # noqa: BLE001 - the last stop: what gets here is a bug, and is shown as one
        traceback.print_exc()
        return _fail("this is a bug in remusnet; please report it with the lines above", _BUG)
    return code


def _unprinted(error: OSError, args: list[str]) -> int:
    """The exit code where standard output takes no more; says that what was done stays done."""
    _discard_output()
    done = lasting(args)
    if isinstance(error, BrokenPipeError) and not done:
        return _BROKEN_PIPE  # the reader (head, less) has seen enough
    text = f"could not be printed: {error.strerror or error}"
    return _fail(f"done, but {text}" if done else text, UNPRINTED)


def _invoke(args: list[str]) -> int:
    """Run the command that ``args`` name; its exit code. Raises what the command raises."""
    instruction = os.environ.get(COMPLETE_VARIABLE)
    if instruction:
        return shell_complete(cli, {}, PROGRAM, COMPLETE_VARIABLE, instruction)
    # no-color.org: any value but the empty one turns colours off; None lets click look at the tty.
    color = False if os.environ.get("NO_COLOR") else None
    try:
        with cli.make_context(PROGRAM, args, color=color, terminal_width=_help_width()) as context:
            cli.invoke(context)
    except click.exceptions.Exit as done:
        return done.exit_code
    return 0


def _help_width() -> int | None:
    """The width of a narrow terminal; None leaves it to click, which writes 50 columns and more."""
    if sys.stdout is None or not sys.stdout.isatty():
        return None
    return help_width(shutil.get_terminal_size().columns)


def _usage(error: click.UsageError) -> str:
    path = error.ctx.command_path if error.ctx is not None else PROGRAM
    return f"{_joined(error.format_message())} (see {path} --help)"


def _joined(text: str) -> str:
    """click breaks some of its messages into lines; ours are one."""
    return " ".join(text.split())


def _discard_output() -> None:
    """Send what stdout still buffers nowhere, or the interpreter's last flush would complain."""
    with contextlib.suppress(io.UnsupportedOperation):  # a test's stdout has no descriptor
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _fail(message: str, code: int) -> int:
    """Print ``message`` as one harmless line, and give ``code`` back."""
    click.echo(f"{PROGRAM}: error: {_printable(message)}", err=True)
    return code


def _printable(text: str) -> str:
    """``text`` without anything that moves a cursor, colours a terminal or forges a log line."""
    return "".join(
        c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in text
    )
