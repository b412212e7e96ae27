"""``remusnet run``: any program under Remus, live, without Xen."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from remusnet import defaults
from remusnet.cli._completing import files
from remusnet.cli._folder import whole_or_gone
from remusnet.cli._options import PolicyType, commit_delay_option, interval_option
from remusnet.cli._progress import Progress
from remusnet.cli._quantities import DURATION, SIZE
from remusnet.cli._reporting import asked, fail, finish, make_ready, report_options, tell
from remusnet.cli._running import NO_POLICY, Show, compared
from remusnet.cli._terminal import console, warn
from remusnet.cli._typed import TypedCommand, typed
from remusnet.errors import CheckFailed, quoted
from remusnet.policy import DEFAULT_POLICY

if TYPE_CHECKING:
    from collections.abc import Sequence

    from remusnet.report.assertions import Checked
    from remusnet.results.live_run import LiveResult

_ELSEWHERE = ("report", "junit", "capture", "as_json")
"""Options that change nothing in the run."""


@click.command("run", cls=TypedCommand, context_settings={"allow_interspersed_args": False})
@click.argument("command_line", metavar="-- CMD [ARG]...", nargs=-1, type=click.UNPROCESSED)
@click.option(
    "--policy",
    type=PolicyType(NO_POLICY),
    metavar="NAME|FILE",
    default=DEFAULT_POLICY.name,
    show_default=True,
    help="A shipped policy, or a policy file (.toml, or a path with a slash); none: neither "
    "checkpoints nor rules.",
)
@click.option(
    "--compare",
    metavar="NAME|FILE,...",
    shell_complete=PolicyType(NO_POLICY).shell_complete,
    help="Policies, by commas: one run after the other, and one table.",
)
@interval_option
@click.option(
    "--pause",
    type=DURATION,
    metavar="TIME",
    default=defaults.PAUSE,
    show_default=True,
    help="How long each checkpoint stops the program: what copying takes. An assumption.",
)
@commit_delay_option
@click.option(
    "--duration",
    type=DURATION,
    metavar="TIME",
    help="End the program after that time (SIGTERM, and 5 s later SIGKILL).",
)
@click.option(
    "--publish",
    multiple=True,
    metavar="[ADDR:]HOST[:GUEST]/udp|tcp",
    help="Reach the program's port GUEST by HOST of this machine, on 127.0.0.1 unless ADDR says "
    "another. Repeat it.",
)
@click.option("--subnet", metavar="NET", help="As 10.99.0.0/24.  [default: a free 10.77.x.0/24]")
@click.option("--user", metavar="USER", help="Run the program as USER.  [default: who called sudo]")
@click.option(
    "--plug",
    type=click.Choice(["auto", "kernel", "userspace"]),
    default="auto",
    show_default=True,
    help="What holds frames: sch_plug, or a process that stands in for it.",
)
@click.option(
    "--limit",
    type=SIZE,
    metavar="BYTES",
    help="What the plug can hold.  [default: 2 x 1gbit x interval, at least 256 KiB]",
)
@click.option(
    "--fail-after",
    type=DURATION,
    metavar="TIME",
    help="The primary dies then: what is held is lost, and the program stands for --outage.",
)
@click.option(
    "--outage",
    type=DURATION,
    metavar="TIME",
    default="1s",
    show_default=True,
    help="From the primary's death until the program goes on, unprotected.",
)
@click.option(
    "--capture",
    metavar="FILE",
    shell_complete=files,
    help="Write what both ends of the vif saw, as pcapng with two interfaces.",
)
@report_options
@click.option("--json", "as_json", is_flag=True, help="Print JSON, as the last line.")
@click.pass_context
def command(
    context: click.Context,
    command_line: tuple[str, ...],
    policy: object,
    compare: str | None,
    interval: int,
    pause: int,
    commit_delay: int,
    duration: int | None,
    publish: tuple[str, ...],
    subnet: str | None,
    user: str | None,
    plug: str,
    limit: int | None,
    fail_after: int | None,
    outage: int,
    capture: str | None,
    assertions: tuple[str, ...],
    junit: str | None,
    report: str | None,
    as_json: bool,
) -> None:
    """Run a program under Remus, live, without Xen: its clients see what they would.

    CMD runs in a network namespace of its own. It is frozen at each checkpoint, and what
    the policy holds of its frames leaves at the commit. Its address is in
    REMUSNET_ADDRESS, and {address} in its arguments is replaced by it; this machine
    reaches it there, others by --publish. As root, or without (then by --publish only).

    Exit code: CMD's own where it ended by itself (127: not found), 0 after --duration,
    1 where an assertion did not hold or a held frame left before its commit.

    \b
    remusnet run -- python3 -m http.server 80 --bind {address}
    remusnet run --policy real-time --publish 5060/udp -- ./my-sip-server
    remusnet run --duration 60s --assert 'rtp.jitter.mean < 10ms' -- ./server
    remusnet run --compare tcp-only,hold-all,none --duration 30s -- ./server
    remusnet run --fail-after 20s --outage 2s --capture out.pcapng -- ./server

    "remusnet metrics" lists what --assert can ask for; "remusnet doctor" says which plug
    this machine has.
    """
    from remusnet.api.live import RunOrder, clear_leftovers, run_each
    from remusnet.live.orders import parse_published, parse_subnet
    from remusnet.plan.devices import plug_limit
    from remusnet.schedule import Schedule

    order = RunOrder(
        command=command_line,
        schedule=Schedule(interval, pause, commit_delay),
        policy=None,
        limit=plug_limit(defaults.RATE_BITS, interval) if limit is None else limit,
        plug=plug,
        published=tuple(parse_published(each) for each in publish),
        subnet=None if subnet is None else parse_subnet(subnet),
        user=user,
        duration_ns=duration,
        fail_after_ns=fail_after,
        outage_ns=outage,
        terminal=not as_json and sys.stdout.isatty() and sys.stderr.isatty(),
    )
    policies = compared(context, policy, compare)
    wanted = asked(assertions, junit, report)
    warn(clear_leftovers())
    with whole_or_gone(wanted.report) as finished:
        make_ready(wanted)
        with Show(order.command, to_terminal=order.terminal) as show:
            results, number = run_each(
                order,
                policies,
                show.listener,
                live=True,
                capture=None if capture is None else Path(capture),
            )
        from remusnet.results.live_run import together

        with Progress() as progress:
            line = f"{typed(context, without=_ELSEWHERE)} --report DIR"
            checked, written = finish(wanted, together(results), progress, finished, line)
    if capture is not None:
        written += [Path(capture)] if len(policies) == 1 else []
    _present(results, checked, written, as_json=as_json, compared=compare is not None)
    fail(checked, told=not as_json)
    _fail_violations(results)
    if number and duration is not None:
        context.exit(128 + number)
    if number or duration is not None:
        context.exit(_own_end(results, number))
    context.exit(results[-1].exit_code or 0)


def _own_end(results: Sequence[LiveResult], number: int) -> int:
    """0 where the run was ended from outside; the program's own code where that ended first."""
    ended = next((each for each in results if each.ended_itself and each.exit_code), None)
    return 0 if ended is None or number else ended.exit_code or 0


def _fail_violations(results: Sequence[LiveResult]) -> None:
    for each in results:
        count = each.outcome.output_commit.violations
        if count:
            raise CheckFailed(
                f"{count} held frames left before their commit under {each.outcome.policy}: this "
                "is a bug in remusnet, or somebody has changed its rules meanwhile"
            )


def _present(
    results: Sequence[LiveResult],
    checked: tuple[Checked, ...],
    written: Sequence[Path],
    *,
    as_json: bool,
    compared: bool,
) -> None:
    if as_json:
        documents = [each.to_json() for each in results]
        if checked:
            for document in documents:
                document["assertions"] = [each.to_json() for each in checked]
        sys.stdout.flush()
        click.echo(json.dumps(documents if compared else documents[0], allow_nan=False))
        return
    from remusnet.report.live_run import print_live

    print_live(console(), results)
    tell(checked)
    for file in written:
        click.echo(f"wrote {quoted(str(file))}")
