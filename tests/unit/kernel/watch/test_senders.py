"""Who drives a plug, by the events that it makes."""

from __future__ import annotations

import pytest

from remusnet.kernel.watch import ports
from remusnet.kernel.watch.events import LinkEvent, Lost, QdiscEvent
from remusnet.kernel.watch.senders import Senders
from remusnet.kernel.wire.codec import TC_H_ROOT
from remusnet.kernel.wire.objects import Counters, Device, Qdisc
from remusnet.results.driving import Activity

MS = 1_000_000
INDEX = 7
PLUG = Qdisc("plug", 0x8001 << 16, Counters())
XL, OTHER, MINE = 4711, 4712, 99
PROCESSES = {XL: 4711, OTHER: 4712}


def order(at_ms: int, port: int = XL, *, qdisc: Qdisc = PLUG, gone: bool = False) -> QdiscEvent:
    return QdiscEvent(at_ms * MS, port, INDEX, TC_H_ROOT, qdisc, gone)


@pytest.fixture
def there(monkeypatch: pytest.MonkeyPatch) -> dict[int, int]:
    """The open sockets, by port; a test may close one."""
    monkeypatch.setattr(ports, "process_of", lambda port, _inode: PROCESSES.get(port))
    monkeypatch.setattr(ports, "command_of", lambda _process: "xl")
    monkeypatch.setattr(ports, "is_stopped", lambda _process: False)
    return {XL: 1, OTHER: 2, MINE: 3}


@pytest.fixture
def senders(there: dict[int, int]) -> Senders:
    return Senders({INDEX: PLUG}, {MINE}, lambda: there)


def test_a_driver_is_silent_after_two_periods_and_a_bit(senders: Senders) -> None:
    for at in range(0, 1000, 100):
        senders.take(order(at))
    (found,) = senders.drivers(INDEX, 1000 * MS)
    assert (str(found), found.activity) == ("process 4711 (xl)", Activity.DRIVES)
    assert (found.period_ns, found.orders) == (200 * MS, 10)
    (found,) = senders.drivers(INDEX, 2301 * MS)
    assert (found.activity, found.silent_ns) == (Activity.SILENT, 1401 * MS)


def test_who_has_closed_its_socket_is_gone_or_was_only_a_command(
    senders: Senders, there: dict[int, int]
) -> None:
    senders.take(order(0))
    assert len(senders.drivers(INDEX, MS)) == 1
    there.clear()
    assert senders.drivers(INDEX, MS) == ()
    assert len(senders.heard(INDEX, MS)) == 1
    senders.take(order(100))
    senders.take(order(200))
    assert [each.activity for each in senders.drivers(INDEX, 201 * MS)] == [Activity.GONE]


def test_the_making_of_a_plug_is_no_order_and_a_new_plug_has_no_driver(senders: Senders) -> None:
    assert senders.take(order(0))
    new = Qdisc("plug", 0x8009 << 16, Counters())
    assert not senders.take(order(1, qdisc=PLUG, gone=True))
    assert not senders.take(order(1, qdisc=new))
    assert senders.drivers(INDEX, MS) == ()
    assert senders.take(order(2, qdisc=new))


def test_what_the_watcher_says_itself_is_nobodys_order(senders: Senders) -> None:
    assert not senders.take(order(0, MINE))
    assert senders.drivers(INDEX, MS) == ()


def test_lost_events_keep_what_is_known_of_plugs_that_are_still_there(senders: Senders) -> None:
    senders.take(order(0))
    senders.take(Lost(MS))
    senders.restart({INDEX: PLUG})
    assert len(senders.drivers(INDEX, MS)) == 1
    senders.restart({INDEX: Qdisc("plug", 0x8009 << 16, Counters())})
    assert senders.drivers(INDEX, MS) == ()


def test_a_device_that_goes_takes_its_drivers_along(senders: Senders) -> None:
    senders.take(order(0))
    senders.take(LinkEvent(MS, Device(INDEX, "ifb-1.0", "ifb", "", True), gone=True))
    assert senders.drivers(INDEX, MS) == ()


def test_ten_thousand_senders_take_no_more_memory_than_a_few(senders: Senders) -> None:
    for port in range(10_000):
        senders.take(order(port, 10_000 + port))
    assert len(senders.heard(INDEX, MS)) <= 16
