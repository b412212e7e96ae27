"""Bindings and users in a database that outlives the server.

SQLite: one file, write-ahead log, ``synchronous=FULL``: what is committed survives a power cut.
PostgreSQL: as its server promises by default; several servers may share one (`Store.shared`).
"""

from __future__ import annotations

import asyncio
import os
import stat
import sys
import zlib
from collections import OrderedDict
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import urlsplit

import sqlalchemy as sa
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine
from sqlalchemy.pool import StaticPool

from remusnet.errors import InvalidInput, NotPermitted, quoted
from remusnet.sip.bindings import Binding
from remusnet.sip.store.tables import BINDINGS, METADATA, USERS

_SECONDS = 10.0  # longer than any commit takes on a disk that works
_USERS_REMEMBERED = 100_000
# Advisory locks of PostgreSQL: the first number is remusnet's, the second stands for some addresses
# of record. A transaction can't hold any number of locks.
_LOCKS = 0x5E3A
_LOCK_COUNT = 64


class StoreUnavailable(Exception):
    """The database does not answer; whether it did what it was asked for is unknown."""


@dataclass(frozen=True, slots=True)
class User:
    """Who may authenticate: ``name`` in ``domain``, which is also the realm."""

    name: str
    domain: str
    ha1_sha256: str
    ha1_md5: str


def store_url(text: str) -> sa.URL:
    """``sqlite:FILE`` or ``postgresql://...`` as SQLAlchemy has it. Raises InvalidInput."""
    if text.startswith("sqlite:"):
        name = text.removeprefix("sqlite:")
        if not name:
            raise InvalidInput("invalid store: which file? for example sqlite:/var/lib/sip.db")
        return sa.URL.create("sqlite+aiosqlite", database=name)
    if urlsplit(text).scheme in ("postgresql", "postgres"):
        try:
            return sa.make_url(text).set(drivername="postgresql+asyncpg")
        except (ValueError, SQLAlchemyError):
            raise InvalidInput(f"invalid store: {quoted(text)} is no URL") from None
    raise InvalidInput(
        f"invalid store: {quoted(text)}; expected sqlite:FILE or postgresql://HOST/DATABASE"
    )


class Rows(Protocol):
    """Bindings within a transaction."""

    async def load(self, aors: Sequence[bytes]) -> dict[bytes, tuple[Binding, ...]]:
        """The bindings of each of ``aors``, expired ones included, in the order of q, falling."""

    async def replace(self, changed: dict[bytes, tuple[Binding, ...]]) -> None:
        """Let each address of record have these bindings and no others: all, or none of it."""


class _Rows:
    """`Rows` over a connection."""

    def __init__(self, connection: AsyncConnection) -> None:
        self._connection = connection

    async def load(self, aors: Sequence[bytes]) -> dict[bytes, tuple[Binding, ...]]:
        found: dict[bytes, list[Binding]] = {aor: [] for aor in aors}
        for some in _portions(list(found)):
            query = sa.select(BINDINGS).where(BINDINGS.c.aor.in_(some))
            for row in await self._connection.execute(query.order_by(BINDINGS.c.q.desc())):
                found[bytes(row.aor)].append(_binding(row))
        return {aor: tuple(bindings) for aor, bindings in found.items()}

    async def replace(self, changed: dict[bytes, tuple[Binding, ...]]) -> None:
        rows = [_row(binding) for bindings in changed.values() for binding in bindings]
        for some in _portions(list(changed)):
            await self._connection.execute(sa.delete(BINDINGS).where(BINDINGS.c.aor.in_(some)))
        if rows:
            await self._connection.execute(sa.insert(BINDINGS), rows)


