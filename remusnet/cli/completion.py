"""``remusnet completion``: the script that teaches a shell remusnet's words."""

from __future__ import annotations

import click

from remusnet.cli._shells import SHELLS
from remusnet.cli.names import COMPLETE_VARIABLE, PROGRAM


@click.command("completion")
@click.argument("shell", metavar="SHELL", type=click.Choice(list(SHELLS)))
@click.pass_context
def command(context: click.Context, shell: str) -> None:
    """Print the completion script of SHELL: bash, zsh or fish.

    Once for each account; it works in shells that are started from then on:

    \b
    bash:  remusnet completion bash >> ~/.bashrc
    zsh:   remusnet completion zsh >> ~/.zshrc
    fish:  mkdir -p ~/.config/fish/completions
           remusnet completion fish > ~/.config/fish/completions/remusnet.fish
    """
    top = context.find_root().command
    click.echo(SHELLS[shell](top, {}, PROGRAM, COMPLETE_VARIABLE).source(), nl=False)
