"""What may happen to a buffer device and its plug, and who has seen a frame too early."""

from __future__ import annotations

import socket
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random
from struct import Struct

from remusnet.errors import Conflict, RemusnetError
from remusnet.kernel.plug import Plug
from remusnet.kernel.wire.codec import (
    IFF_UP,
    IFLA_TXQLEN,
    NLM_F_CREATE,
    NLM_F_EXCL,
    NLM_F_REPLACE,
    PLUG_QOPT,
    RTM_NEWLINK,
    RTM_NEWQDISC,
    TC_H_ROOT,
    TCA_KIND,
    TCA_OPTIONS,
    attribute,
    link,
    message,
    plug_message,
    text_attribute,
    traffic_control,
)
from remusnet.kernel.wire.messages import PlugAction, encode
from remusnet.kernel.wire.netlink import Netlink
from remusnet.plan.devices import buffer_alias
from remusnet.plan.operations import CreateBuffer, DeleteDevice, DeletePlug, MarkDevice
from tests.kernel.lab.bed import VIF
from tests.kernel.lab.packets import Capture, Sender, stamped
from tests.kernel.lab.protection import BUFFER, LIMIT, TCP_FRAME, Site

_UINT = Struct("=I")


class Hand:
    """Does to Dom0's buffer device what people and programs do to it."""

    def __init__(self, site: Site) -> None:
        self._site = site
        with site.bed.dom0.entered():
            self._netlink = Netlink()

    def close(self) -> None:
        self._netlink.close()

    @property
    def index(self) -> int:
        with self._site.bed.dom0.entered():
            return socket.if_nametoindex(BUFFER)

    def set(self, *, up: bool) -> None:
        self._do(message(RTM_NEWLINK, 0, link(self.index, IFF_UP if up else 0, IFF_UP)))

    def flap(self) -> None:
        """Down and up again."""
        self.set(up=False)
        self.set(up=True)

    def queue(self, length: int) -> None:
        """Another txqueuelen."""
        body = link(self.index) + attribute(IFLA_TXQLEN, _UINT.pack(length))
        self._do(message(RTM_NEWLINK, 0, body))

    def promiscuous(self) -> None:
        """As a tcpdump that begins and ends: news of the link, but nothing is purged."""
        for flags in (_IFF_PROMISC, 0):
            self._do(message(RTM_NEWLINK, 0, link(self.index, flags, _IFF_PROMISC)))

    def limit(self, limit: int) -> None:
        self._do(plug_message(self.index, PlugAction.LIMIT, limit))

    def tell(self, action: PlugAction) -> None:
        self._do(plug_message(self.index, action))

    def new_plug(self, limit: int, handle: int) -> None:
        """Another plug in the place of ours, at once: ``tc qdisc replace``."""
        options = PLUG_QOPT.pack(PlugAction.LIMIT, limit)
        body = traffic_control(self.index, parent=TC_H_ROOT, handle=handle << 16)
        body += text_attribute(TCA_KIND, "plug") + attribute(TCA_OPTIONS, options)
        self._do(message(RTM_NEWQDISC, NLM_F_CREATE | NLM_F_REPLACE, body))

    def add_plug(self, limit: int) -> None:
        options = PLUG_QOPT.pack(PlugAction.LIMIT, limit)
        body = traffic_control(self.index, parent=TC_H_ROOT)
        body += text_attribute(TCA_KIND, "plug") + attribute(TCA_OPTIONS, options)
        self._do(message(RTM_NEWQDISC, NLM_F_CREATE | NLM_F_EXCL, body))

    def delete_plug(self) -> None:
        self._do(encode(DeletePlug(BUFFER), lambda _: self.index))

    def delete(self) -> None:
        self._do(encode(DeleteDevice(BUFFER), lambda _: self.index))

    def create(self, *, marked: bool) -> None:
        self._do(encode(CreateBuffer(BUFFER), lambda _: 0))
        if marked:
            alias = buffer_alias([VIF])
            self._do(encode(MarkDevice(BUFFER, alias), lambda _: self.index))

    def _do(self, request: bytes) -> None:
        self._netlink.do(request, "damage it")


_IFF_PROMISC = 0x100


@dataclass(slots=True)
class Ledger:
    """Every frame that the guest sends, the epoch that it is of, and what reached the client.

    ``driven``: whether somebody takes checkpoints; ``bare``: whether there is no plug, so that what
    comes leaves at once: that is the damage itself, and no mend's.
    """

    guest: Sender
    client: Capture
    epoch: int = 0
    committed: int = -1
    driven: bool = False
    bare: bool = False
    counts: Counter[str] = field(default_factory=Counter)
    leaked: list[tuple[int, int, int]] = field(default_factory=list)
    _epochs: dict[int, int] = field(default_factory=dict)
    _number: int = 0

    def send(self, frames: int) -> None:
        numbers = range(self._number, self._number + frames)
        self._number += frames
        self.guest.send(stamped(TCP_FRAME, number) for number in numbers)
        self.counts["sent"] += frames
        if self.driven and not self.bare:
            self._epochs |= dict.fromkeys(numbers, self.epoch)
            self.counts["to be held"] += frames

    def look(self) -> None:
        """Notes each frame that has come before the commit of its epoch."""
        for number in self.client.stamps():
            epoch = self._epochs.pop(number, None)
            self.counts["came"] += 1
            if epoch is not None:
                self.counts["came with their commit"] += epoch <= self.committed
                if epoch > self.committed:
                    self.leaked.append((number, epoch, self.committed))

    def begin(self) -> None:
        """A driver begins: all from before may leave."""
        self.epoch += 1
        self.committed = self.epoch - 1
        self.driven = True

    def end(self) -> None:
        """It is over: nothing is held any more."""
        self.look()
        self.driven = False
        self.committed = self.epoch


