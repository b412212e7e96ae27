"""``remusnet completion``: the script that teaches a shell remusnet's words."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class

from remusnet.cli.names import COMPLETE_VARIABLE, PROGRAM


@click.command("completion")
@click.argument("shell", metavar="SHELL", type=click.Choice(["bash", "zsh", "fish"]))
@click.pass_context
def command(context: click.Context, shell: str) -> None:
    """Print the completion script of SHELL: bash, zsh or fish.

    \b
    bash:  remusnet completion bash > ~/.local/share/bash-completion/completions/remusnet
    zsh:   remusnet completion zsh > "${fpath[1]}/_remusnet"
    fish:  remusnet completion fish > ~/.config/fish/completions/remusnet.fish
    """
    completion = get_completion_class(shell)
    if completion is None:  # click knows all three; this tells the type checker
        raise LookupError(shell)
    top = context.find_root().command
    click.echo(completion(top, {}, PROGRAM, COMPLETE_VARIABLE).source())
