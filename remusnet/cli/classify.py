"""``remusnet classify``: what policies hold of a capture."""

from __future__ import annotations

import json
from functools import partial

import click

from remusnet.cli._capture import read_frames
from remusnet.cli._completing import files
from remusnet.cli._options import policy_option
from remusnet.cli._progress import Progress
from remusnet.cli._terminal import console
from remusnet.policy import Policy


@click.command("classify")
@click.argument("capture", metavar="CAPTURE", shell_complete=files)
@policy_option(multiple=True)
@click.option("--packets", is_flag=True, help="A line for each frame instead of flows.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON; with --packets one a line.")
def command(capture: str, policies: tuple[Policy, ...], packets: bool, as_json: bool) -> None:
    """Show what policies hold of a capture, flow by flow, and the hazards in it.

    CAPTURE is pcap or pcapng, gzipped or not; - is standard input. Every frame
    is judged, whoever sent it. Frames are counted from 1, as Wireshark does.

    \b
    remusnet classify call.pcap
    remusnet classify call.pcap --policy tcp-only --policy real-time
    tcpdump -i vif1.0 -w - | remusnet classify - --packets --json
    """
    from remusnet.api.recordings import classified
    from remusnet.report.classification import packet_lines, print_survey, survey_json

    with Progress() as progress:
        found = classified(capture, policies, partial(read_frames, progress), progress.step)
    if packets:
        for line in packet_lines(found.judgements, found.recording.numbers, as_json=as_json):
            click.echo(line)
    elif as_json:
        click.echo(json.dumps(survey_json(found.surveys), indent=2))
    else:
        to = console()
        for each in found.surveys:
            print_survey(to, each)
