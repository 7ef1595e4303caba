"""Prints what makes a shell complete `chef-ingest`: click's own script."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class

PROGRAM = "chef-ingest"


@click.command()
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@click.pass_context
def completion(context: click.Context, shell: str) -> None:
    """Print the completion script of SHELL.

    \b
    bash: chef-ingest completion bash > /etc/bash_completion.d/chef-ingest
    zsh:  chef-ingest completion zsh > "${fpath[1]}/_chef-ingest"
    fish: chef-ingest completion fish > ~/.config/fish/completions/chef-ingest.fish
    """
    found = get_completion_class(shell)
    assert found is not None
    click.echo(found(context.find_root().command, {}, PROGRAM, "_CHEF_INGEST_COMPLETE").source())
