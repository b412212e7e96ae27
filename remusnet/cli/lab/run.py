"""``remusnet lab run``: a scenario in a real kernel, beside the emulator."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from remusnet import defaults
from remusnet.cli._completing import scenarios_or_files, words
from remusnet.cli._interrupts import ended_by_exception
from remusnet.cli._options import PolicyType
from remusnet.cli._progress import Progress
from remusnet.cli._protecting import json_option
from remusnet.cli._quantities import DURATION
from remusnet.cli._terminal import console
from remusnet.cli.lab._options import lab_of, memory_option, virtual_option
from remusnet.errors import CheckFailed
from remusnet.policy import Policy

if TYPE_CHECKING:
    from remusnet.api.labs import LabRun

_CLASSIFIERS = ("u32", "bpf", "flower")
_PARTS = ("frames", "tcp")


@click.command("run")
@click.argument("scenario", metavar="SCENARIO", shell_complete=scenarios_or_files)
@click.option(
    "--compare",
    is_flag=True,
    required=True,
    expose_value=False,
    help="Beside the emulator: frame by frame, and connections by their distributions.",
)
@click.option(
    "--only",
    type=click.Choice(_PARTS),
    shell_complete=words(*_PARTS),
    help="Compare the guest's frames only, or only connections over the kernel's own TCP."
    "  [default: both, where the scenario has [[tcp]]]",
)
@virtual_option
@click.option(
    "--policy",
    "policies",
    type=PolicyType(),
    metavar="NAME|FILE",
    multiple=True,
    help="A shipped policy, or a policy file. Repeat it for several.  [default: the scenario's]",
)
@click.option(
    "--classifier",
    type=click.Choice(_CLASSIFIERS),
    default=defaults.CLASSIFIER,
    show_default=True,
    shell_complete=words(*_CLASSIFIERS),
    help="What the rules are made of.",
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
@memory_option
@json_option
def command(
    scenario: str,
    only: str | None,
    virtual: bool,
    policies: tuple[Policy, ...],
    classifier: str,
    duration: int | None,
    seed: int | None,
    memory: str,
    as_json: bool,
) -> None:
    """Send a scenario through a real kernel's rules, plug and TCP.

    What the guest of SCENARIO sends in the emulator goes into a vif at its times; "remusnet
    apply" has put the policy's rules there, and the plug is driven at the scenario's
    checkpoints. Of each frame the kernel's verdict, epoch and time of release stand beside
    the emulator's.

    What reacts is then run anew, in a kernel of its own: each connection of [[tcp]] over
    that kernel's TCP, through the same rules, plug, checkpoints and network. Answers and
    connections stand beside the emulator's: median, p95, how many, what was sent again.

    In real time each takes as long as the scenario, and on a busy machine each step comes
    late; in virtual time, see "remusnet lab setup", neither.

    Exit code 1: the two don't agree on a verdict, an epoch or a drop, or on times: medians
    within 2 ms beyond what the replay itself was late; in virtual time each frame within
    0.1 ms. Of connections: within 15 % (or 1 ms; in real time 50 ms), and in virtual time
    what is sent again within 20 % (or one for five connections).

    \b
    remusnet lab run fig11 --compare --duration 5s
    remusnet lab run fig10 --compare --virtual-time
    remusnet lab run downloads.toml --compare --virtual-time --only tcp
    remusnet lab run office.toml --compare --policy real-time --classifier flower --json
    """
    from remusnet.api.labs import LabCase

    with ended_by_exception(), Progress() as progress:
        case = LabCase(
            scenario,
            classifier,
            policies,
            duration,
            seed,
            frames=only != "tcp",
            tcp=only != "frames",
        )
        found = case.run(lab_of(memory, virtual=virtual), progress.step)
    agrees = all(each.agrees for each in found)
    if as_json:
        click.echo(
            json.dumps(
                {
                    "scenario": found[0].scenario,
                    "kernel": found[0].kernel,
                    "virtual_time": virtual,
                    "agrees": agrees,
                    "runs": [each.to_json() for each in found],
                },
                indent=2,
            )
        )
        sys.exit(0 if agrees else CheckFailed.exit_code)
    _present(found)
    sys.exit(0 if agrees else CheckFailed.exit_code)


def _present(found: Sequence[LabRun]) -> None:
    from remusnet.report.agreement import print_agreement
    from remusnet.report.likeness import print_likeness

    for number, each in enumerate(found):
        if number:
            click.echo()
        if each.frames is not None:
            print_agreement(console(), each.frames)
        if each.tcp is not None:
            if each.frames is not None:
                click.echo()
            print_likeness(console(), each.tcp)
