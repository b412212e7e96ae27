"""``remusnet simulate``: replay a capture through Remus's buffer."""

from __future__ import annotations

import os
from pathlib import Path

import click

from remusnet.cli._capture import read_frames
from remusnet.cli._options import PolicyType
from remusnet.cli._quantities import DURATION, RATE, SIZE
from remusnet.errors import InvalidInput, quoted
from remusnet.policy import PRESETS, Policy


@click.command("simulate")
@click.option(
    "--capture",
    required=True,
    metavar="FILE",
    help="The recording: pcap or pcapng, gzipped or not; - is standard input.",
)
@click.option(
    "--policy",
    "policies",
    type=PolicyType(),
    metavar="NAME|FILE",
    multiple=True,
    help="A shipped policy, or a policy file (.toml, or a path with a slash). Repeat it to compare."
    "  [default: all shipped ones]",
)
@click.option(
    "--interval",
    type=DURATION,
    metavar="TIME",
    default="200ms",
    show_default=True,
    help="The checkpoint interval (xl's own default).",
)
@click.option(
    "--pause",
    type=DURATION,
    metavar="TIME",
    default="50ms",
    show_default=True,
    help="How long each checkpoint stops the guest. The default is an assumption.",
)
@click.option(
    "--commit-delay",
    type=DURATION,
    metavar="TIME",
    default="5ms",
    show_default=True,
    help="From the resume to the commit. The default is an assumption.",
)
@click.option(
    "--schedule",
    type=click.Choice(["xl", "xend"]),
    default="xl",
    show_default=True,
    help="What the interval is counted from: xl the commit, xend the suspend.",
)
@click.option(
    "--guest",
    metavar="MAC|IP",
    help="The protected guest.  [default: the busiest sender, those with Xen's prefix first]",
)
@click.option(
    "--rate",
    type=RATE,
    metavar="RATE",
    default="1gbit",
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
    help="Write what left the buffer as a nanosecond pcap; with several policies FILE-POLICY.pcap.",
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def command(
    capture: str,
    policies: tuple[Policy, ...],
    interval: int,
    pause: int,
    commit_delay: int,
    schedule: str,
    guest: str | None,
    rate: int,
    limit: int | None,
    out: str | None,
    as_json: bool,
) -> None:
    """Replay a recorded call through Remus's buffer, and compare policies.

    Frames that the guest sent go through classifier, plug and checkpoints; all others keep their
    times. The replay is open loop: nobody reacts to the delay.

    \b
    remusnet simulate --capture call.pcap --interval 400ms
    remusnet simulate --capture call.pcap --policy tcp-only --pause 0ms --out released.pcap
    """
    from remusnet.capture import write
    from remusnet.emulator.simulation import simulate
    from remusnet.plan.limits import plug_limit
    from remusnet.schedule import Schedule, ScheduleKind

    policies = policies or tuple(PRESETS.values())
    times = Schedule(interval, pause, commit_delay, ScheduleKind(schedule))
    files = _files(out, capture, policies)
    recording = read_frames(capture)
    simulation = simulate(
        recording.frames,
        policies,
        times,
        plug_limit(rate, interval) if limit is None else limit,
        capture=recording.name,
        guest=guest,
    )
    if files:
        for file, frames in zip(files, simulation.released, strict=True):
            write(file, frames)
    if as_json:
        from remusnet.report.simulation import simulation_json

        click.echo(simulation_json(simulation.comparison))
    else:
        from rich.console import Console

        from remusnet.report.simulation import print_simulation

        print_simulation(Console(highlight=False), simulation.comparison)
        for file in files:
            click.echo(f"wrote {quoted(str(file))}")


def _files(out: str | None, capture: str, policies: tuple[Policy, ...]) -> list[Path]:
    """Where each policy's frames go: ``FILE``, or ``FILE-POLICY.pcap`` for each of several.

    Raises InvalidInput for standard output, which has the report, and for the capture itself.
    """
    if out is None:
        return []
    path = Path(out)
    if not path.name or out == "-":
        raise InvalidInput(f"--out: expected a file's name, not {quoted(out)}")
    files = [path]
    if len(policies) > 1:
        suffix = path.suffix if path.suffix == ".pcap" else ""
        stem = path.name.removesuffix(suffix)
        files = [path.with_name(f"{stem}-{policy.name}.pcap") for policy in policies]
    for file in files:
        if capture != "-" and os.path.realpath(file) == os.path.realpath(capture):
            raise InvalidInput(f"--out: would overwrite the capture {quoted(capture)}")
    return files
