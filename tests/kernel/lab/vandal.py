"""Whatever other programs can do to a protection."""

from __future__ import annotations

from collections.abc import Callable

from tests.kernel.lab.bed import VIF
from tests.kernel.lab.damages import Hand
from tests.kernel.lab.protection import BUFFER, LIMIT, SINK, Site


class Vandal:
    """Every kind of damage that somebody can do to a protection."""

    def __init__(self, site: Site, hand: Hand) -> None:
        self._site, self._hand = site, hand
        self._handle = 0x10

    def kinds(self) -> dict[str, tuple[bool, Callable[[], object]]]:
        """By name: whether frames leave meanwhile, and what does it."""
        tc, ip = self._site.bed.dom0.tc, self._site.bed.dom0.ip
        return {
            "buffer device down": (False, lambda: self._hand.set(up=False)),
            "buffer device deleted": (False, self._hand.delete),
            "buffer device without its mark": (
                False,
                lambda: ip(f"link set {BUFFER} alias somebody"),
            ),
            "txqueuelen changed": (False, self._new_queue),
            "plug replaced by a plug": (False, self._new_plug),
            "plug replaced by a fifo": (
                True,
                lambda: tc(f"qdisc replace dev {BUFFER} root pfifo limit 100"),
            ),
            "plug deleted": (True, self._hand.delete_plug),
            "ingress deleted": (True, lambda: tc(f"qdisc delete dev {VIF} ingress")),
            "a filter deleted": (
                True,
                lambda: tc(f"filter delete dev {VIF} ingress pref {self._a_pref()}"),
            ),
            "sink deleted": (False, lambda: ip(f"link delete {SINK}")),
            "sink down": (False, lambda: ip(f"link set {SINK} down")),
            "sink unsealed": (False, lambda: tc(f"qdisc delete dev {SINK} root")),
            "sink replaced": (False, lambda: tc(f"qdisc replace dev {SINK} root pfifo_fast")),
        }

    def _new_queue(self) -> None:
        self._handle += 1
        self._hand.queue(32 + self._handle)

    def _new_plug(self) -> None:
        self._handle += 1
        self._hand.new_plug(LIMIT, self._handle)

    def _a_pref(self) -> int:
        found = self._site.looks()["filters"]
        assert isinstance(found, dict)
        return max(int(each.pref) for each, _, _ in found[VIF])