class Store:
    """A database with the tables of remusnet."""

    def __init__(self, url: str) -> None:
        self._url = store_url(url)
        self._engine: AsyncEngine | None = None
        self._files: tuple[tuple[int, int], ...] = ()  # SQLite's, as they were opened
        self._users: OrderedDict[tuple[str, str], User] = OrderedDict()
        # SQLite has one connection for all: without it one's commit would end another's transaction
        # in its middle.
        self._alone = None if self.shared else asyncio.Lock()

    @property
    def shared(self) -> bool:
        """Whether other servers may change what it has, so that memory can't be believed."""
        return self._url.get_backend_name() != "sqlite"

    @property
    def place(self) -> str:
        """The database as messages name it, without a password."""
        if self._url.get_backend_name() == "sqlite":
            return f"sqlite:{self._url.database}"
        plain = self._url.set(drivername=self._url.get_backend_name())
        return plain.render_as_string(hide_password=True)

    @property
    def exists(self) -> bool:
        """Whether there is something to open: SQLite makes a file where there is none."""
        return self.shared or os.path.lexists(self._url.database or "")

    async def open(self) -> None:
        """Connect, and make the tables where they are not there.

        Raises StoreUnavailable; InvalidInput or NotPermitted where a file can't be one.
        """
        if self._url.get_backend_name() == "sqlite":
            if self._url.database != ":memory:":
                _prepare_file(Path(self._url.database or ""))
            engine = create_async_engine(self._url, poolclass=StaticPool)
            sa.event.listen(engine.sync_engine, "connect", _set_pragmas)
        else:
            engine = create_async_engine(self._url, pool_pre_ping=True, pool_size=4)
        self._engine = engine
        try:
            async with self._connection() as connection:
                if self.shared:
                    # Two servers that start at the same time would both make the tables.
                    await _lock(connection, range(1))
                await connection.run_sync(METADATA.create_all)
        except StoreUnavailable:
            await self.close()
            raise
        self._files = self._identities()

    async def close(self) -> None:
        """Disconnect, after the transaction that is under way.

        Of a connection that is closed within one, SQLite's driver leaves a task that waits for it
        waiting for ever, and the process with it.
        """
        engine, self._engine = self._engine, None
        self._files = ()
        if engine is None:
            return
        async with AsyncExitStack() as stack:
            if self._alone is not None:
                with suppress(TimeoutError):
                    async with asyncio.timeout(_SECONDS):
                        await stack.enter_async_context(self._alone)
            await engine.dispose()

    @asynccontextmanager
    async def exclusively(self, aors: Iterable[bytes]) -> AsyncIterator[Rows]:
        """A transaction, in which no other one changes the bindings of ``aors``.

        Raises StoreUnavailable, also at its end: then it is unknown whether it was committed.
        """
        async with self._connection() as connection:
            if self.shared and (locks := {zlib.crc32(aor) % _LOCK_COUNT for aor in aors}):
                await _lock(connection, locks)
            yield _Rows(connection)

    async def load(self, aors: Sequence[bytes]) -> dict[bytes, tuple[Binding, ...]]:
        """The bindings of each of ``aors``, expired ones included, in the order of q, falling."""
        async with self.exclusively(()) as rows:
            return await rows.load(aors)

    async def replace(self, changed: dict[bytes, tuple[Binding, ...]]) -> None:
        """Let each address of record have these bindings and no others: all, or none of it."""
        async with self.exclusively(changed) as rows:
            await rows.replace(changed)

    async def expire(self, before: float) -> int:
        """Delete what expired before that time (s, wall clock); how many there were."""
        async with self._connection() as connection:
            deleted = await connection.execute(
                sa.delete(BINDINGS).where(BINDINGS.c.expires <= before)
            )
            return int(deleted.rowcount)

    async def shift(self, step: float, now: float) -> None:
        """Let what has not expired at ``now`` expire ``step`` s later: the clock was set."""
        later = {"expires": BINDINGS.c.expires + step}
        async with self._connection() as connection:
            await connection.execute(
                sa.update(BINDINGS).where(BINDINGS.c.expires > now).values(later)
            )

    async def count(self, now: float) -> int:
        """How many bindings have not expired."""
        query = sa.select(sa.func.count()).select_from(BINDINGS).where(BINDINGS.c.expires > now)
        async with self._connection() as connection:
            return int((await connection.execute(query)).scalar_one())

    async def user(self, name: str, domain: str) -> User | None:
        """That user; None where there is none. While the store is away: as it was last."""
        if "\0" in name + domain:
            return None  # PostgreSQL takes it in no text
        query = sa.select(USERS).where(USERS.c.name == name, USERS.c.domain == domain)
        try:
            async with self._connection() as connection:
                row = (await connection.execute(query)).first()
        except StoreUnavailable:
            if (name, domain) in self._users:
                return self._users[name, domain]
            raise
        if row is None:
            self._users.pop((name, domain), None)
            return None
        user = self._users[name, domain] = User(*row)
        self._users.move_to_end((name, domain))
        while len(self._users) > _USERS_REMEMBERED:
            self._users.popitem(last=False)
        return user

    async def users(self) -> list[User]:
        """All users, by domain and name."""
        query = sa.select(USERS).order_by(USERS.c.domain, USERS.c.name)
        async with self._connection() as connection:
            return [User(*row) for row in await connection.execute(query)]

    async def put_user(self, user: User) -> bool:
        """Add a user, or give a known one another password; false where it was known."""
        async with self._connection() as connection:
            same = sa.and_(USERS.c.name == user.name, USERS.c.domain == user.domain)
            deleted = await connection.execute(sa.delete(USERS).where(same))
            await connection.execute(
                sa.insert(USERS).values(
                    name=user.name,
                    domain=user.domain,
                    ha1_sha256=user.ha1_sha256,
                    ha1_md5=user.ha1_md5,
                )
            )
            return deleted.rowcount == 0

    async def remove_user(self, name: str, domain: str) -> bool:
        """Take a user out; false where there was none."""
        same = sa.and_(USERS.c.name == name, USERS.c.domain == domain)
        async with self._connection() as connection:
            return (await connection.execute(sa.delete(USERS).where(same))).rowcount > 0

    def _identities(self) -> tuple[tuple[int, int], ...]:
        """Device and inode of SQLite's file and its write-ahead log; empty where one is missing."""
        if self.shared or self._url.database == ":memory:":
            return ()
        try:
            found = [os.stat(f"{self._url.database}{end}") for end in ("", "-wal")]
        except OSError:
            return ()
        return tuple((each.st_dev, each.st_ino) for each in found)

    @asynccontextmanager
    async def _connection(self) -> AsyncIterator[AsyncConnection]:
        """A transaction, which is committed at the end."""
        try:
            async with asyncio.timeout(_SECONDS), AsyncExitStack() as stack:
                if self._alone is not None:
                    await stack.enter_async_context(self._alone)
                if self._engine is None:  # also where it was closed while this waited its turn
                    raise StoreUnavailable(f"{self.place}: not open")
                if self._files and self._identities() != self._files:
                    # SQLite would go on to write into a file that has no name any more.
                    raise StoreUnavailable(f"{self.place}: the file is gone, or another one")
                yield await stack.enter_async_context(self._engine.begin())
        except Exception as error:
            if not isinstance(error, (SQLAlchemyError, OSError, TimeoutError, *_driver_errors())):
                raise
            text = str(getattr(error, "orig", None) or error) or "no answer in time"
            raise StoreUnavailable(f"{self.place}: {text.splitlines()[0]}") from error


