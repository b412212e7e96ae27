"""What ``simulate`` does with a result: assertions, reports, JUnit XML."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from remusnet.cli._completing import folders, metrics
from remusnet.cli._options import junit_file, junit_option
from remusnet.cli._progress import Progress
from remusnet.cli._terminal import width
from remusnet.errors import CheckFailed, quoted

if TYPE_CHECKING:
    from remusnet.report.assertion_syntax import Assertion
    from remusnet.report.assertions import Checked
    from remusnet.report.junit import Case
    from remusnet.report.measures import Metric
    from remusnet.results.comparison import Simulation

_Function = TypeVar("_Function", bound=Callable[..., Any])


def report_options(command: _Function) -> _Function:
    """``--assert EXPRESSION``, ``--junit FILE`` and ``--report DIR``, for `asked`."""
    for option in (
        click.option(
            "--report",
            metavar="DIR",
            shell_complete=folders,
            help="Write a report: one HTML page with figures, JSON, CSV, and the released frames.",
        ),
        junit_option,
        click.option(
            "--assert",
            "assertions",
            multiple=True,
            metavar="EXPRESSION",
            shell_complete=metrics,
            help="Fail (exit code 1) where it doesn't hold: 'rtp.jitter.mean < 6ms'. Repeat it.",
        ),
    ):
        command = option(command)
    return command


@dataclass(frozen=True, slots=True)
class Asked:
    """What the user wants of the result."""

    assertions: tuple[Assertion[Metric], ...]
    junit: Path | None
    report: Path | None


def asked(assertions: tuple[str, ...], junit: str | None, report: str | None) -> Asked:
    """Read the options.

    Raises InvalidInput for a mistake in an assertion, and for --junit without any.
    """
    if not assertions and junit is None and report is None:
        return Asked((), None, None)
    from remusnet.report.assertion_syntax import parse

    parsed = tuple(parse(text) for text in assertions)
    return Asked(parsed, junit_file(junit, parsed), None if report is None else Path(report))


def make_ready(wanted: Asked) -> None:
    """Find out before the simulation what would stop the report after it.

    Raises MissingDependency for --report without matplotlib; what `prepare` raises.
    """
    if wanted.report is not None:
        from remusnet.report.directory import prepare
        from remusnet.report.drawing import style

        with style():  # is matplotlib there?
            prepare(wanted.report)


def finish(
    wanted: Asked,
    simulation: Simulation,
    progress: Progress,
    finished: Callable[[], None],
    command: str | None = None,
) -> tuple[tuple[Checked, ...], list[Path]]:
    """Check and write: what was found, and the files and folders that were written.

    ``finished`` is called when the report is whole. ``command``: what it says has made it.
    """
    if not wanted.assertions and wanted.report is None:
        return (), []
    from remusnet.report.assertions import evaluate
    from remusnet.report.measures import Measurements

    progress.step("checking assertions")
    measurements = Measurements(simulation.comparison)
    checked = evaluate(wanted.assertions, measurements)
    written = []
    if wanted.report is not None:
        from remusnet.report.directory import PAGE, write_report

        progress.step(f"drawing the report {quoted(str(wanted.report))}")
        write_report(wanted.report, measurements, checked, simulation.released, command)
        finished()
        written.append(wanted.report / PAGE)
    if wanted.junit is not None:
        from remusnet.report.junit import junit_xml
        from remusnet.report.simulation import title

        text = junit_xml(title(simulation.comparison.setting), checked)
        wanted.junit.write_text(text, encoding="utf-8", newline="\n")
        written.append(wanted.junit)
    return checked, written


def tell(checked: Sequence[Case]) -> None:
    """Print each assertion with what was seen."""
    from remusnet.report.layout import wrapped_line

    if checked:
        click.echo()
    for each in checked:
        word = "ok    " if each.passed else "FAILED"
        line = wrapped_line(f"{word} {each.assertion.text}: {each.seen}", width(), indent=7)
        click.echo(click.style(word, fg="green" if each.passed else "red") + line[len(word) :])


def fail(checked: Sequence[Case], *, told: bool) -> None:
    """Raises CheckFailed where an assertion didn't hold.

    ``told``: `tell` has said what was seen, and nothing is said twice. Without it, as with JSON,
    the error has what was seen of the only one that failed.
    """
    failed = [each for each in checked if not each.passed]
    if not failed:
        return
    if len(failed) == 1 and not told:
        raise CheckFailed(f"{quoted(failed[0].assertion.text)} does not hold: {failed[0].seen}")
    verb = "does" if len(failed) == 1 else "do"
    noun = "assertion" if len(checked) == 1 else "assertions"
    raise CheckFailed(f"{len(failed)} of {len(checked)} {noun} {verb} not hold")
