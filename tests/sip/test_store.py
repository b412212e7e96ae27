"""The store, in SQLite and in a real PostgreSQL; servers that share one, and lose it."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest
import sqlalchemy as sa

from remusnet.sip.auth import make_user
from remusnet.sip.bindings import Binding
from remusnet.sip.message import Response
from remusnet.sip.store import Store, StoreUnavailable, User
from tests.lib.postgres import Postgres, program, running
from tests.lib.sip_agent import Agent
from tests.lib.sip_process import serving

BOB = b"bob@example.org"
USER = User("bob", "example.org", "5" * 64, "5" * 32)
OPEN = ("--no-auth", "--domain", "example.org", "--min-expires", "1s")


@pytest.fixture(scope="module")
def postgres() -> Iterator[Postgres]:
    if program("postgres") is None:
        pytest.skip("not installed: postgresql (scripts/test installs it for root)")
    with running() as server:
        yield server


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A store that is empty."""
    if request.param == "sqlite":
        return f"sqlite:{tmp_path / 'sip.db'}"
    server: Postgres = request.getfixturevalue("postgres")
    asyncio.run(_emptied(server.url))
    return server.url


async def _emptied(url: str) -> None:
    store = Store(url)
    await store.open()
    await store.expire(float("inf"))
    for user in await store.users():
        await store.remove_user(user.name, user.domain)
    await store.close()


def binding(contact: bytes, *, expires: float = 2e9, q: int = 1000, aor: bytes = BOB) -> Binding:
    path = (b"<sip:p1;lr>", b"<sip:p2;lr>")
    return Binding(aor, contact, expires, q, b"a call \xff", 2**31 - 1, path, "udp:[::1]:5060")


def opened(url: str, work: Callable[[Store], Awaitable[None]]) -> None:
    """``work`` with the store at ``url``."""

    async def main() -> None:
        store = Store(url)
        await store.open()
        try:
            await work(store)
        finally:
            await store.close()

    asyncio.run(main())


def test_bindings_come_back_as_they_were_in_the_order_of_q(url: str) -> None:
    async def work(store: Store) -> None:
        low, high = binding(b"sip:low@h", q=200), binding(b"sip:\xffhigh@h", q=900)
        await store.replace({BOB: (low, high)})
        assert await store.load([BOB, b"nobody@example.org"]) == {
            BOB: (high, low),
            b"nobody@example.org": (),
        }
        await store.replace({BOB: (low,)})
        assert await store.load([BOB]) == {BOB: (low,)}
        assert await store.count(1e9) == 1

    opened(url, work)
    opened(url, work)


def test_many_addresses_of_record_go_in_one_transaction(url: str) -> None:
    async def work(store: Store) -> None:
        aors = [b"u%d@example.org" % number for number in range(1200)]
        changed: dict[bytes, tuple[Binding, ...]] = {
            aor: (binding(b"sip:x@h", aor=aor),) for aor in aors
        }
        await store.replace(changed)
        assert await store.load(aors) == changed

    opened(url, work)


def test_a_batch_that_fails_leaves_nothing_of_itself(url: str) -> None:
    async def work(store: Store) -> None:
        await store.replace({BOB: (binding(b"sip:one@h"),)})
        twice = (binding(b"sip:two@h"), binding(b"sip:two@h"))
        with pytest.raises(StoreUnavailable):
            await store.replace({BOB: twice})
        assert [each.contact for each in (await store.load([BOB]))[BOB]] == [b"sip:one@h"]

    opened(url, work)


def test_a_look_up_in_the_middle_of_a_batch_does_not_commit_half_of_it(url: str) -> None:
    """SQLite has one connection for all: a look-up's commit would be the batch's."""

    async def work(store: Store) -> None:
        await store.replace({BOB: (binding(b"sip:one@h"),)})
        with suppress(ZeroDivisionError):
            async with store.exclusively([BOB]) as rows:
                await rows.replace({BOB: ()})
                asked = asyncio.ensure_future(store.user("bob", "example.org"))
                await asyncio.sleep(0.1)
                raise ZeroDivisionError
        assert await asked is None
        assert [each.contact for each in (await store.load([BOB]))[BOB]] == [b"sip:one@h"]

    opened(url, work)


def test_closing_waits_for_the_transaction_under_way_and_refuses_those_that_queue(
    tmp_path: Path,
) -> None:
    async def work(store: Store) -> None:
        begun = asyncio.Event()

        async def change() -> None:
            async with store.exclusively((BOB,)) as rows:
                await rows.replace({BOB: (binding(b"<sip:bob@first>"),)})
                begun.set()
                await asyncio.sleep(0.2)
                await rows.replace({BOB: (binding(b"<sip:bob@second>"),)})

        first = asyncio.ensure_future(change())
        await begun.wait()
        queued = asyncio.ensure_future(store.replace({BOB: ()}))
        await asyncio.sleep(0.05)
        await store.close()
        await first
        with pytest.raises(StoreUnavailable, match="not open"):
            await queued
        await store.open()
        assert [each.contact for each in (await store.load([BOB]))[BOB]] == [b"<sip:bob@second>"]

    opened(f"sqlite:{tmp_path / 'sip.db'}", work)


