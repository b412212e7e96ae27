"""``remusnet simulate``: a capture, or a scenario, through Remus's buffer."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import click
from click.core import ParameterSource

from remusnet import defaults
from remusnet.api.scenarios import names_capture, schedule_of
from remusnet.cli._capture import read_frames
from remusnet.cli._completing import files, scenarios_or_files
from remusnet.cli._folder import whole_or_gone
from remusnet.cli._interrupts import load_chance
from remusnet.cli._options import PolicyType, commit_delay_option, interval_option, schedule_option
from remusnet.cli._progress import Progress
from remusnet.cli._quantities import DURATION, RATE, SIZE
from remusnet.cli._reporting import asked, fail, finish, make_ready, report_options, tell
from remusnet.cli._terminal import console
from remusnet.cli._typed import TypedCommand, typed
from remusnet.errors import quoted
from remusnet.policy import Policy

if TYPE_CHECKING:
    from remusnet.api.simulation import Simulated
    from remusnet.report.assertions import Checked

_CAPTURE_ONLY = (
    "interval",
    "period",
    "pause",
    "commit_delay",
    "schedule",
    "guest",
    "rate",
    "limit",
)
_SCENARIO_ONLY = ("calls", "duration", "seed", "advice")


@click.command("simulate", cls=TypedCommand)
@click.argument(
    "source", metavar="[SCENARIO|CAPTURE]", required=False, shell_complete=scenarios_or_files
)
@click.option(
    "--capture",
    metavar="FILE",
    shell_complete=files,
    help="A recording, whatever its name: pcap or pcapng, gzipped or not; - is standard input.",
)
@click.option(
    "--policy",
    "policies",
    type=PolicyType(),
    metavar="NAME|FILE",
    multiple=True,
    help="A shipped policy, or a policy file (.toml, or a path with a slash). Repeat it to compare."
    "  [default: the scenario's, else all shipped ones]",
)
@click.option(
    "--calls",
    type=click.IntRange(1, 1_000_000),
    metavar="N",
    help="So many calls in all, instead of the scenario's.",
)
@click.option(
    "--duration", type=DURATION, metavar="TIME", help="So long, instead of the scenario's duration."
)
@click.option(
    "--seed",
    type=click.IntRange(0, 2**63 - 1),
    metavar="N",
    help="Another seed than the scenario's: other chance, where there is any.",
)
@interval_option
@click.option(
    "--period",
    type=DURATION,
    metavar="TIME",
    help="From commit to commit, instead of --interval: with xl, interval + pause + commit delay.",
)
@click.option(
    "--pause",
    type=DURATION,
    metavar="TIME",
    default=defaults.PAUSE,
    show_default=True,
    help="How long each checkpoint stops the guest. The default is an assumption.",
)
@commit_delay_option
@schedule_option
@click.option(
    "--guest",
    metavar="MAC|IP",
    help="The protected guest.  [default: the busiest sender, those with Xen's prefix first]",
)
@click.option(
    "--rate",
    type=RATE,
    metavar="RATE",
    default=defaults.RATE,
    show_default=True,
    help="The guest's link, for the default limit.",
)
@click.option(
    "--limit",
    type=SIZE,
    metavar="BYTES",
    help="What the plug can hold.  [default: 2 x rate x interval, at least 256 KiB]",
)
@click.option(
    "--out",
    metavar="FILE",
    shell_complete=files,
    help="Write what left the buffer (of a scenario: what arrived) as a nanosecond pcap; with "
    "several policies FILE-POLICY.pcap.",
)
@click.option(
    "--advice/--no-advice",
    default=True,
    show_default=True,
    help="Of a scenario with [[tcp]]: run again with the settings of TCP that may help, and say "
    "what they gain. Each is a run more, of up to 100,000 frames.",
)
@report_options
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.pass_context
def command(
    context: click.Context,
    source: str | None,
    capture: str | None,
    policies: tuple[Policy, ...],
    calls: int | None,
    duration: int | None,
    seed: int | None,
    interval: int,
    period: int | None,
    pause: int,
    commit_delay: int,
    schedule: str,
    guest: str | None,
    rate: int,
    limit: int | None,
    out: str | None,
    advice: bool,
    assertions: tuple[str, ...],
    junit: str | None,
    report: str | None,
    as_json: bool,
) -> None:
    """Send calls through Remus's buffer, and compare policies.

    Of a SCENARIO (a name that "remusnet scenario list" knows, or a .toml file), traffic,
    checkpoints, network and failures are simulated. Of a CAPTURE (pcap or pcapng), the guest's
    frames go through classifier, plug and checkpoints, and all others keep their times;
    --interval to --limit are for captures only.

    \b
    remusnet simulate fig11
    remusnet simulate calls.toml --calls 100 --duration 60s --json
    remusnet simulate fig11 --assert 'rtp.jitter.mean < 6ms' --junit out.xml
    remusnet simulate call.pcap --period 400ms --report report/
    remusnet simulate call.pcap --policy tcp-only --pause 0ms --out released.pcap

    "remusnet metrics" lists what --assert can ask for.
    """
    if (source is None) == (capture is None):
        raise click.UsageError("expected a scenario or a capture, and not both")
    if source is not None and names_capture(source):
        source, capture = None, source
    _refuse(context, _CAPTURE_ONLY if capture is None else _SCENARIO_ONLY, source)
    from remusnet.api.simulation import CaptureCase, ScenarioCase
    from remusnet.plan.devices import plug_limit
    from remusnet.schedule import ScheduleKind

    wanted = asked(assertions, junit, report)
    case: ScenarioCase | CaptureCase
    with Progress() as progress, whole_or_gone(wanted.report) as finished:
        if capture is None:
            make_ready(wanted)
            load_chance()
            keep = wanted.report is not None
            case = ScenarioCase(str(source), policies, calls, duration, seed, out, keep, advice)
        else:
            if period is not None and _given(context, "interval"):
                raise click.UsageError("--interval, --period: give one of them, not both")
            times = schedule_of(interval, period, pause, commit_delay, ScheduleKind(schedule))
            make_ready(wanted)
            plug = plug_limit(rate, times.interval_ns) if limit is None else limit
            case = CaptureCase(capture, times, plug, policies, guest, out)
        done = case.run(partial(read_frames, progress), progress.step)
        # Where it was written to is no part of what was asked, nor of the page.
        command = typed(context, without=("report", "junit", "out", "as_json"))
        checked, written = finish(
            wanted, done.simulation, progress, finished, f"{command} --report DIR"
        )
    _present(done, checked, written, as_json=as_json)
    fail(checked, told=not as_json)


def _refuse(context: click.Context, names: tuple[str, ...], scenario: str | None) -> None:
    """Options that mean nothing here are mistakes, not to be passed over."""
    for name in names:
        if _given(context, name):
            option = "--" + name.replace("_", "-")
            where = "a capture; a scenario has its own" if scenario is not None else "a scenario"
            raise click.UsageError(f"{option}: only for {where}")


def _given(context: click.Context, name: str) -> bool:
    return context.get_parameter_source(name) is not ParameterSource.DEFAULT


def _present(
    done: Simulated, checked: tuple[Checked, ...], written: list[Path], *, as_json: bool
) -> None:
    comparison = done.simulation.comparison
    if as_json:
        from remusnet.report.simulation import simulation_json

        speed = {
            "packets": done.frames,
            "seconds": round(done.seconds, 6),
            "packets_per_second": round(done.frames / done.seconds) if done.seconds else 0,
        }
        click.echo(simulation_json(comparison, speed, checked))
        return
    from remusnet.report.simulation import print_simulation

    print_simulation(console(), comparison)
    tell(checked)
    for file in (*done.files, *written):
        click.echo(f"wrote {quoted(str(file))}")