class Driven:
    """A plug with a ledger: `remusnet.kernel.checkpoint.Checkpointer` drives it."""

    def __init__(self, plug: Plug | Foreign, ledger: Ledger) -> None:
        self._plug = plug
        self._ledger = ledger

    def start(self) -> None:
        self._plug.start()
        self._ledger.begin()

    def buffer(self) -> None:
        self._ledger.look()
        self._plug.buffer()
        self._ledger.epoch += 1
        self._ledger.counts["checkpoints"] += 1

    def release(self) -> None:
        self._ledger.look()
        self._plug.release()
        self._ledger.committed = self._ledger.epoch - 1
        time.sleep(0.0005)  # for what a softirq was still about to let go
        self._ledger.look()


class Foreign:
    """A driver that is not remusnet's, as xl is none: it looks at nothing."""

    def __init__(self, site: Site) -> None:
        self._hand = Hand(site)

    def __enter__(self) -> Foreign:
        return self

    def __exit__(self, *_: object) -> None:
        self._hand.tell(PlugAction.RELEASE_INDEFINITE)
        self._hand.close()

    def start(self) -> None:
        self.buffer()

    def buffer(self) -> None:
        self._hand.tell(PlugAction.BUFFER)

    def release(self) -> None:
        self._hand.tell(PlugAction.RELEASE_ONE)


class Damager:
    """The time of a `Checkpointer`: in each wait the guest sends, and things happen.

    So nothing happens between a driver's look and its release, which `test_purge` measures. Ends
    after ``damages``. ``kinds``: names of `DAMAGES`.
    """

    def __init__(
        self, site: Site, ledger: Ledger, rng: Random, damages: int, kinds: list[str]
    ) -> None:
        self.left = damages
        self.now = 0
        self.hand = Hand(site)
        self._site = site
        self._ledger = ledger
        self._rng = rng
        self._kinds = kinds
        self._plan = site.plan()
        self._until_mended = -1

    def now_ns(self) -> int:
        return self.now

    def wait_until(self, deadline_ns: int) -> bool:
        self.now = max(self.now, deadline_ns)
        self._ledger.send(self._rng.randrange(30))
        if self._until_mended > 0:
            self._until_mended -= 1
        elif self._until_mended == 0:
            self.mend()
        elif self.left <= 0:
            return False
        elif self._rng.random() < 0.5:
            self._damage()
        self._ledger.send(self._rng.randrange(30))
        self._ledger.look()
        return True

    def mend(self) -> None:
        """What the user does: apply, which says what it can't mend."""
        self._until_mended = -1
        try:
            self._site.apply(self._plan)
        except Conflict:
            self._ledger.counts["refused by apply"] += 1
            self.hand.delete()
            self._site.apply(self._plan)
        self._ledger.bare = False
        assert self._site.agrees()

    def _damage(self) -> None:
        for _ in range(self._rng.choice((1, 1, 2))):
            name = self._rng.choice(self._kinds)
            self._ledger.counts[name] += 1
            self.left -= 1
            DAMAGES[name](self)
            self._ledger.send(self._rng.randrange(30))
            self._until_mended = self._rng.randrange(4)
            if name in _ENDS:
                return  # the device, or the plug, is not there for another

    def pause(self) -> None:
        self._ledger.send(self._rng.randrange(20))

    def bare(self, yes: bool = True) -> None:
        self._ledger.bare = yes

    @property
    def number(self) -> int:
        return self._rng.randrange(1, 1000)


def _down(d: Damager) -> None:
    d.hand.set(up=False)


def _down_and_up(d: Damager) -> None:
    d.hand.set(up=False)
    d.pause()
    d.hand.set(up=True)


def _queue(d: Damager) -> None:
    d.hand.queue(d.number)


def _queue_and_back(d: Damager) -> None:
    d.hand.queue(1000 + d.number)
    d.pause()
    d.hand.queue(32)


def _promiscuous(d: Damager) -> None:
    d.hand.promiscuous()


def _limit(d: Damager) -> None:
    d.hand.limit(2000)


def _new_plug(d: Damager) -> None:
    d.hand.new_plug(2000, d.number)


def _plug_made_again(d: Damager) -> None:
    d.bare()
    d.hand.delete_plug()
    d.pause()
    d.hand.add_plug(LIMIT)
    d.bare(False)


def _no_plug(d: Damager) -> None:
    d.bare()
    d.hand.delete_plug()


def _no_device(d: Damager) -> None:
    d.hand.delete()


def _device_made_again(d: Damager) -> None:
    d.hand.delete()
    d.pause()
    d.hand.create(marked=False)


def _device_made_again_with_its_mark(d: Damager) -> None:
    d.hand.delete()
    d.pause()
    d.hand.create(marked=True)


DAMAGES: dict[str, Callable[[Damager], None]] = {
    "down": _down,
    "down and up": _down_and_up,
    "txqueuelen": _queue,
    "txqueuelen and back": _queue_and_back,
    "promiscuous": _promiscuous,
    "limit": _limit,
    "new plug": _new_plug,
    "plug made again": _plug_made_again,
    "no plug": _no_plug,
    "no device": _no_device,
    "device made again": _device_made_again,
    "device made again with its mark": _device_made_again_with_its_mark,
}
_ENDS = {name for name in DAMAGES if "no " in name or "made again" in name or "new" in name}


def ended_by(error: RemusnetError, counts: Counter[str]) -> None:
    """Notes that a driver has ended by itself."""
    counts[f"driver ended: {type(error).__name__}"] += 1