def test_who_changes_the_same_bindings_waits_for_the_other(url: str) -> None:
    """Read, decide, write: by two servers at a time, where the store can be shared."""

    async def work(store: Store) -> None:
        more = [Store(url) for _ in range(2)] if store.shared else []
        for other in more:
            await other.open()
        others = [store, *(more or [store, store])]

        async def add(other: Store, number: int) -> None:
            async with other.exclusively([BOB]) as rows:
                known = (await rows.load([BOB]))[BOB]
                await asyncio.sleep(0.05)
                await rows.replace({BOB: (*known, binding(b"sip:%d@h" % number))})

        await asyncio.gather(*(add(each, number) for number, each in enumerate(others)))
        found = {each.contact for each in (await store.load([BOB]))[BOB]}
        for other in more:
            await other.close()
        assert found == {b"sip:0@h", b"sip:1@h", b"sip:2@h"}

    opened(url, work)


def test_what_has_expired_is_deleted_and_not_counted(url: str) -> None:
    async def work(store: Store) -> None:
        both = (binding(b"sip:old@h", expires=1e9), binding(b"sip:new@h"))
        await store.replace({BOB: both})
        assert await store.count(1.5e9) == 1
        assert await store.expire(1.5e9) == 1
        assert await store.load([BOB]) == {BOB: both[1:]}

    opened(url, work)


def test_users_are_put_changed_listed_and_removed(url: str) -> None:
    async def work(store: Store) -> None:
        assert await store.put_user(USER)
        assert await store.user("bob", "example.org") == USER
        changed = User("bob", "example.org", "6" * 64, "6" * 32)
        assert not await store.put_user(changed)
        assert await store.users() == [changed]
        assert await store.user("bo\0b", "example.org") is None
        assert await store.user("Bob", "example.org") is None
        assert await store.remove_user("bob", "example.org")
        assert not await store.remove_user("bob", "example.org")
        assert await store.user("bob", "example.org") is None

    opened(url, work)


def test_a_user_who_was_asked_for_is_known_while_the_store_is_away(url: str) -> None:
    async def work(store: Store) -> None:
        await store.put_user(USER)
        await store.user("bob", "example.org")
        await store.close()
        assert await store.user("bob", "example.org") == USER
        with pytest.raises(StoreUnavailable):
            await store.user("carol", "example.org")

    opened(url, work)


def test_two_servers_that_start_at_once_make_the_tables_together(postgres: Postgres) -> None:
    async def main() -> None:
        stores = [Store(postgres.url) for _ in range(4)]
        await stores[0].open()
        async with stores[0]._connection() as connection:
            from remusnet.sip.store.tables import METADATA

            await connection.run_sync(METADATA.drop_all)
        await stores[0].close()
        await asyncio.gather(*(store.open() for store in stores))
        for store in stores:
            await store.close()

    asyncio.run(main())


def test_a_database_that_is_not_there_is_one_line(postgres: Postgres) -> None:
    async def main() -> str:
        store = Store(postgres.url.replace("/postgres?", "/nowhere?"))
        with pytest.raises(StoreUnavailable) as raised:
            await store.open()
        return str(raised.value)

    assert 'database "nowhere" does not exist' in asyncio.run(main())


def test_two_servers_on_one_postgresql_share_their_bindings(
    postgres: Postgres, tmp_path: Path
) -> None:
    asyncio.run(_emptied(postgres.url))
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
    words = (*OPEN, "--store", postgres.url)
    with (
        serving(tmp_path / "one", *words) as one,
        serving(tmp_path / "two", *words) as two,
        Agent("bob") as bob,
        Agent("bob") as moved,
        Agent("alice") as alice,
    ):
        here, there = one.ports["udp"], two.ports["udp"]
        assert bob.register(here).status == 200
        for port in (here, there):
            message = alice.request("MESSAGE", "sip:bob@example.org")
            alice.send(message, port)
            bob.answer(bob.wait_for("MESSAGE"), 200)
            alice.wait(lambda each: isinstance(each, Response) and each.status == 200)
        # The other server takes it away, and binds another phone: the first must not go by memory.
        assert bob.register(there, expires="0").status == 200
        assert moved.register(there).status == 200
        alice.send(alice.request("MESSAGE", "sip:bob@example.org"), here)
        moved.answer(moved.wait_for("MESSAGE"), 200)
        found = alice.register(here, contact="", to="<sip:bob@example.org>").values("contact")
        assert [each.partition(b";")[0] for each in found] == [moved.contact.encode()]


