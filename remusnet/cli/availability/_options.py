"""What the commands about models share: parameters, assertions, files that they write."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click
from click.shell_completion import CompletionItem

from remusnet.cli._completing import files, folders, words
from remusnet.cli._options import junit_file, junit_option
from remusnet.errors import CheckFailed, InvalidInput, quoted, suggestion
from remusnet.tables.mistakes import MistakenFile, shown_origin

if TYPE_CHECKING:
    from remusnet.availability.model import Blueprint
    from remusnet.report.assertion_syntax import Assertion
    from remusnet.report.availability.assertions import AvailabilityMetric, Judged

_Function = TypeVar("_Function", bound=Callable[..., Any])


def _parameters(
    context: click.Context, _parameter: click.Parameter, incomplete: str
) -> list[CompletionItem]:
    from remusnet.availability.models.library import parameters_of

    words = [f"{name}=" for name in parameters_of(context.params.get("model") or "")]
    return [CompletionItem(word) for word in words if word.startswith(incomplete)]


def _metrics(
    _context: click.Context, _parameter: click.Parameter, incomplete: str
) -> list[CompletionItem]:
    from remusnet.report.availability.assertions import METRICS

    return [CompletionItem(word) for word in METRICS if word.startswith(incomplete)]


def models(
    context: click.Context, parameter: click.Parameter, incomplete: str
) -> list[CompletionItem]:
    """Models that ship, and files."""
    from remusnet.availability.models.library import READY

    named = [CompletionItem(name) for name in READY if name.startswith(incomplete)]
    return [*named, *files(context, parameter, incomplete)]


model_argument = click.argument("model", metavar="MODEL", shell_complete=models)

set_option = click.option(
    "--set",
    "settings",
    multiple=True,
    metavar="PARAMETER=VALUE",
    shell_complete=_parameters,
    help="Another value of a parameter: host.mttr=4h. Repeat it.",
)


service_option = click.option(
    "--service",
    "services",
    multiple=True,
    metavar="SERVICE",
    shell_complete=words("registration", "new-calls", "established-calls"),
    help="Only this one. Repeat it.",
)


def service_names(services: Sequence[str], known: Sequence[str]) -> None:
    """Raises InvalidInput for a service that is none of ``known``."""
    for service in services:
        if service not in known:
            raise InvalidInput(f"unknown service {quoted(service)}{suggestion(service, known)}")


@contextmanager
def of_model(word: str) -> Iterator[None]:
    """Puts the model's name before an error about its net."""
    try:
        yield
    except MistakenFile:
        raise
    except InvalidInput as error:
        raise InvalidInput(f"{shown_origin(word)}: {error}") from None


def file_options(command: _Function) -> _Function:
    """``--assert``, ``--junit``, ``--csv`` and ``--report``, for `asked`."""
    for option in (
        click.option(
            "--report",
            metavar="DIR",
            shell_complete=folders,
            help="Write a report: one HTML page, JSON and CSV.",
        ),
        click.option(
            "--csv", metavar="FILE", shell_complete=files, help="Write the values as CSV."
        ),
        junit_option,
        click.option(
            "--assert",
            "assertions",
            multiple=True,
            metavar="EXPRESSION",
            shell_complete=_metrics,
            help="Fail (exit code 1) where it doesn't hold, or can't be told: "
            "'availability[service=new-calls] >= 0.9999'. Repeat it.",
        ),
    ):
        command = option(command)
    return command


@dataclass(frozen=True, slots=True)
class Asked:
    """What the user wants of the result."""

    assertions: tuple[Assertion[AvailabilityMetric], ...]
    junit: Path | None
    csv: Path | None
    report: Path | None


def asked(
    assertions: Sequence[str], junit: str | None, csv: str | None, report: str | None
) -> Asked:
    """Read the options, and find out what would stop the report after the work.

    Raises InvalidInput for a mistake in an assertion, and for --junit without any; what
    `remusnet.report.folder.prepare` raises.
    """
    from remusnet.report.availability.assertions import parse

    parsed = tuple(parse(text) for text in assertions)
    wanted = Asked(
        parsed,
        junit_file(junit, parsed),
        None if csv is None else Path(csv),
        None if report is None else Path(report),
    )
    if wanted.report is not None:
        from remusnet.report.availability.directory import KIND
        from remusnet.report.drawing import style
        from remusnet.report.folder import prepare

        with style():  # is matplotlib there?
            prepare(wanted.report, KIND)
    return wanted


def blueprint_of(word: str, settings: Sequence[str]) -> Blueprint:
    """What makes the model that ``word`` names. Raises InvalidInput."""
    from remusnet.api.models import named

    return named(word, settings)


def write_files(
    wanted: Asked, title: str, command: str, judged: Sequence[Judged], csv: str
) -> list[Path]:
    """Write CSV and JUnit XML, as far as they are wanted; which were written."""
    from remusnet.report.junit import junit_xml

    written = []
    for path, text in (
        (wanted.csv, csv),
        (wanted.junit, junit_xml(title, judged, f"availability.{command}")),
    ):
        if path is not None:
            path.write_text(text, encoding="utf-8", newline="\n")
            written.append(path)
    return written


def tell(judged: Sequence[Judged]) -> None:
    """Print each assertion with what was seen."""
    from remusnet.cli._terminal import width
    from remusnet.report.availability.assertions import Verdict
    from remusnet.report.layout import wrapped_line

    words = {
        Verdict.HOLDS: ("ok       ", "green"),
        Verdict.FAILS: ("FAILED   ", "red"),
        Verdict.UNDECIDED: ("UNDECIDED", "yellow"),
    }
    if judged:
        click.echo()
    for each in judged:
        word, colour = words[each.verdict]
        line = wrapped_line(f"{word} {each.assertion.text}: {each.seen}", width(), indent=10)
        click.echo(click.style(word, fg=colour) + line[len(word) :])


def fail(judged: Sequence[Judged], unreached: str, *, told: bool) -> None:
    """Raises CheckFailed where an assertion doesn't hold, or a precision was not ``unreached``.

    ``told``: what was seen of assertions has been printed.
    """
    from remusnet.report.availability.assertions import Verdict

    problems = []
    failed = [each for each in judged if not each.passed]
    if len(failed) == 1 and not told:
        verdict = {Verdict.UNDECIDED: "is undecided"}.get(failed[0].verdict, "does not hold")
        problems.append(f"{quoted(failed[0].assertion.text)} {verdict}: {failed[0].seen}")
    elif failed:
        undecided = sum(each.verdict == Verdict.UNDECIDED for each in failed)
        beside = f" ({undecided} undecided)" if undecided else ""
        noun = "assertion" if len(judged) == 1 else "assertions"
        verb = "does" if len(failed) == 1 else "do"
        problems.append(f"{len(failed)} of {len(judged)} {noun} {verb} not hold{beside}")
    if unreached:
        problems.append(unreached)
    if problems:
        raise CheckFailed("; ".join(problems))
