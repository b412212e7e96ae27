"""``remusnet figures``: the thesis's figures, simulated."""

from __future__ import annotations

from pathlib import Path

import click

from remusnet.api.scenarios import load_scenario, policies_of
from remusnet.cli._completing import folders
from remusnet.cli._folder import whole_or_gone
from remusnet.cli._interrupts import load_chance
from remusnet.cli._progress import Progress
from remusnet.cli._terminal import echo
from remusnet.errors import CheckFailed, quoted


@click.command("figures")
@click.argument("directory", metavar="OUT", shell_complete=folders)
def command(directory: str) -> None:
    """Draw figures 8 to 12 of the thesis from simulations, into the folder OUT.

    Each is drawn as SVG and PNG. OUT/index.html sets them beside the thesis's words, the
    closed forms and the assumptions. Needs matplotlib (the extra report).
    Exit code 1: a figure misses what it is held to.

    \b
    remusnet figures figures/
    """
    from remusnet.emulator.run.scenario_run import run_scenario
    from remusnet.report.drawing import style
    from remusnet.report.folder import FIGURES, prepare
    from remusnet.report.thesis import SHOWN, draw, write_figures

    drawn = []
    with Progress() as progress, whole_or_gone(Path(directory)) as finished:
        with style():  # is matplotlib there?
            prepare(Path(directory), FIGURES)  # it reports obstacles before the work
        load_chance()
        for number, shown in enumerate(SHOWN, 1):
            progress.step(f"{shown.scenario} ({number} of {len(SHOWN)})")
            scenario = load_scenario(shown.scenario)
            simulation = run_scenario(scenario, policies_of(scenario, shown.scenario))
            drawn.append(draw(shown, simulation.comparison))
            expected = drawn[-1].expectations
            held = sum(each.holds for each in expected)
            progress.hide()
            echo(f"{shown.scenario:18} holds {held} of {len(expected)}: {shown.title}")
        written = list(write_figures(Path(directory), tuple(drawn)))
        finished()
    for path in written:
        click.echo(f"wrote {quoted(str(path))}")
    missed = [
        each.shown.scenario for each in drawn if not all(one.holds for one in each.expectations)
    ]
    if missed:
        raise CheckFailed(f"{', '.join(missed)}: see index.html for what is missed")