@pytest.mark.slow
def test_while_postgresql_is_away_calls_go_on_and_nothing_confirmed_is_lost(
    postgres: Postgres, tmp_path: Path
) -> None:
    asyncio.run(_emptied(postgres.url))
    words = (*OPEN, "--store", postgres.url)
    with serving(tmp_path, *words) as server, Agent("bob") as bob, Agent() as alice:
        port = server.ports["udp"]
        assert bob.register(port).status == 200
        confirmed: list[str] = []
        refused: list[int] = []
        enough = threading.Event()

        def keep_registering() -> None:
            number = 0
            with Agent("busy") as busy:
                while not enough.is_set():
                    number += 1
                    contact = f"<sip:n{number}@127.0.0.1>"
                    to = f"<sip:busy{number}@example.org>"
                    status = busy.register(port, contact=contact, to=to).status
                    if status == 200:
                        confirmed.append(to)
                    else:
                        refused.append(status)

        busy = threading.Thread(target=keep_registering)
        busy.start()
        try:
            _until(lambda: len(confirmed) > 20)
            postgres.kill()
            _until(lambda: len(refused) > 5)
            assert server.status()["store"] != "ok"
            for _ in range(3):
                alice.send(alice.request("MESSAGE", "sip:bob@example.org"), port)
                bob.answer(bob.wait_for("MESSAGE"), 200)
                alice.wait(lambda each: isinstance(each, Response) and each.status == 200)
            assert set(refused) == {503}
            before = len(confirmed)
            postgres.start()
            _until(lambda: len(confirmed) > before)
        finally:
            enough.set()
            busy.join(60)
        assert server.status()["store"] == "ok"
        for to in confirmed:
            found = alice.register(port, contact="", to=to)
            assert len(found.values("contact")) == 1, f"{to} was confirmed and is lost"
        assert server.end() == 0


def test_while_postgresql_is_away_users_that_are_known_are_believed(
    postgres: Postgres, tmp_path: Path
) -> None:
    async def add(store: Store) -> None:
        for name in ("alice", "bob"):
            await store.put_user(make_user(name, "example.org", f"{name}'s"))

    asyncio.run(_emptied(postgres.url))
    opened(postgres.url, add)
    words = ("--domain", "example.org", "--store", postgres.url)
    with serving(tmp_path, *words) as server, Agent("bob") as bob, Agent("alice") as alice:
        port = server.ports["udp"]

        def registered() -> int:
            to = {"to": "<sip:bob@example.org>", "expires": "600"}
            made = bob.request("REGISTER", "sip:example.org", **to)
            found = bob.proven(made, port, "bob's")
            return found.status if found is not None else 0

        def refused_by_bob() -> int:
            """An INVITE that bob declines."""
            answers = threading.Thread(target=lambda: bob.answer(bob.wait_for("INVITE"), 603))
            answers.start()
            made = alice.request("INVITE", "sip:bob@example.org")
            found = alice.proven(made, port, "alice's")
            answers.join(30)
            return found.status if found is not None else 0

        assert registered() == 200
        assert refused_by_bob() == 603
        postgres.kill()
        try:
            assert registered() == 503
            assert refused_by_bob() == 603, "both are known: the call goes on"
        finally:
            postgres.start()
        _until(lambda: registered() == 200)


def _until(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 40
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_a_full_disk_refuses_what_it_has_no_room_for_and_keeps_what_it_has(tmp_path: Path) -> None:
    """As SQLite says it, where a database may have no more pages than it has."""
    many: dict[bytes, tuple[Binding, ...]] = {
        b"user%d@example.org" % number: (
            binding(b"sip:%b@h" % (b"x" * 500), aor=b"user%d@example.org" % number),
        )
        for number in range(200)
    }

    async def limit(store: Store, pages: int) -> None:
        async with store._connection() as connection:
            await connection.execute(sa.text(f"PRAGMA max_page_count={pages}"))

    async def work(store: Store) -> None:
        await store.replace({BOB: (binding(b"sip:one@h"),)})
        await limit(store, 1)
        with pytest.raises(StoreUnavailable, match="database or disk is full"):
            await store.replace({BOB: (binding(b"sip:two@h"),), **many})
        [found] = (await store.load([BOB]))[BOB]
        assert found.contact == b"sip:one@h"
        await limit(store, 10_000)
        await store.replace(many)

    opened(f"sqlite:{tmp_path / 'sip.db'}", work)


@pytest.mark.parametrize("which", ["sip.db*", "sip.db-wal"])
@pytest.mark.parametrize("instead", [False, True])
def test_a_store_whose_file_was_taken_away_confirms_nothing_until_it_is_opened_again(
    instead: bool, which: str, tmp_path: Path
) -> None:
    """SQLite itself writes on into a file that has no name any more."""
    file = tmp_path / "sip.db"

    async def work(store: Store) -> None:
        await store.replace({BOB: (binding(b"sip:one@h"),)})
        for found in tmp_path.glob(which):
            found.unlink()
            if instead:
                found.touch()
        with pytest.raises(StoreUnavailable, match="the file is gone, or another one"):
            await store.replace({BOB: (binding(b"sip:two@h"),)})
        await store.close()
        await store.open()
        await store.replace({BOB: (binding(b"sip:three@h"),)})

    opened(f"sqlite:{file}", work)

    async def after(store: Store) -> None:
        [found] = (await store.load([BOB]))[BOB]
        assert found.contact == b"sip:three@h"

    opened(f"sqlite:{file}", after)
