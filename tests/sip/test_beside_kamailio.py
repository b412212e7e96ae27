"""What Kamailio 5.6.3 gets wrong, asked of it and of ours: ours must be right, both are printed.

Kamailio runs with its common modules (tm, usrloc, registrar, rr), and once more with `sanity`, as
Debian's own configuration has it. The table is printed at the end of a run of the tests.
"""

# ruff: noqa: E501  # a table: a line of it is a case

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import count, pairwise

import pytest

from remusnet.sip.message import Request, Response
from tests.lib.kamailio import BESIDE_KAMAILIO, Kamailio, kamailio
from tests.lib.sip_agent import HOST, Agent
from tests.lib.sip_process import ServerProcess, serving

pytestmark = pytest.mark.xdist_group("kamailio")

T1_S = 0.1
# For what may not come at all. What must come, ours has longer for.
_SILENCE_S = 1.0
_users = count(1)


@dataclass(frozen=True, slots=True)
class Place:
    """A server that is asked. ``patience_s``: how long it has for an answer."""

    port: int
    patience_s: float


@pytest.fixture(scope="module")
def ours(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    words = ("--no-auth", "--domain", "example.org", "--min-expires", "1s", "--t1", "100ms")
    with serving(tmp_path_factory.mktemp("ours"), *words) as server:
        yield server


@pytest.fixture(scope="module")
def theirs() -> Iterator[Kamailio]:
    with kamailio() as server:
        yield server


@pytest.fixture(scope="module")
def theirs_sane() -> Iterator[Kamailio]:
    with kamailio(sanity=True) as server:
        yield server


def user() -> Agent:
    """One that nobody else is."""
    return Agent(f"u{next(_users)}")


def told(response: Response | None) -> str:
    return "silence" if response is None else str(response.status)


def bound(agent: Agent, place: Place) -> list[str]:
    """The contacts of an agent's user."""
    found = agent.answer_to(_register(agent, contact=""), place.port, place.patience_s)
    return [] if found is None else [value.decode() for value in found.values("contact")]


def _register(agent: Agent, **headers: str) -> Request:
    fields = {"to": f"<sip:{agent.name}@example.org>", "expires": "600", **headers}
    return agent.request("REGISTER", "sip:example.org", **fields)


def registers(agent: Agent, place: Place, **headers: str) -> str:
    return told(agent.answer_to(_register(agent, **headers), place.port, place.patience_s))


# What is asked. Each returns what came of it, in words.


def star_of_older_cseq(place: Place) -> str:
    with user() as agent:
        registers(agent, place, call_id=f"{agent.name}.star", cseq="9 REGISTER")
        fields = {"contact": "*", "expires": "0", "call_id": f"{agent.name}.star"}
        status = registers(agent, place, cseq="8 REGISTER", **fields)
        return f"{status}, {len(bound(agent, place))} left"


def star_of_equal_cseq(place: Place) -> str:
    with user() as agent:
        registers(agent, place, call_id=f"{agent.name}.star", cseq="9 REGISTER")
        fields = {"contact": "*", "expires": "0", "call_id": f"{agent.name}.star"}
        status = registers(agent, place, cseq="9 REGISTER", **fields)
        return f"{status}, {len(bound(agent, place))} left"


def _again(place: Place, number: int) -> str:
    with user() as agent:
        registers(agent, place, call_id=f"{agent.name}.a", cseq="9 REGISTER", expires="600")
        fields = {"call_id": f"{agent.name}.a", "cseq": f"{number} REGISTER", "expires": "60"}
        status = registers(agent, place, **fields)
        return f"{status}, {'changed' if _short(agent, place) else 'as it was'}"


def _short(agent: Agent, place: Place) -> list[str]:
    """The contacts that expire within a hundred seconds."""
    contacts = bound(agent, place)
    return [each for each in contacts if int(each.partition("expires=")[2].split(";")[0]) < 100]


def equal_cseq(place: Place) -> str:
    return _again(place, 9)


def older_cseq(place: Place) -> str:
    return _again(place, 8)


def all_or_none(place: Place) -> str:
    """Two contacts, of which one is out of order: neither may change."""
    with user() as agent:
        name = f"{agent.name}.all"
        registers(agent, place, contact="<sip:one@192.0.2.1>")
        registers(agent, place, call_id=name, cseq="9 REGISTER", contact="<sip:two@192.0.2.1>")
        both = "<sip:one@192.0.2.1>;expires=0, <sip:two@192.0.2.1>"
        status = registers(agent, place, call_id=name, cseq="8 REGISTER", contact=both)
        names = sorted(each.split("@")[0].removeprefix("<sip:") for each in bound(agent, place))
        return f"{status}, {' '.join(names) or 'none'}"


def half_of_it(place: Place) -> str:
    """A contact of equal CSeq is left as it is, and the other one bound: half of a request."""
    with user() as agent:
        fields = {"call_id": f"{agent.name}.half", "cseq": "9 REGISTER"}
        registers(agent, place, contact="<sip:one@192.0.2.1>", **fields)
        both = "<sip:new@192.0.2.1>, <sip:one@192.0.2.1>;expires=60"
        status = registers(agent, place, contact=both, **fields)
        names = sorted(each.split("@")[0].removeprefix("<sip:") for each in bound(agent, place))
        return f"{status}, {' '.join(names)}, {'changed' if _short(agent, place) else 'as it was'}"


def _compared(first: str, second: str) -> Callable[[Place], str]:
    def ask(place: Place) -> str:
        with user() as agent:
            registers(agent, place, contact=first)
            registers(agent, place, contact=second)
            return f"{len(bound(agent, place))} bindings"

    return ask


def largest_expiry(place: Place) -> str:
    with user() as agent:
        status = registers(agent, place, contact=f"{agent.contact};expires=4294967295")
        left = [each.partition("expires=")[2].split(";")[0] for each in bound(agent, place)]
        return f"{status}, for {' '.join(left) or 'no time'}"


def foreign_via(place: Place) -> str:
    with user() as agent:
        asked = agent.request("OPTIONS", "sip:example.org")
        stray = Response(200, b"OK", list(asked.headers))
        stray.push("Via", b"SIP/2.0/UDP foreign.example:5060;branch=z9hG4bKforeign")
        agent.send(stray, place.port)
        return "dropped" if agent.receive(_SILENCE_S / 2) is None else "forwarded"


def forking_loop(place: Place) -> str:
    """Two contacts that lead back to the server, and one to a phone (RFC 5393, 3)."""
    with user() as agent:
        for number in (1, 2):
            contact = f"<sip:{agent.name}@{HOST}:{place.port};n={number}>"
            registers(agent, place, contact=contact)
        registers(agent, place)
        invite = agent.request("INVITE", f"sip:{agent.name}@example.org", max_forwards="6")
        agent.send(invite, place.port)
        seen = set()
        deadline = time.monotonic() + max(2 * _SILENCE_S, place.patience_s)
        while time.monotonic() < deadline:
            message = agent.receive(0.1)
            if isinstance(message, Response) and message.status >= 200:
                break  # all of its branches have ended
            if isinstance(message, Request) and message.method == b"INVITE":
                seen.add(message.values("via")[0])
                agent.answer(message, 486)
        return f"{len(seen)} copies of a request"


def _merged(method: str) -> Callable[[Place], str]:
    def ask(place: Place) -> str:
        with user() as agent:
            headers = {"to": f"<sip:{agent.name}@example.org>"} if method == "REGISTER" else {}
            first = agent.request(method, "sip:example.org", **headers)
            agent.answer_to(first, place.port, place.patience_s)
            second = first.copy()
            via = f"SIP/2.0/UDP {HOST}:{agent.port};branch=z9hG4bKm{agent.name};rport"
            second.set("Via", via.encode())
            return told(agent.answer_to(second, place.port, place.patience_s))

    return ask


def _answer(
    change: Callable[[bytes], bytes], uri: str = "sip:example.org"
) -> Callable[[Place], str]:
    """What an OPTIONS gets that is changed."""

    def ask(place: Place) -> str:
        with user() as agent:
            data = change(agent.request("OPTIONS", uri).serialize())
            return told(agent.answer_to(data, place.port, place.patience_s))

    return ask


def _without(name: bytes) -> Callable[[bytes], bytes]:
    def change(data: bytes) -> bytes:
        lines = data.split(b"\r\n")
        return b"\r\n".join(line for line in lines if not line.startswith(name + b":"))

    return change


def behind_content_length(place: Place) -> str:
    with user() as agent:
        registers(agent, place)
        uri = f"sip:{agent.name}@example.org"
        message = agent.request("MESSAGE", uri, content_length="2", content_type="text/plain")
        message.body = b"hi, and more"
        agent.send(message, place.port)
        deadline = time.monotonic() + place.patience_s
        while (left := deadline - time.monotonic()) > 0:
            agent.socket.settimeout(left)
            try:
                data = agent.socket.recv(65536)
            except TimeoutError:
                break
            if data.startswith(b"MESSAGE"):
                return "discarded" if data.endswith(b"\r\n\r\nhi") else "passed on"
        return "silence"


def timer_a(place: Place) -> str:
    """An INVITE that nobody answers: its intervals, in units of T1."""
    with user() as agent:
        registers(agent, place)
        agent.send(agent.request("INVITE", f"sip:{agent.name}@example.org"), place.port)
        times: list[float] = []
        deadline = time.monotonic() + 60 * T1_S
        while time.monotonic() < deadline and len(times) < 6:
            message = agent.receive(0.05)
            if isinstance(message, Request) and message.method == b"INVITE":
                times.append(time.monotonic())
        gaps = [(later - earlier) / T1_S for earlier, later in pairwise(times)]
        # 1, 2, 4, 8, 16: the fourth is T2, the next is not, unless it is capped.
        return (
            "not capped" if gaps and max(gaps) > 12 else f"capped at {max(gaps, default=0):.0f} T1"
        )


PHONE = "<sip:bob@phone.example;a=1;b=2>"
ITEMS: list[tuple[str, str, Callable[[Place], str], str]] = [
    ("Contact: * with an older CSeq", "10.3", star_of_older_cseq, "500, 1 left"),
    ("Contact: * with an equal CSeq", "10.3", star_of_equal_cseq, "500, 1 left"),
    ("REGISTER with an equal CSeq", "10.3", equal_cseq, "500, as it was"),
    ("REGISTER with an older CSeq", "10.3", older_cseq, "500, as it was"),
    ("two contacts, one out of order", "10.3", all_or_none, "500, one two"),
    ("two contacts, one of equal CSeq", "10.3", half_of_it, "500, one, as it was"),
    ("contacts: the host's case", "19.1.4", _compared(PHONE, PHONE.replace("phone", "PHONE")), "1 bindings"),
    ("contacts: escapes", "19.1.4", _compared(PHONE, PHONE.replace("bob", "%62ob")), "1 bindings"),
    ("contacts: order of parameters", "19.1.4", _compared(PHONE, "<sip:bob@phone.example;b=2;a=1>"), "1 bindings"),
    ("contacts: a parameter on one side", "19.1.4", _compared(PHONE, "<sip:bob@phone.example;a=1>"), "1 bindings"),
    ("an expiry of 2**32-1", "10.2.1.1", largest_expiry, "200, for 86400"),
    ("a response whose top Via is foreign", "18.1.2", foreign_via, "dropped"),
    ("a loop that forks", "RFC 5393", forking_loop, "5 copies of a request"),
    ("a merged REGISTER", "8.2.2.2", _merged("REGISTER"), "482"),
    ("a merged OPTIONS", "8.2.2.2", _merged("OPTIONS"), "482"),
    ("an unknown scheme", "8.2.2.1", _answer(lambda data: data, "nobody:bob"), "416"),
    ("a folded CSeq", "7.3.1", _answer(lambda data: data.replace(b" OPTIONS\r\n", b"\r\n\tOPTIONS\r\n")), "200"),
    ("bytes behind Content-Length", "18.3", behind_content_length, "discarded"),
    ("no From", "8.1.1", _answer(_without(b"From")), "400"),
    ("no To", "8.1.1", _answer(_without(b"To")), "400"),
    ("no Call-ID", "8.1.1", _answer(_without(b"Call-Id")), "400"),
    ("no CSeq", "8.1.1", _answer(_without(b"Cseq")), "400"),
    ("another version", "21.5.6", _answer(lambda data: data.replace(b"SIP/2.0\r\n", b"SIP/7.0\r\n", 1)), "505"),
    ("Timer A", "17.1.1.2", timer_a, "not capped"),
]  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize(
    ("what", "section", "ask", "right"), ITEMS, ids=[what for what, *_ in ITEMS]
)
def test_ours_is_right_where_kamailio_is_asked_the_same(
    what: str,
    section: str,
    ask: Callable[[Place], str],
    right: str,
    ours: ServerProcess,
    theirs: Kamailio,
    theirs_sane: Kamailio,
    record_property: Callable[[str, object], None],
) -> None:
    places = [Place(ours.ports["udp"], 20.0)]
    places += [Place(each.port, _SILENCE_S) for each in (theirs, theirs_sane)]
    with ThreadPoolExecutor(len(places)) as pool:
        got, *others = pool.map(ask, places)
    record_property(BESIDE_KAMAILIO, [f"{what} ({section})", got, *others])
    assert got == right


def test_nothing_failed_on_the_way(ours: ServerProcess) -> None:
    status = ours.status()
    assert [actor["path"] for actor in status["actors"] if actor["restarts"]] == []
    assert status["dead_letters"] == 0
