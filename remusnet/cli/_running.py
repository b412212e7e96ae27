"""What ``remusnet run`` shows while a program runs, and how its policies are read."""

from __future__ import annotations

import shlex
import sys
from types import TracebackType
from typing import TYPE_CHECKING, Self

import click
from click.core import ParameterSource

from remusnet.cli._options import PolicyType
from remusnet.cli._terminal import echo
from remusnet.errors import InvalidInput, quoted
from remusnet.policy import Policy

if TYPE_CHECKING:
    from rich.live import Live

    from remusnet.live.epochs import Epochs
    from remusnet.live.guard import Listener, Ready
    from remusnet.live.keeper import Counts
    from remusnet.live.taps import Tapped
    from remusnet.live.watching import Watcher

NO_POLICY = "none"
"""The word for a run without checkpoints and rules: what to compare with."""
_LINE_S = 10.0
"""Between two lines where there is no terminal."""


def compared(
    context: click.Context, policy: object, compare: str | None
) -> tuple[Policy | None, ...]:
    """The policies to run under, None for `NO_POLICY`. Raises InvalidInput, or UsageError."""
    if compare is None:
        return (policy if isinstance(policy, Policy) else None,)
    if context.get_parameter_source("policy") is not ParameterSource.DEFAULT:
        raise click.UsageError("--policy or --compare, not both")
    names = [each.strip() for each in compare.split(",") if each.strip()]
    if not names:
        raise InvalidInput("--compare: expected policies by commas, as tcp-only,hold-all,none")
    kind = PolicyType(NO_POLICY)
    found = [kind.convert(each, None, context) for each in names]
    policies = [each if isinstance(each, Policy) else None for each in found]
    titles = [NO_POLICY if each is None else each.name for each in policies]
    twice = next((each for each in titles if titles.count(each) > 1), None)
    if twice is not None:
        raise InvalidInput(f"--compare: {quoted(twice)} is there twice")
    return tuple(policies)


class Show:
    """Says what happens: a table that changes in a terminal, else a line every ten seconds."""

    def __init__(self, command: tuple[str, ...], *, to_terminal: bool) -> None:
        self._title = shlex.join(command)
        self._to_terminal = to_terminal
        self._live: Live | None = None
        self._watcher: Watcher | None = None
        self._told_s = 0.0
        self._rest = b""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._end()

    def listener(self, policy: Policy | None) -> Listener:
        """The listener that hears of the run under ``policy``."""
        from remusnet.live.guard import Listener
        from remusnet.live.watching import Watcher

        self._end()
        self._watcher = Watcher(policy)
        self._told_s = 0.0
        name = NO_POLICY if policy is None else policy.name
        return Listener(
            ready=lambda ready: self._ready(ready, name),
            note=self._note,
            output=self._output,
            tick=self._tick,
        )

    def _ready(self, ready: Ready, policy: str) -> None:
        plug = "no plug" if ready.plug is None else f"{ready.plug} plug"
        self._note(
            f"{ready.address} under {policy}: {plug}, frozen by {ready.freezer}, as "
            f"{ready.account}; clients of this machine come from {ready.gateway}"
        )
        if self._to_terminal:
            from rich.console import Console
            from rich.live import Live

            self._live = Live(console=Console(stderr=True), auto_refresh=False, transient=True)
            self._live.start()

    def _note(self, text: str) -> None:
        if self._live is not None:
            self._live.console.print(f"remusnet: {text}", markup=False, highlight=False)
        else:
            click.echo(f"remusnet: {text}", err=True)

    def _output(self, piece: bytes) -> None:
        """What the program has printed, above the table: whole lines."""
        text = self._rest + piece
        whole, newline, self._rest = text.rpartition(b"\n")
        if not newline:
            return
        if self._live is None:
            sys.stdout.buffer.write(whole + newline)
            sys.stdout.buffer.flush()
            return
        from rich.text import Text

        lines = whole.decode(errors="replace").replace("\r\n", "\n")
        self._live.console.print(Text.from_ansi(lines))

    def _tick(self, inner: Tapped, outer: Tapped, epochs: Epochs, counts: Counts) -> None:
        from remusnet.report.live_run import live_line, live_table

        if self._watcher is None:
            return
        view = self._watcher.look(inner, outer, epochs, counts)
        if self._live is not None:
            self._live.update(live_table(view, self._title), refresh=True)
        elif view.seconds - self._told_s >= _LINE_S:
            self._told_s = view.seconds
            self._note(live_line(view))

    def _end(self) -> None:
        if self._live is not None:
            self._live.stop()
            self._live = None
        if self._rest:
            echo(self._rest.decode(errors="replace"), wrap=False)
            self._rest = b""
