"""`chef-ingest keys`: the public keys by which the shim knows chef-clients and members."""

from __future__ import annotations

import sys
from collections import Counter
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ingest.cli.options import (
    EXIT_CONFIGURATION,
    EXIT_FAILED,
    EXIT_UNAVAILABLE,
    output_option,
    says_what_is_wrong,
    settings_from,
)
from ingest.cli.output import print_rows, say
from ingest.cli.screen.progress import progress
from schemas.settings import ConfigError

if TYPE_CHECKING:
    from ingest.keysync.server import Organization, ServerUser
    from ingest.keysync.sync import KeyChange, Sync

_EXIT_INTERRUPTED = 130
COLUMNS = ("change", "done", "organization", "kind", "name", "why")


@click.group()
def keys() -> None:
    """Public keys, by which chef-clients and users are known."""


@keys.command("sync")
@click.argument("urls", nargs=-1, required=True, metavar="URL...")
@click.option("--user", required=True, metavar="NAME", help="The Chef server's user who asks: a member, or an admin.")
@click.option("--key", required=True, type=click.Path(exists=True, dir_okay=False, path_type=Path),
              help="That user's private key, in PEM.")  # fmt: skip
@click.option("--ca", type=click.Path(exists=True, dir_okay=False, path_type=Path),
              help="CAs to trust instead of the system's, in PEM.")  # fmt: skip
@click.option("--folder", type=click.Path(file_okay=False, path_type=Path), help="Overrides INGEST_CLIENT_KEYS.")
@click.option("--members", is_flag=True, help="The organization's members too, who may then read what is its.")
@click.option("--prune", is_flag=True, help="Remove what the Chef server has no more, when that is confirmed.")
@click.option("--yes", is_flag=True, help="Confirm what --prune removes.")
@click.option("--dry-run", is_flag=True, help="Write and remove nothing, and say what would be.")
@output_option
@says_what_is_wrong
def keys_sync(
    urls: tuple[str, ...], user: str, key: Path, ca: Path | None, folder: Path | None, members: bool, prune: bool,
    yes: bool, dry_run: bool, output: str,
) -> None:  # fmt: skip
    """Bring the public keys of a Chef server's clients into the folder of keys.

    URL is as chef_server_url in knife.rb: https://chef.example.com/organizations/NAME; several are done in turn. What
    changed is told, what is as it was is not. A running shim knows a key from the next request on.

    Exit codes: 0 all keys are as the Chef server has them, or would be; 1 some client's key can't be trusted, or a
    file can't be written; 69 a Chef server can't be reached; 78 a URL, the user, the key or the folder has to change.
    """
    from ingest.keysync.folder import FolderBusy
    from ingest.keysync.server import Organization, ServerUser

    where = folder or Path(settings_from().client_keys)
    if where == Path() or not where.is_dir():
        raise ConfigError([f"INGEST_CLIENT_KEYS, or --folder: {where}: no such folder"])
    organizations, signer = [Organization.of(url) for url in urls], ServerUser.read(user, key)
    session = _Session(where, signer, ca, members=members, prune=prune, yes=yes, dry=dry_run)
    try:
        code = session.all(organizations)
    except OSError as error:
        say(f"chef-ingest: {error.filename}: {error.strerror}")
        code = EXIT_FAILED
    except FolderBusy as error:
        say(f"chef-ingest: {error}")
        code = EXIT_FAILED
    except KeyboardInterrupt:
        say("stopped; what was brought stays, and the same command goes on")
        code = _EXIT_INTERRUPTED
    print_rows([asdict(each) for each in session.changes], output, sys.stdout, COLUMNS)
    sys.exit(code)


class _Session:
    """One `keys sync`: `changes` is all that it changed, or would."""

    def __init__(
        self, folder: Path, signer: ServerUser, ca: Path | None, *, members: bool, prune: bool, yes: bool, dry: bool
    ) -> None:
        self._folder, self._signer, self._ca = folder, signer, ca
        self._members, self._prune, self._yes, self._dry = members, prune, yes, dry
        self.changes: list[KeyChange] = []

    def all(self, organizations: list[Organization]) -> int:
        """The exit code. One organization that can't be had keeps no other waiting. Raises OSError, FolderBusy."""
        from contextlib import nullcontext

        from ingest.keysync.folder import alone

        with nullcontext() if self._dry else alone(self._folder):
            codes = [self._one(each) for each in organizations]
        refused = any(each.change == "refused" for each in self.changes)
        return max(*codes, EXIT_FAILED if refused else 0)

    def _one(self, organization: Organization) -> int:
        from ingest.keysync.server import ChefServer, ServerRefuses, ServerUnavailable
        from ingest.keysync.sync import CLIENT, MEMBER, Sync

        try:
            server = ChefServer(organization, self._signer, self._ca)
            for kind in (CLIENT, MEMBER) if self._members else (CLIENT,):
                self._bring(Sync(server, self._folder, kind, dry=self._dry), organization.name)
        except ServerUnavailable as error:
            say(f"chef-ingest: {error}")
            return EXIT_UNAVAILABLE
        except ServerRefuses as error:
            say(f"chef-ingest: {error}")
            return EXIT_CONFIGURATION
        return 0

    def _bring(self, sync: Sync, organization: str) -> None:
        found = []
        for changes in progress(sync.brought(), len(sync.names), f"{organization}: asked for"):
            found += changes
            self.changes += changes
        told = Counter(each.change for each in found)
        changed = "".join(f", {count} {change}" for change, count in sorted(told.items()))
        say(f"{organization}: {len(sync.names)} {sync.kind}s{changed or ', none changed'}")
        surplus = sync.surplus()
        if not surplus:
            return
        if not sync.names:
            say(f"{organization}: the Chef server lists no {sync.kind} at all, so that nothing is removed")
            return
        if not self._prune:
            say(f"{organization}: {len(surplus)} {sync.kind}s have a file and no key there; --prune removes the files")
        elif not self._dry and self._confirmed(surplus):
            self.changes += sync.remove(surplus)
        else:
            self.changes += surplus
            say(f"{organization}: {len(surplus)} files would be removed{'' if self._dry else '; --yes removes them'}")

    def _confirmed(self, surplus: list[KeyChange]) -> bool:
        if self._yes or not sys.stdin.isatty():
            return self._yes
        print_rows([asdict(each) for each in surplus], "table", sys.stderr, COLUMNS)
        return click.confirm(f"remove these {len(surplus)} files?", err=True)
