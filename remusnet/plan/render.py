"""A plan as text: a shell script for people, ``ip`` and ``tc`` batches for speed."""

from __future__ import annotations

import json
import shlex
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass

from jinja2 import (
    BaseLoader,
    Environment,
    PackageLoader,
    StrictUndefined,
    TemplateError,
    TemplateNotFound,
    TemplateSyntaxError,
)
from jinja2.sandbox import SandboxedEnvironment

import remusnet
from remusnet.errors import InvalidInput, quoted
from remusnet.plan.operations import DrainPlug
from remusnet.plan.plan import Plan
from remusnet.plan.rows import Command, Operation

TEMPLATES = {"sh": "plan.sh.j2", "batch": "plan.batch.j2"}
"""The templates in tc_templates/ by the format that ``--format`` takes."""
FORMATS = (*TEMPLATES, "json")


@dataclass(frozen=True, slots=True)
class BatchStep:
    """Consecutive commands of one ``program`` for its batch mode, or one command on its own.

    On its own stands a command that may fail (a batch stops at the first failure), or ``drain``, a
    device to wait for, which neither program can.
    """

    program: str = ""
    commands: tuple[Command, ...] = ()
    alone: Command | None = None
    drain: str = ""


def render(
    plan: Plan, form: str, *, undo: bool = False, templates: Mapping[str, str] | None = None
) -> str:
    """``plan`` (or what takes it back) in one of `FORMATS`, ending in a newline.

    ``templates``: sources by file name that take the place of the shipped ones. Raises
    InvalidInput where none of them does, and where one can't be rendered.
    """
    operations = plan.undo if undo else plan.operations
    if form == "json":
        document = plan.to_json() | {"operations": [each.to_json() for each in operations]}
        return json.dumps(document, indent=2) + "\n"
    loader = _Loader(templates or {})
    if templates and not loader.replaced:
        raise InvalidInput(
            f"none of the templates is one of remusnet's: {', '.join(loader.shipped)}"
        )
    environment = SandboxedEnvironment(
        loader=loader,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters["shell"] = shell_line
    environment.filters["comment"] = comment_text
    # ip and tc know a shell's quotes where a word begins with one, and no other quoting.
    environment.filters["words"] = lambda command: shlex.join(command.arguments)
    environment.filters["steps"] = lambda each: tuple(batch_steps(each))
    try:
        return environment.get_template(TEMPLATES[form]).render(
            version=remusnet.__version__, plan=plan, operations=operations, undo=undo
        )
    except TemplateNotFound as error:
        raise InvalidInput(f"template {TEMPLATES[form]} asks for {quoted(str(error))}") from error
    except TemplateSyntaxError as error:
        where = f"template {error.name}, line {error.lineno}"
        raise InvalidInput(f"{where}: {comment_text(str(error.message))}") from error
    except (TemplateError, ArithmeticError, LookupError, RuntimeError, TypeError, ValueError) as e:
        # Whatever a template of the user's own does wrong, the file is what to look at.
        raise InvalidInput(f"template {TEMPLATES[form]}: {comment_text(str(e))}") from e


def shell_line(command: Command) -> str:
    """``command`` as one line of a shell script."""
    return shlex.join((command.program, *command.arguments))


def comment_text(text: str) -> str:
    """``text`` as the rest of a comment line: nothing in it ends the line or moves a cursor."""
    return "".join(
        c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in text
    )


def batch_steps(operations: Iterable[Operation]) -> Iterator[BatchStep]:
    """``operations`` for the batch modes: as few program starts as their order allows."""
    waiting: list[Command] = []
    for operation in operations:
        if isinstance(operation, DrainPlug):
            yield from _flush(waiting)
            yield BatchStep(drain=operation.device)
        for command in operation.commands:
            if waiting and (command.may_fail or command.program != waiting[0].program):
                yield from _flush(waiting)
            if command.may_fail:
                yield BatchStep(alone=command)
            else:
                waiting.append(command)
    yield from _flush(waiting)


def _flush(waiting: list[Command]) -> Iterator[BatchStep]:
    if waiting:
        yield BatchStep(program=waiting[0].program, commands=tuple(waiting))
        waiting.clear()


class _Loader(BaseLoader):
    """The user's templates first, then the package's."""

    def __init__(self, own: Mapping[str, str]) -> None:
        self._own = own
        self._shipped = PackageLoader("remusnet", "tc_templates")
        self.shipped = sorted(self._shipped.list_templates())
        self.replaced = sorted(set(self.shipped).intersection(own))

    def get_source(
        self, environment: Environment, template: str
    ) -> tuple[str, str | None, Callable[[], bool] | None]:
        if template in self._own:
            return self._own[template], None, None
        return self._shipped.get_source(environment, template)
