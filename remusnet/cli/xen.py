"""``remusnet xen``: the netbuf script of xl remus, and what it is doing."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import click

from remusnet.cli._groups import Group
from remusnet.cli._protecting import json_option, run_dir_option
from remusnet.cli._terminal import echo
from remusnet.cli.xen_epochs import fit_epochs, measure_epochs

if TYPE_CHECKING:
    from remusnet.host.netbuf.places import Places
    from remusnet.results.xen import Installed

_root_option = click.option(
    "--root",
    metavar="DIR",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    default="/",
    help="A Dom0 that is mounted there, instead of this one.",
)
_dry_run_option = click.option("--dry-run", is_flag=True, help="Only say what would be done.")


@click.group("xen", cls=Group)
def command() -> None:
    """Let xl remus use remusnet, and see what it does.

    \b
    remusnet xen install --default
    xl remus guest backup
    remusnet xen status
    """


command.add_command(measure_epochs)
command.add_command(fit_epochs)


@command.command("install")
@click.option("--default", is_flag=True, help="Make it the default of xl remus, in xl.conf.")
@_root_option
@_dry_run_option
@json_option
def install_script(default: bool, root: Path, dry_run: bool, as_json: bool) -> None:
    """Put the netbuf script in its place.

    That is where Xen's scripts are; what it needs is made ready. Run it again when the
    file of domains or a policy file has changed: setups work without, but take longer.
    Nothing of others is overwritten.

    \b
    remusnet xen install
    xl remus -N remusnet-netbuf guest backup
    """
    from remusnet.host.install import Layout, install

    places = _places_of(root)
    _present(install(Layout(root), places, default=default, dry_run=dry_run), as_json)


@command.command("uninstall")
@_root_option
@_dry_run_option
@json_option
def uninstall_script(root: Path, dry_run: bool, as_json: bool) -> None:
    """Take out what install has put in.

    xl.conf is as it was before. Domains under Remus need the script to end: stop them first.
    """
    from remusnet.host.install import Layout, uninstall

    _present(uninstall(Layout(root), _places_of(root), dry_run=dry_run), as_json)


@command.command("status")
@run_dir_option
@json_option
def show_status(run_dir: Path, as_json: bool) -> None:
    """Show the domains under Remus.

    Their vifs, buffer devices, policies and backlog. What a killed xl has left is marked.
    """
    from remusnet.host.xen import under_remus
    from remusnet.host.xenstore import Xenstore
    from remusnet.report.xen import under_remus_json, under_remus_text

    found, notes = under_remus(_places(run_dir), Xenstore())
    for note in notes:
        click.echo(f"remusnet: warning: {note}", err=True)
    text = under_remus_json(found) if as_json else under_remus_text(found)
    echo(text, nl=False, wrap=not as_json)


@command.command("pid")
@click.argument("domain")
@click.option("--receiver", is_flag=True, help="Of the xl that receives it, on the backup.")
def print_process(domain: str, receiver: bool) -> None:
    """Print the number of the xl remus of DOMAIN.

    Of no other domain's, and of no process that only looks like it: to end the one
    that is meant. DOMAIN is a name, a number or a UUID.

    Exit code: 2 if there is none.

    \b
    kill -KILL $(remusnet xen pid pbx)
    kill $(remusnet xen pid --receiver pbx)
    """
    from remusnet.host.xen import xl_process
    from remusnet.host.xenstore import Xenstore

    click.echo(xl_process(domain, Xenstore(), receiver=receiver))


@command.command("recover")
@click.argument("domains", metavar="[DOMAIN...]", nargs=-1)
@click.option("--drop", is_flag=True, help="Drop what is held: the guest was fenced.")
@click.option("--force", is_flag=True, help="Even where something still drives the plug.")
@_dry_run_option
@run_dir_option
@json_option
@click.pass_context
def recover_domains(
    context: click.Context,
    domains: tuple[str, ...],
    drop: bool,
    force: bool,
    dry_run: bool,
    run_dir: Path,
    as_json: bool,
) -> None:
    """End what a killed xl has left.

    For DOMAIN, or without one for all. What is held leaves first, since the guest goes
    on here. Where the backup has taken over, and this guest was stopped for it, give
    --drop: then it never leaves.

    Exit code: 5 if something was left as it is.
    """
    from remusnet.errors import Conflict
    from remusnet.host.xen import recover
    from remusnet.host.xenstore import Xenstore
    from remusnet.report.xen import recovered_json, recovered_text

    found = recover(domains, _places(run_dir), Xenstore(), drop=drop, force=force, dry_run=dry_run)
    for problem in dict.fromkeys(problem for each in found for problem in each.problems):
        click.echo(f"remusnet: warning: {problem}", err=True)
    text = recovered_json if as_json else recovered_text
    echo(text(found, dry_run=dry_run), nl=False, wrap=not as_json)
    if any(each.kept for each in found):
        context.exit(Conflict.exit_code)


def _places(run_dir: Path) -> Places:
    from remusnet.host.netbuf.places import Places

    return Places({**os.environ, "REMUSNET_RUN_DIR": str(run_dir)})


def _places_of(root: Path) -> Places:
    from remusnet.host.netbuf.places import places_below

    return places_below(str(root), os.environ)


def _present(done: Installed, as_json: bool) -> None:
    from remusnet.report.xen import installed_json, installed_text

    for note in done.notes:
        click.echo(f"remusnet: warning: {note}", err=True)
    echo(installed_json(done) if as_json else installed_text(done), nl=False, wrap=not as_json)
