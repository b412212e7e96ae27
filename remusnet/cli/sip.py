"""``remusnet sip``: a SIP server of supervised actors, and what one that runs has to say."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Sequence
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from remusnet.cli._completing import files, words
from remusnet.cli._groups import Group
from remusnet.cli._protecting import json_option
from remusnet.cli._terminal import echo
from remusnet.errors import InvalidInput, quoted
from remusnet.extras import lacking

if TYPE_CHECKING:
    from remusnet.sip.config import Config, Tls
    from remusnet.sip.store import Store, User

_DEFAULT_STORE = "sqlite:remusnet-sip.db"

control_option = click.option(
    "--control",
    metavar="SOCKET",
    type=click.Path(path_type=Path),
    shell_complete=files,
    help="The server's control socket (default: in $XDG_RUNTIME_DIR/remusnet).",
)


@click.group("sip", cls=Group)
def command() -> None:
    """Run a SIP registrar, location service and stateful proxy made of supervised actors.

    \b
    remusnet sip serve --domain example.org --no-auth
    remusnet sip status
    remusnet sip restart transport/receiver
    """


@command.command("serve")
@click.argument(
    "file",
    metavar="[CONFIG]",
    required=False,
    type=click.Path(path_type=Path),
    shell_complete=files,
)
@click.option(
    "--listen",
    multiple=True,
    metavar="udp|tcp|tls:ADDR:PORT",
    help="Where (default: UDP and TCP, 127.0.0.1:5060). Port 0: any that is free.",
)
@click.option("--domain", "domains", multiple=True, metavar="D", help="Whose users are served.")
@click.option("--store", metavar="sqlite:FILE|postgresql://...", help="Bindings and users.")
@click.option("--tls-cert", metavar="F", shell_complete=files, help="The certificate chain, PEM.")
@click.option("--tls-key", metavar="F", shell_complete=files, help="Its key, PEM.")
@click.option("--no-auth", is_flag=True, help="Ask nobody who they are.")
@click.option("--allow-from", multiple=True, metavar="NET", help="With --no-auth: whom to serve.")
@click.option(
    "--digest",
    "digests",
    multiple=True,
    metavar="SHA-256|MD5",
    shell_complete=words("SHA-256", "MD5"),
    help="How users prove who they are (default: either). Old phones want MD5 alone.",
)
@click.option("--min-expires", metavar="TIME", help="The shortest registration (default: 60s).")
@click.option("--t1", metavar="TIME", help="RFC 3261's T1; the other timers go with it (500ms).")
@click.option(
    "--supervision",
    metavar="resilient|thesis|none",
    shell_complete=words("resilient", "thesis", "none"),
    help="Who restarts whom.",
)
@click.option("--allow-faults", is_flag=True, help="Obey remusnet sip crash.")
@click.option(
    "--events",
    metavar="FILE",
    shell_complete=files,
    help="Failures and restarts, as JSON lines.",
)
@click.option("--metrics", metavar="ADDR:PORT", help="Counts, for Prometheus.")
@control_option
def serve_command(file: Path | None, control: Path | None, **options: Any) -> None:
    """Serve until SIGTERM or Ctrl-C, then let what is under way end (5 s at most).

    A sip.toml says more than options can; `remusnet sip check` reads one. SIGHUP reads it again.

    \b
    remusnet sip serve --domain example.org
    remusnet sip serve sip.toml
    remusnet sip serve --no-auth --listen udp:127.0.0.1:0 --store sqlite:/tmp/sip.db
    """
    _needed()
    config = _config(file, options)
    from remusnet.sip.control import default_path
    from remusnet.sip.daemon import serve

    path = control or (Path(config.control) if config.control else default_path())
    serve(config, path, reload=None if file is None else lambda: _config(file, options))


@command.command("check")
@click.argument("file", metavar="CONFIG", type=click.Path(path_type=Path), shell_complete=files)
@json_option
def check_command(file: Path, as_json: bool) -> None:
    """Read a sip.toml, and name every mistake in it (exit code 2).

    \b
    remusnet sip check sip.toml
    """
    _needed()
    from remusnet.sip.config_file import SipFileError, load

    try:
        config = load(_text(file), str(file), file.parent)
        if config.tls is not None:
            _check_tls(config.tls, file)
    except SipFileError as error:
        for mistake in error.mistakes:
            if not as_json:
                echo(f"{file}: {mistake}")
        if as_json:
            rows = [
                {"path": each.path, "problem": each.problem, "expected": each.expected}
                for each in error.mistakes
            ]
            click.echo(json.dumps({"mistakes": rows}, indent=2))
        raise
    listeners = [str(listener) for listener in config.listeners]
    if as_json:
        found = {"mistakes": [], "listen": listeners, "domains": list(config.domains)}
        click.echo(json.dumps(found, indent=2))
    else:
        echo(f"{file}: good: {' '.join(listeners)}, domain {' '.join(config.domains)}")


@command.command("status")
@control_option
@json_option
@click.option("--watch", is_flag=True, help="Again each second, until Ctrl-C.")
def status_command(control: Path | None, as_json: bool, watch: bool) -> None:
    """Show the tree of a running server: its actors, their restarts, calls and bindings.

    \b
    remusnet sip status
    remusnet sip status --json | jq .calls
    """
    _needed()
    from time import sleep

    from remusnet.report.sip import status_json, status_text

    while True:
        found = _asked(control, {"do": "status"})
        if watch and not as_json:
            click.clear()
        click.echo(status_json(found) if as_json else status_text(found), nl=False)
        if not watch:
            return
        sleep(1)


@command.command("restart")
@click.argument("actor")
@control_option
def restart_command(actor: str, control: Path | None) -> None:
    """Restart an actor before it fails (rejuvenation); its mailbox stays.

    \b
    remusnet sip restart transport/receiver
    """
    _needed()
    _asked(control, {"do": "restart", "actor": actor})
    echo(f"{actor}: restarted")


@command.command("crash")
@click.argument("actor")
@click.option("--times", default=1, metavar="N", help="So often; the sixth in 30 s escalates.")
@control_option
def crash_command(actor: str, times: int, control: Path | None) -> None:
    """Let an actor fail, of a server that was started with --allow-faults.

    \b
    remusnet sip crash transport/transactions --times 6
    """
    _needed()
    _asked(control, {"do": "crash", "actor": actor, "times": times})
    echo(f"{actor}: failed {times} time{'s' if times > 1 else ''}")


@command.group("user")
def user_group() -> None:
    """Add, list and remove those who may register and call.

    \b
    remusnet sip user add alice@example.org
    remusnet sip user list sip.toml
    """


def _store_options(command: Callable[..., None]) -> Callable[..., None]:
    """Where the users are, as ``store``: by ``--store``, or by a sip.toml behind the others."""

    @click.argument("config", required=False, metavar="[sip.toml]", shell_complete=files)
    @click.option(
        "--store",
        metavar="STORE|sip.toml",
        help="Where the users are: sqlite:FILE, postgresql://..., or a sip.toml that says so "
        f"(default: {_DEFAULT_STORE}).",
    )
    @wraps(command)
    def chosen(*, config: str | None, store: str | None, **others: Any) -> None:
        if config is not None and store is not None:
            raise InvalidInput("a sip.toml and --store: which of them has the users?")
        if config is not None and not config.endswith(".toml"):
            raise InvalidInput(f"{quoted(config)} is no sip.toml; a store needs --store")
        command(store=config or store or _DEFAULT_STORE, **others)

    return chosen


@user_group.command("add")
@click.argument("user", metavar="USER@DOMAIN")
@_store_options
@click.option("--password-stdin", is_flag=True, help="Read the password from standard input.")
def add_user(user: str, store: str, password_stdin: bool) -> None:
    """Add a user, or give a known one another password; it is asked for, and never an argument.

    \b
    remusnet sip user add alice@example.org
    """
    _needed()
    from remusnet.sip.auth import make_user

    name, domain = _parted(user)
    try:
        if password_stdin:
            password = sys.stdin.readline().rstrip("\n")
        else:
            password = click.prompt("Password", hide_input=True, confirmation_prompt=True, err=True)
        password.encode()
    except UnicodeError:
        raise InvalidInput("the password is no text in UTF-8") from None
    if not password:
        raise InvalidInput("an empty password")
    new = _with_store(store, lambda opened: opened.put_user(make_user(name, domain, password)))
    echo(f"{name}@{domain}: {'added' if new else 'has another password now'}")


@user_group.command("list")
@_store_options
@json_option
def list_users(store: str, as_json: bool) -> None:
    """List all users."""
    _needed()
    users: Sequence[User] = _with_store(store, lambda opened: opened.users(), new=False)
    if as_json:
        click.echo(json.dumps([{"user": each.name, "domain": each.domain} for each in users]))
        return
    for each in users:
        echo(f"{each.name}@{each.domain}")


@user_group.command("remove")
@click.argument("user", metavar="USER@DOMAIN")
@_store_options
def remove_user(user: str, store: str) -> None:
    """Remove a user; what is registered stays until it expires."""
    _needed()
    name, domain = _parted(user)
    if not _with_store(store, lambda opened: opened.remove_user(name, domain), new=False):
        raise InvalidInput(f"no user {quoted(user)}")
    echo(f"{name}@{domain}: removed")


def _check_tls(tls: Tls, file: Path) -> None:
    """Raise SipFileError where the server could not use the files that ``tls`` names."""
    from remusnet.sip.config_file import SipFileError
    from remusnet.sip.tls import client_context, server_context
    from remusnet.tables.mistakes import Mistake

    try:
        server_context(tls)
        client_context(tls)
    except InvalidInput as error:
        expected = "PEM files that belong together"
        raise SipFileError(str(file), (Mistake("tls", str(error), expected),)) from None


def _needed() -> None:
    """Raise MissingDependency where the extra is not installed."""
    from importlib.util import find_spec

    missing = [
        name
        for name in ("sipmessage", "sqlalchemy", "aiosqlite", "dns", "prometheus_client")
        if find_spec(name) is None
    ]
    if missing:
        raise lacking(f"the SIP server needs {', '.join(missing)}", "sip")


def _asked(control: Path | None, order: dict[str, Any]) -> Any:
    from remusnet.sip.control import ask, default_path

    return ask(control or default_path(), order)


def _text(file: Path) -> str:
    from remusnet.tables.documents import read_text

    return read_text(str(file))


def _parted(user: str) -> tuple[str, str]:
    from remusnet.sip.config_file import parse_domain

    name, at, domain = user.removeprefix("sip:").partition("@")
    if (
        not 0 < len(name) <= 256
        or not at
        or not name.isprintable()
        or any(mark in name for mark in ' ":<>@')
    ):
        raise InvalidInput(f"invalid user: {quoted(user)}; expected NAME@DOMAIN")
    return name, parse_domain(domain)


def _with_store(text: str, work: Callable[[Store], Any], *, new: bool = True) -> Any:
    """What ``work`` comes to with the store that ``text`` names; ``new``: it may be a new one."""
    import asyncio

    from remusnet.errors import Conflict
    from remusnet.sip.config_file import load
    from remusnet.sip.store import Store, StoreUnavailable

    if text.endswith(".toml"):
        file = Path(text)
        text = load(_text(file), text, file.parent).store

    async def main() -> Any:
        store = Store(text)
        if not new and not store.exists:
            raise InvalidInput(f"no store {store.place}; remusnet sip user add makes one")
        try:
            await store.open()
            return await work(store)
        except StoreUnavailable as error:
            raise Conflict(f"store {error}") from None
        finally:
            await store.close()

    return asyncio.run(main())


def _config(file: Path | None, options: dict[str, Any]) -> Config:
    """The configuration of a file, or of options: the options count where both say something."""
    from remusnet.sip.config_file import load
    from remusnet.sip.options import Options, configured

    base = None if file is None else load(_text(file), str(file), file.parent)
    return configured(base, Options(**options))
