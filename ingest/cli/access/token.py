"""`chef-ingest token`: makes the tokens that the shim takes."""

from __future__ import annotations

import sys

import click

from ingest.access import tokens
from ingest.cli.options import says_what_is_wrong


@click.group()
def token() -> None:
    """Tokens, for who posts and reads over HTTP."""


@token.command("new")
@click.argument("name")
@click.option(
    "--scope",
    "scopes",
    required=True,
    metavar="SCOPE,...",
    help=f"Of {', '.join(tokens.SCOPES)}, organization=NAME.",
)
@click.option("--stdin", is_flag=True, help="Take the token from standard input instead of making one.")
@says_what_is_wrong
def token_new(name: str, scopes: str, stdin: bool) -> None:
    """Make a token, and the line that makes the shim take it.

    The token is printed once and kept nowhere: give it to who is to use it. The line holds only its hash; append it
    to the file that INGEST_TOKENS_FILE names, then send the shim SIGHUP.
    """
    secret, line = tokens.new(name, scopes, secret=sys.stdin.read().strip() if stdin else None)
    if not stdin:
        click.echo(f"token: {secret}")
    click.echo(f"line:  {line}")
