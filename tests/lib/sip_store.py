"""A store without a database, for virtual time: a database's thread lives in real time."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace

from remusnet.sip.bindings import Binding
from remusnet.sip.store import Rows, Store, StoreUnavailable, User


class MemoryStore(Store):
    """Keeps all in memory. ``away``: it doesn't answer. ``commits``: how often it has written."""

    def __init__(self) -> None:
        super().__init__("sqlite::memory:")
        self.bindings: dict[bytes, tuple[Binding, ...]] = {}
        self.known: dict[tuple[str, str], User] = {}
        self.away = False
        self.commits = 0

    def _reach(self) -> None:
        if self.away:
            raise StoreUnavailable("memory: away")

    async def open(self) -> None:
        self._reach()

    async def close(self) -> None:
        """Nothing to close."""

    @asynccontextmanager
    async def exclusively(self, aors: Iterable[bytes]) -> AsyncIterator[Rows]:
        yield self

    async def load(self, aors: Sequence[bytes]) -> dict[bytes, tuple[Binding, ...]]:
        self._reach()
        return {aor: self.bindings.get(aor, ()) for aor in aors}

    async def replace(self, changed: dict[bytes, tuple[Binding, ...]]) -> None:
        self._reach()
        self.bindings.update(changed)
        self.commits += 1

    async def expire(self, before: float) -> int:
        self._reach()
        kept = {
            aor: tuple(each for each in bindings if each.expires > before)
            for aor, bindings in self.bindings.items()
        }
        gone = sum(map(len, self.bindings.values())) - sum(map(len, kept.values()))
        self.bindings = kept
        return gone

    async def shift(self, step: float, now: float) -> None:
        self._reach()
        self.bindings = {
            aor: tuple(
                replace(each, expires=each.expires + step * (each.expires > now)) for each in all_
            )
            for aor, all_ in self.bindings.items()
        }

    async def count(self, now: float) -> int:
        self._reach()
        return sum(1 for all_ in self.bindings.values() for each in all_ if each.expires > now)

    async def user(self, name: str, domain: str) -> User | None:
        self._reach()
        return self.known.get((name, domain))

    async def put_user(self, user: User) -> bool:
        self._reach()
        new = (user.name, user.domain) not in self.known
        self.known[user.name, user.domain] = user
        return new
