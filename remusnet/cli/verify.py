"""``remusnet verify``: desired, current, difference."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from remusnet.cli._completing import vifs
from remusnet.cli._protecting import json_option, run_dir_option
from remusnet.cli._terminal import echo, warn
from remusnet.errors import CheckFailed, InvalidInput, RemusnetError

_NAGIOS = "--nagios"


class _Verify(click.Command):
    """A command whose usage errors are unknown to a monitor, not critical (exit code 2)."""

    def make_context(
        self,
        info_name: str | None,
        args: list[str],
        parent: click.Context | None = None,
        **extra: Any,
    ) -> click.Context:
        """As click does. Raises Exit(3) for a usage error, where ``--nagios`` is given."""
        as_nagios = _NAGIOS in args
        try:
            return super().make_context(info_name, args, parent, **extra)
        except click.UsageError as error:
            if not as_nagios:
                raise
            from remusnet.report.nagios import unknown

            state, text = unknown(error.format_message())
            echo(text, nl=False, wrap=False)
            raise click.exceptions.Exit(state) from None


@click.command("verify", cls=_Verify)
@click.argument("vifs", metavar="[VIF...]", nargs=-1, shell_complete=vifs)
@run_dir_option
@json_option
@click.option(
    _NAGIOS, "as_nagios", is_flag=True, help="Print and exit as a plugin of Nagios or Icinga does."
)
@click.pass_context
def command(
    context: click.Context,
    vifs: tuple[str, ...],
    run_dir: Path,
    as_json: bool,
    as_nagios: bool,
) -> None:
    """Compare what was applied to VIF (without VIF: to every vif) with the kernel.

    Exit code 0 only where they agree, 1 where they do not. Changes nothing;
    "remusnet apply" repairs, "remusnet remove" clears.

    With --nagios: 0 they agree, 1 a warning of "remusnet status", 2 they differ, 3 it
    can't be told.

    \b
    remusnet verify
    remusnet verify vif1.0 --json
    remusnet verify --nagios vif1.0
    """
    if as_nagios:
        context.exit(_nagios(vifs, run_dir, as_json=as_json))
    from remusnet.api.protection import verify
    from remusnet.report.kernel import verified_json, verified_text

    found = verify(*vifs, run_dir=run_dir)
    warn(found.notes)
    echo(verified_json(found) if as_json else verified_text(found), nl=False, wrap=not as_json)
    count = sum(len(each.differences) for each in found)
    if count:
        raise CheckFailed(f"{count} difference{'s' if count > 1 else ''}")


def _nagios(vifs: tuple[str, ...], run_dir: Path, *, as_json: bool) -> int:
    """The exit code; a monitor reads standard output only."""
    from remusnet.api.monitoring import readings
    from remusnet.report.nagios import nagios, unknown

    try:
        if as_json:
            raise InvalidInput("--nagios or --json, not both")
        found = readings(*vifs, run_dir=run_dir)
        state, text = nagios(found, found.notes)
    except (RemusnetError, OSError) as error:
        state, text = unknown(str(error))
    echo(text, nl=False, wrap=False)
    return int(state)
