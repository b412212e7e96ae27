"""Nothing of an open epoch leaves after a damage to a buffer device or its plug that is mended."""

from __future__ import annotations

from random import Random

import pytest

from remusnet.errors import RemusnetError
from remusnet.kernel.checkpoint import Checkpointer
from remusnet.kernel.plug import Plug
from remusnet.schedule import Schedule
from tests.kernel.lab.damages import DAMAGES, Damager, Driven, Foreign, Ledger, ended_by
from tests.kernel.lab.protection import BUFFER, Site
from tests.lib.long import count

SEED = 11
SCHEDULE = Schedule(200_000_000, 0, 5_000_000)
pytestmark = pytest.mark.uml(timeout=count(sample=240, long=2400))


def report(ledger: Ledger, purges: int) -> None:
    print(f"seed {SEED}, {purges} purges noticed, {len(ledger.leaked)} frames leaked")
    print(dict(sorted(ledger.counts.items())))


def test_no_frame_of_an_open_epoch_leaves_after_a_damage_that_is_mended(site: Site) -> None:
    """The driver is remusnet's own; the user applies again; a driver that has ended begins anew."""
    damages = count(sample=50, long=1000)
    site.apply(site.plan())
    purges = 0
    with site.bed.from_guest() as guest, site.bed.at_client() as client:
        ledger = Ledger(guest, client)
        damager = Damager(site, ledger, Random(SEED), damages, list(DAMAGES))
        while damager.left > 0:
            with site.bed.dom0.entered():
                plug = Plug(BUFFER, run_dir=site.run_dir)
            try:
                with plug:
                    Checkpointer(Driven(plug, ledger), SCHEDULE, damager).run()
                    ledger.end()
            except RemusnetError as error:
                ended_by(error, ledger.counts)
            ledger.end()
            purges += plug.purges
            damager.mend()
        damager.hand.close()
    report(ledger, purges)
    site.remove()
    assert not ledger.leaked
    assert purges >= damages / 10
    assert ledger.counts["came with their commit"] >= 10 * damages


def test_no_frame_leaves_when_apply_raises_the_device_of_a_driver_that_looks_at_nothing(
    site: Site,
) -> None:
    """As xl is one: its releases while the device is down count what is gone."""
    damages = count(sample=25, long=500)
    site.apply(site.plan())
    with site.bed.from_guest() as guest, site.bed.at_client() as client:
        ledger = Ledger(guest, client)
        damager = Damager(site, ledger, Random(SEED), damages, ["down", "limit", "promiscuous"])
        with Foreign(site) as plug:
            Checkpointer(Driven(plug, ledger), SCHEDULE, damager).run()
            ledger.end()
        damager.hand.close()
    report(ledger, 0)
    site.remove()
    assert not ledger.leaked
    assert ledger.counts["came with their commit"] >= 10 * damages
