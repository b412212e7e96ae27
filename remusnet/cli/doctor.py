"""``remusnet doctor``: what this machine lacks."""

from __future__ import annotations

from pathlib import Path

import click

from remusnet.cli._protecting import json_option, run_dir_option
from remusnet.cli._terminal import echo


@click.command("doctor")
@run_dir_option
@json_option
@click.pass_context
def command(context: click.Context, run_dir: Path, as_json: bool) -> None:
    """Show what this machine lacks, why it matters, and what mends it.

    Kernel features are tried for real, in a network namespace that is gone again
    afterwards; the kernel may load modules on the way. Without the right to do so
    doctor tells what the kernel's files say. On a Xen host it looks at what xl remus
    needs, too. Last are two settings of TCP that a protected guest should have.

    Exit code: 0 if `remusnet apply` has all that it needs, 3 if something is missing,
    4 if only rights are.

    \b
    remusnet doctor
    remusnet doctor --json
    """
    from remusnet.host.doctor import check_xen
    from remusnet.host.guest_tcp import check_guest_tcp
    from remusnet.kernel.doctor import check_kernel
    from remusnet.live.doctor import check_live
    from remusnet.report.doctor import doctor_json, doctor_text
    from remusnet.results.checks import exit_code

    checks = [*check_kernel(run_dir), *check_xen(), *check_live(), *check_guest_tcp()]
    echo(doctor_json(checks) if as_json else doctor_text(checks), wrap=not as_json)
    context.exit(exit_code(checks))
