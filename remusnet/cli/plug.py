"""``remusnet plug``: one operation on a plug, or a look at it."""

from __future__ import annotations

import json
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

import click

from remusnet.cli._completing import buffers
from remusnet.cli._protecting import json_option, run_dir_option
from remusnet.cli._quantities import SIZE
from remusnet.cli._terminal import echo
from remusnet.units import format_size

if TYPE_CHECKING:
    from remusnet.kernel.plug import Plug
    from remusnet.kernel.plug_status import PlugStatus

ACTIONS = ("buffer", "release", "release-all", "limit", "status")


@click.command("plug")
@click.argument("ifb", metavar="IFB", shell_complete=buffers)
@click.argument("action", metavar="|".join(ACTIONS), type=click.Choice(ACTIONS))
@click.argument("limit", metavar="[SIZE]", type=SIZE, required=False)
@click.option("--force", is_flag=True, help="Buffer even while an epoch waits for its release.")
@run_dir_option
@json_option
def command(
    ifb: str, action: str, limit: int | None, force: bool, run_dir: Path, as_json: bool
) -> None:
    """Hold or release what is in the buffer device IFB.

    \b
    buffer       a checkpoint begins: what comes from now on is of the next epoch
    release      it has committed: what came before the last buffer leaves
    release-all  everything leaves, and passes until the next buffer
    limit SIZE   hold that many bytes at most; drop what comes then
    status       what is held; what was done, by remusnet's own record

    A buffer while an epoch waits for its release is refused: it would strand that
    epoch's frames. Each call is a process; a replicator should use the Python API,
    or remusnet checkpoint.

    \b
    remusnet plug ifb-1.0 buffer
    remusnet plug ifb-1.0 limit 50MB
    remusnet plug ifb-1.0 status --json
    """
    from remusnet.kernel.plug import Plug
    from remusnet.kernel.plug_status import plug_status

    if (action == "limit") is (limit is None):
        raise click.UsageError("limit takes a SIZE, and nothing else does")
    if action == "status":
        found = plug_status(ifb, run_dir)
        echo(_json(found) if as_json else _text(found), wrap=not as_json)
        return
    ending = action == "release-all"
    with closing(Plug(ifb, force=force, run_dir=run_dir, ending=ending)) as plug:
        _do(plug, action, limit or 0)
        if plug.purges:
            click.echo(
                f"remusnet: warning: {ifb}: {plug.purge}: its plug was cleared, and nothing "
                "released, for that could be of the open epoch",
                err=True,
            )
        if as_json:
            click.echo(_json(plug.status()))
    for problem in plug.problems:
        click.echo(f"remusnet: warning: {problem}", err=True)


def _do(plug: Plug, action: str, limit: int) -> None:
    if action == "limit":
        plug.set_limit(limit)
    else:
        {"buffer": plug.buffer, "release": plug.release, "release-all": plug.release_all}[action]()


def _json(status: PlugStatus) -> str:
    return json.dumps(status.to_json(), indent=2)


def _text(status: PlugStatus) -> str:
    record = status.record
    limit = "unknown" if record.limit is None else format_size(record.limit)
    stranded = ", frames stranded until a release-all" if record.stranded else ""
    state = f"driven{status.driver}" if status.driver else f"{record.state}{stranded}"
    return (
        f"{status.device}\n"
        f"  holds    {status.packets} packets, {format_size(status.backlog)}\n"
        f"  passed   {status.passed} packets\n"
        f"  dropped  {status.drops} packets\n"
        f"  state    {state} (by our record; the kernel can't be asked)\n"
        f"  limit    {limit} (by our record)"
    )