def _driver_errors() -> tuple[type[Exception], ...]:
    """What asyncpg raises where SQLAlchemy doesn't translate it: while it connects."""
    asyncpg = sys.modules.get("asyncpg")
    return () if asyncpg is None else (asyncpg.PostgresError, asyncpg.InterfaceError)


async def _lock(connection: AsyncConnection, numbers: Iterable[int]) -> None:
    """Wait until no other transaction has these locks; always in one order: no deadlocks."""
    statement = "SELECT pg_advisory_xact_lock(:ours, n) FROM unnest(CAST(:all AS integer[])) AS n"
    await connection.execute(sa.text(statement), {"ours": _LOCKS, "all": sorted(numbers)})


def _set_pragmas(connection: Any, _record: object) -> None:
    cursor = connection.cursor()
    for pragma in ("journal_mode=WAL", "synchronous=FULL", "busy_timeout=5000"):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


def _prepare_file(path: Path) -> None:
    """A new file is its owner's alone: it has what a password is good for."""
    try:
        found = path.lstat()
    except FileNotFoundError:
        try:
            os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_NOFOLLOW, 0o600))
        except FileExistsError:
            return
        except PermissionError:
            raise NotPermitted(f"store {quoted(str(path))}: permission denied") from None
        except OSError as error:
            raise InvalidInput(f"store {quoted(str(path))}: {error.strerror}") from None
        return
    except OSError as error:
        raise InvalidInput(f"store {quoted(str(path))}: {error.strerror}") from None
    if not stat.S_ISREG(found.st_mode):
        raise InvalidInput(f"store {quoted(str(path))} is not a regular file")


def _portions(values: list[bytes], most: int = 500) -> Iterable[list[bytes]]:
    """Lists that a statement can have as parameters."""
    return (values[start : start + most] for start in range(0, len(values), most))


def _binding(row: Any) -> Binding:
    path = bytes(row.path)
    return Binding(
        aor=bytes(row.aor),
        contact=bytes(row.contact),
        expires=row.expires,
        q=row.q,
        call_id=bytes(row.call_id),
        cseq=row.cseq,
        path=tuple(path.split(b"\n")) if path else (),
        source=row.source,
    )


def _row(binding: Binding) -> dict[str, object]:
    return {
        "aor": binding.aor,
        "contact": binding.contact,
        "expires": binding.expires,
        "q": binding.q,
        "call_id": binding.call_id,
        "cseq": binding.cseq,
        "path": b"\n".join(binding.path),
        "source": binding.source,
    }
