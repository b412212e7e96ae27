"""``remusnet apply``: a plan, done."""

from __future__ import annotations

from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING

import click
from click.core import ParameterSource

from remusnet import defaults
from remusnet.cli._completing import files, vifs
from remusnet.cli._domains import domain_options
from remusnet.cli._protecting import json_option, run_dir_option, terms_options
from remusnet.cli._terminal import echo, warn
from remusnet.errors import Failed, InvalidInput

if TYPE_CHECKING:
    from remusnet.host.desired import DesiredState
    from remusnet.policy import Policy
    from remusnet.results.host import HostDifference


@click.command("apply")
@click.argument("vifs", metavar="[VIF...]", nargs=-1, shell_complete=vifs)
@domain_options
@click.option(
    "--file",
    metavar="[FILE]",
    is_flag=False,
    flag_value=defaults.HOST_FILE,
    shell_complete=files,
    help=f"Every vif that the host's file names, as it says.  [file: {defaults.HOST_FILE}]",
)
@click.option("--all", "every", is_flag=True, help="Every vif with a name of Xen's.")
@terms_options
@click.option("--force", is_flag=True, help="Even where it can cost half of the memory.")
@click.option("--dry-run", is_flag=True, help="Print the plan, touch nothing.")
@run_dir_option
@json_option
@click.pass_context
def command(
    context: click.Context,
    vifs: tuple[str, ...],
    domain: str | None,
    uri: str,
    file: str | None,
    every: bool,
    policy: Policy,
    classifier: str,
    buffer: str | None,
    interval: int,
    rate: int,
    limit: int | None,
    memory: int | None,
    decouple: bool,
    force: bool,
    dry_run: bool,
    run_dir: Path,
    as_json: bool,
) -> None:
    """Protect VIF: hold what the policy holds of what its guest sends.

    All or nothing: whatever fails, a signal too, leaves the kernel as it was. What
    was done is looked at before the command ends. The same once more changes nothing;
    another policy or limit takes the place of the old one without a gap.

    With --file, or --all, each card of a guest is protected for itself: one that fails
    does not stop the others, and the exit code is that of the failure (the highest of
    several). What differs is printed first. What xl remus has set up is refused (5).

    Where a flood of small frames could cost more than half of this host's memory, it is
    refused: --memory bounds it, --force goes on all the same.

    \b
    --classifier auto  asks the kernel what it has; takes an exact one if any is

    \b
    remusnet apply vif1.0
    remusnet apply vif1.0 vif1.0-emu --buffer ifb-1 --policy real-time
    remusnet apply vif1.0 --interval 400ms --rate 100mbit --dry-run
    remusnet apply vif1.0 --memory 64MB
    remusnet apply vif1.0 --policy real-time --classifier auto
    remusnet apply --domain guest
    remusnet apply --file
    remusnet apply --file new.toml --dry-run
    remusnet apply --all --policy hold-all --memory 64MB
    """
    if file is not None or every:
        _refuse_others(context, vifs, file, every=every)
        desired = _desired(file, policy, classifier, interval, rate, limit, memory, decouple)
        if dry_run:
            _foresee(desired, run_dir, uri, as_json=as_json)
        else:
            _make_true(desired, run_dir, uri, force=force, as_json=as_json)
        return
    from remusnet.api.protection import PlanOptions, groups_of

    groups = groups_of(vifs, domain, uri)
    if not groups:
        raise InvalidInput(
            "what is to be protected? Give VIF, --domain NAME, --file or --all (see --help)"
        )
    options = PlanOptions(policy, interval, rate, classifier, buffer, limit, memory, decouple)
    plan = options.plan(groups)
    if dry_run:
        from remusnet.plan.render import render

        click.echo(render(plan, "json" if as_json else "sh"), nl=False)
        return

    from remusnet.report.kernel import applied_json, applied_text

    done = options.apply(plan, run_dir, force=force)
    warn(done.notes)
    echo(applied_json(done) if as_json else applied_text(done), nl=False, wrap=not as_json)


_ELSEWHERE = {
    *("policy", "classifier", "interval", "rate", "limit", "memory", "decouple", "buffer"),
    "domain",
}
"""Options that the file takes the place of."""


def _refuse_others(
    context: click.Context, vifs: tuple[str, ...], file: str | None, *, every: bool
) -> None:
    """Raises UsageError for words beside --file or --all that say what those say."""
    option = "--all" if file is None else "--file"
    if vifs:
        raise click.UsageError(f"give VIF or {option}, not both")
    if every and file is not None:
        raise click.UsageError("give --file or --all, not both")
    ours = {"domain", "buffer"} if every else _ELSEWHERE
    for name in sorted(ours):
        if context.get_parameter_source(name) is ParameterSource.COMMANDLINE:
            said = "the file says that" if not every else "each vif has its own"
            raise click.UsageError(f"--{name} can not be given beside {option}: {said}")


def _desired(
    file: str | None,
    policy: Policy,
    classifier: str,
    interval: int,
    rate: int,
    limit: int | None,
    memory: int | None,
    decouple: bool,
) -> DesiredState:
    """What ``file`` says; without one, the other terms for every vif of Xen's."""
    from remusnet.host.desired import all_xen_vifs, load_desired

    if file is not None:
        return load_desired(file)
    from remusnet.api.protection import PlanOptions
    from remusnet.plan.terms import Terms

    options = PlanOptions(policy, interval, rate, classifier, None, limit, memory, decouple)
    terms = Terms(
        policy=policy.name,
        classifier=options.chosen_classifier,
        interval_ns=interval,
        rate=rate,
        limit=limit,
        memory=memory,
        decouple=decouple,
    )
    return all_xen_vifs(policy, terms)


def _foresee(desired: DesiredState, run_dir: Path, uri: str, *, as_json: bool) -> None:
    from remusnet.api.host import difference
    from remusnet.report.host import difference_json, difference_text

    found = difference(desired, run_dir, connect=uri)
    warn(found.notes)
    click.echo(
        difference_json(found) if as_json else difference_text(found, commands=True), nl=False
    )


def _make_true(
    desired: DesiredState, run_dir: Path, uri: str, *, force: bool, as_json: bool
) -> None:
    from remusnet.api.host import make_true
    from remusnet.cli._progress import Progress
    from remusnet.report.host import difference_text, failed, made_true_json, made_true_text

    counted = count(1)
    total = 0
    with Progress() as progress:

        def found(different: HostDifference) -> None:
            nonlocal total
            total = sum(bool(each.operations) for each in different.foreseen)
            if not as_json:
                progress.hide()
                echo(difference_text(different), nl=False)

        def ended() -> None:
            progress.step(f"protecting: {next(counted)} of {total}")

        done = make_true(desired, run_dir, connect=uri, force=force, found=found, ended=ended)
    warn(done.notes)
    echo(made_true_json(done) if as_json else made_true_text(done), nl=False, wrap=not as_json)
    if done.exit_code:
        raise Failed(failed(done), done.exit_code)
