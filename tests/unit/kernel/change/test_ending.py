"""What remove does, on paper: only to what is of the vifs that were named, whatever their names."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest

from remusnet.classify.filters import LAST_PREF
from remusnet.errors import Conflict
from remusnet.kernel.change.ending import endings_of, operations
from remusnet.kernel.change.remove import _left, _settle
from remusnet.kernel.change.steps import changes
from remusnet.kernel.run_dir import Problems
from remusnet.kernel.state.drift import drift
from remusnet.kernel.state.inventory import Found, inventory, together_with
from remusnet.kernel.state.ownership import check, foreign_filters
from remusnet.kernel.state.receipt import Phase, Receipt, Receipts, receipts_of
from remusnet.kernel.wire.objects import Program, SeenFilter
from remusnet.plan.operations import (
    AddIngress,
    DeleteDevice,
    DeleteFilters,
    DeleteIngress,
    DeletePlug,
    DrainPlug,
    MarkDevice,
    ReleasePlug,
)
from remusnet.plan.plan import CLASSIFIERS, build_plan
from remusnet.plan.rows import Operation
from remusnet.policy import PRESETS
from tests.lib.paper_kernel import INGRESS, PaperKernel

LIMIT = 1_000_000


class Host:
    """A kernel on paper, and the receipts of what was applied to it."""

    def __init__(self, *vifs: str) -> None:
        self.kernel = PaperKernel(vifs)
        self.receipts: dict[str, Receipt] = {}
        self.clean = self.kernel.seen()

    def apply(
        self,
        *vifs: str,
        buffer: str | None = None,
        policy: str = "tcp-only",
        classifier: str = "u32",
    ) -> None:
        """As `remusnet.kernel.change.apply.apply` does."""
        plan = build_plan(
            vifs,
            PRESETS[policy],
            classifier=classifier,
            buffer=buffer,
            rate=1,
            interval_ns=1,
            limit=LIMIT,
        )
        seen = self.kernel.seen()
        check(plan, seen, self.receipts)
        for each in changes(plan, seen, self.receipts, dict(self.kernel.limits)):
            self.kernel.do(each)
        indexes = {vif: self.kernel.devices[vif].index for vif in vifs}
        made = receipts_of(plan, rate=1, interval_ns=1, shared={}, indexes=indexes)
        self.receipts |= {each.buffer: each for each in made}

    def there(self) -> tuple[Found, ...]:
        return inventory(self.kernel.seen(), self.receipts)

    def ending(self, *vifs: str, drop: bool = False) -> tuple[Operation, ...]:
        seen = self.kernel.seen()
        return tuple(operations(endings_of(vifs, self.there(), seen), seen, drop=drop))

    def remove(self, *vifs: str) -> tuple[Operation, ...]:
        done = self.ending(*vifs)
        for each in done:
            self.kernel.do(each)
        for buffer, receipt in list(self.receipts.items()):
            if set(receipt.vifs) <= set(vifs):
                del self.receipts[buffer]
        return done

    def differences(self, buffer: str) -> dict[str, str]:
        found = drift(self.receipts[buffer], self.kernel.seen())
        return {each.what: each.current for each in found}


def devices_of(done: tuple[Operation, ...]) -> set[str]:
    return {str(each.arguments["device"]) for each in done}


# -- vifs that have other names by now -------------------------------------------------------------


@pytest.fixture
def renamed() -> Host:
    """vif1.0 was renamed to old; a new vif1.0 is protected by the same buffer device."""
    host = Host("vif1.0")
    host.apply("vif1.0")
    host.kernel.rename("vif1.0", "old")
    host.kernel.appear("vif1.0")
    host.apply("vif1.0")
    return host


def test_a_renamed_vif_ends_without_the_buffer_of_the_new_one(renamed: Host) -> None:
    assert renamed.remove("old") == (DeleteIngress("old"),)
    assert renamed.differences("ifb-1.0") == {}
    renamed.remove("vif1.0")
    assert renamed.kernel.seen().ingress == {}
    assert renamed.kernel.devices.keys() == {"old", "vif1.0"}


def test_a_buffer_device_does_not_go_while_another_vif_sends_there(renamed: Host) -> None:
    with pytest.raises(
        Conflict, match=r'^old sends to ifb-1\.0 too: .*"remusnet remove vif1\.0 old"'
    ):
        renamed.ending("vif1.0")
    assert DeleteDevice("ifb-1.0") in renamed.remove("vif1.0", "old")
    assert renamed.kernel.seen().ingress == {}


def test_the_same_is_so_where_the_receipt_is_lost(renamed: Host) -> None:
    renamed.receipts.clear()
    assert renamed.ending("old") == (DeleteIngress("old"),)
    with pytest.raises(Conflict, match="old sends to"):
        renamed.ending("vif1.0")


def test_what_a_renamed_vif_holds_is_not_dropped_alone(renamed: Host) -> None:
    with pytest.raises(Conflict, match="waits in ifb-1.0, the buffer device of vif1.0"):
        renamed.ending("old", drop=True)
    assert DeleteDevice("ifb-1.0") in renamed.ending("old", "vif1.0", drop=True)


def test_a_buffer_device_names_all_that_end_with_it(renamed: Host) -> None:
    assert list(together_with("ifb-1.0", renamed.there())) == ["vif1.0", "old"]


def test_a_vif_that_was_only_renamed_is_named_by_both_names() -> None:
    host = Host("vif1.0")
    host.apply("vif1.0")
    host.kernel.rename("vif1.0", "old")
    assert host.differences("ifb-1.0") == {"vif": "renamed to old"}
    with pytest.raises(Conflict, match=r"old sends to ifb-1\.0 too \(old was vif1\.0\)"):
        host.ending("vif1.0")
    host.remove("vif1.0", "old")
    assert (host.kernel.seen().ingress, host.kernel.roots) == ({}, {})


@pytest.fixture
def swapped() -> Host:
    """vif1.0 and vif2.0 have each other's names."""
    host = Host("vif1.0", "vif2.0")
    host.apply("vif1.0", "vif2.0")
    host.kernel.rename("vif1.0", "between")
    host.kernel.rename("vif2.0", "vif1.0")
    host.kernel.rename("between", "vif2.0")
    return host


@pytest.mark.parametrize("vif", ["vif1.0", "vif2.0"])
def test_of_vifs_with_swapped_names_none_ends_alone(swapped: Host, vif: str) -> None:
    with pytest.raises(Conflict, match="ifb-[12].0"):
        swapped.ending(vif)
    assert "vif" in swapped.differences("ifb-1.0")


def test_vifs_with_swapped_names_end_together(swapped: Host) -> None:
    swapped.remove("vif1.0", "vif2.0")
    assert (swapped.kernel.seen().ingress, swapped.kernel.roots) == ({}, {})


def test_a_vif_that_was_given_a_protected_ones_name_is_not_ended_as_that() -> None:
    host = Host("vif1.0", "vif2.0")
    host.apply("vif1.0", "vif2.0")
    host.kernel.vanish("vif2.0")
    host.kernel.rename("vif1.0", "vif2.0")
    with pytest.raises(Conflict, match=r"vif2\.0 sends what it holds to ifb-1\.0"):
        host.ending("vif2.0")
    host.remove("vif1.0", "vif2.0")
    assert (host.kernel.seen().ingress, host.kernel.roots) == ({}, {})


# -- vifs that were made again ---------------------------------------------------------------------


def made_again(*, with_qdisc: bool) -> Host:
    host = Host("vif1.0")
    host.apply("vif1.0")
    host.kernel.vanish("vif1.0")
    host.kernel.appear("vif1.0")
    if with_qdisc:
        host.kernel.do(AddIngress("vif1.0"))
    return host


def test_the_qdisc_of_a_vif_that_was_made_again_is_not_ours() -> None:
    host = made_again(with_qdisc=True)
    assert DeleteIngress("vif1.0") not in host.remove("vif1.0")
    (left,) = host.kernel.seen().ingress.values()
    assert left is INGRESS


def test_a_vif_that_was_made_again_is_a_difference_until_it_is_protected_again() -> None:
    host = made_again(with_qdisc=False)
    assert host.differences("ifb-1.0") == {
        "vif": "another of its name, number 4",
        "ingress qdisc": "gone: every frame bypasses",
    }
    host.apply("vif1.0")
    assert host.differences("ifb-1.0") == {}


def test_a_receipt_without_numbers_is_believed_by_name() -> None:
    """One of an earlier version."""
    host = Host("vif1.0")
    host.apply("vif1.0")
    host.receipts = {name: replace(each, indexes=()) for name, each in host.receipts.items()}
    assert host.differences("ifb-1.0") == {}
    assert DeleteIngress("vif1.0") in host.remove("vif1.0")


def test_a_vif_of_one_buffer_device_is_not_protected_with_another_too() -> None:
    """Though it was made again, and nothing shows: the sink of both would go."""
    host = Host("vif1.0", "vif9.0")
    host.apply("vif9.0", "vif1.0", buffer="ifb-9.0")
    host.kernel.vanish("vif1.0")
    host.kernel.appear("vif1.0")
    with pytest.raises(Conflict, match=r"vif1\.0 is protected with the buffer device ifb-9\.0"):
        host.apply("vif1.0")


def test_a_buffer_device_of_others_is_not_ours_by_its_name() -> None:
    """Marked for another vif: by a remusnet with another run directory."""
    host = Host("vif1.0", "vif9.0")
    host.apply("vif1.0")
    mine = dict(host.receipts)
    host.remove("vif1.0")
    host.apply("vif9.0", buffer="ifb-1.0")
    host.receipts = mine
    assert host.ending("vif1.0") == ()
    assert DeleteDevice("ifb-1.0") in host.ending("vif9.0")


# -- filters and marks that a hand has taken away --------------------------------------------------


@pytest.mark.parametrize("classifier", CLASSIFIERS)
@pytest.mark.parametrize("policy", ["tcp-only", "real-time"])
def test_without_its_marks_a_filter_is_ours_by_what_it_lets_bypass(
    policy: str, classifier: str
) -> None:
    """As where the one that holds all was deleted by hand."""
    host = Host("vif1.0")
    host.apply("vif1.0", policy=policy, classifier=classifier)
    kept = [each for each in host.kernel.filters["vif1.0"] if not each.cookie]
    assert kept
    host.kernel.filters["vif1.0"] = kept
    seen, receipt = host.kernel.seen(), host.receipts["ifb-1.0"]
    assert foreign_filters("vif1.0", seen, receipt) == ()
    assert foreign_filters("vif1.0", seen, None) == tuple(kept)
    host.apply("vif1.0", policy=policy, classifier=classifier)
    assert host.differences("ifb-1.0") == {}
    host.kernel.filters["vif1.0"] = kept
    assert DeleteIngress("vif1.0") in host.remove("vif1.0")
    assert (host.kernel.seen().ingress, host.kernel.roots) == ({}, {})


def test_a_filter_of_another_vif_with_that_name_is_not_ours_by_what_it_does() -> None:
    host = Host("vif1.0")
    host.apply("vif1.0", policy="real-time")
    kept = [each for each in host.kernel.filters["vif1.0"] if not each.cookie]
    host.kernel.vanish("vif1.0")
    host.kernel.appear("vif1.0")
    host.kernel.do(AddIngress("vif1.0"))
    host.kernel.filters["vif1.0"] = kept
    assert foreign_filters("vif1.0", host.kernel.seen(), host.receipts["ifb-1.0"]) == tuple(kept)
    assert not {DeleteIngress, DeleteFilters} & set(map(type, host.ending("vif1.0")))


@pytest.mark.parametrize("device", ["ifb-1.0", "sink-1.0"])
def test_a_device_without_its_mark_goes_with_the_filters_that_send_there(device: str) -> None:
    host = Host("vif1.0")
    host.apply("vif1.0")
    host.kernel.do(MarkDevice(device, "other"))
    assert DeleteDevice(device) in host.remove("vif1.0")
    assert host.kernel.devices.keys() == {"vif1.0"}


# -- the order, and how much it is -----------------------------------------------------------------


def test_one_vif_ends_in_the_order_in_which_nothing_is_lost() -> None:
    host = Host("vif1.0")
    host.apply("vif1.0")
    assert host.ending("vif1.0") == (
        ReleasePlug("ifb-1.0"),
        DrainPlug("ifb-1.0"),
        DeleteIngress("vif1.0"),
        ReleasePlug("ifb-1.0"),
        DrainPlug("ifb-1.0"),
        DeletePlug("ifb-1.0"),
        DeleteDevice("sink-1.0"),
        DeleteDevice("ifb-1.0"),
    )


@pytest.mark.parametrize("number", [1, 10, 100])
def test_many_vifs_end_step_by_step_and_wait_twice(number: int) -> None:
    """Plugs that are waited for next to each other are waited for together."""
    vifs = [f"vif{each}.0" for each in range(1, number + 1)]
    host = Host(*vifs)
    host.apply(*vifs)
    done = host.remove(*vifs)
    assert len(done) == 8 * number
    kinds = [type(each) for each in done]
    waits = [at for at, kind in enumerate(kinds) if kind is DrainPlug]
    runs = [at for at in waits if at - 1 not in waits]
    assert (len(waits), len(runs)) == (2 * number, 2)
    assert Counter(kinds)[DeleteIngress] == number
    assert host.kernel.seen().devices.keys() == set(vifs)


def test_what_goes_on_is_marked_for_those_that_stay() -> None:
    host = Host("vif1.0", "vif1.1", "vif2.0")
    host.apply("vif1.0", "vif1.1", buffer="ifb-1.0")
    host.apply("vif2.0")
    done = host.ending("vif1.1", "vif2.0")
    assert devices_of(done) == {"vif1.1", "ifb-1.0", "sink-1.0", "vif2.0", "ifb-2.0", "sink-2.0"}
    assert MarkDevice("ifb-1.0", "remusnet:vif1.0") in done
    assert ReleasePlug("ifb-1.0") not in done
    assert ReleasePlug("ifb-2.0") in done


# -- what is before, or in the place of, the filters -----------------------------------------------


PROGRAM = Program("tcx", 97, "passer")


def test_a_program_that_is_asked_first_is_a_conflict_and_a_difference() -> None:
    host = Host("vif1.0")
    host.apply("vif1.0")
    host.kernel.programs["vif1.0"] = (PROGRAM,)
    assert "tcx program 97 ('passer')" in host.differences("ifb-1.0")["program before the filters"]
    with pytest.raises(Conflict, match=r"vif1\.0 has a program .*: tcx program 97 \('passer'\);"):
        host.apply("vif1.0")
    assert DeleteDevice("ifb-1.0") in host.ending("vif1.0")


@pytest.mark.parametrize("after", [False, True])
def test_a_shared_block_is_named_and_stays(after: bool) -> None:
    host = Host("vif1.0")
    if after:
        host.apply("vif1.0")
        host.kernel.filters["vif1.0"] = []
    block = replace(INGRESS, block=22)
    host.kernel.ingress[host.kernel.devices["vif1.0"].index] = block
    with pytest.raises(
        Conflict, match=r"an ingress qdisc whose filters are a shared block's \(22\)"
    ):
        host.apply("vif1.0")
    if after:
        assert "shared block's (22)" in host.differences("ifb-1.0")["ingress qdisc"]
        host.remove("vif1.0")
        assert list(host.kernel.seen().ingress.values()) == [block]


@pytest.mark.parametrize(("kind", "said"), [("clsact", "a clsact"), ("ingress", "an ingress")])
def test_a_qdisc_is_named_with_its_article(kind: str, said: str) -> None:
    host = Host("vif1.0")
    foreign = host_filters()
    host.kernel.ingress[host.kernel.devices["vif1.0"].index] = replace(INGRESS, kind=kind)
    host.kernel.filters["vif1.0"] = [replace(each, cookie=b"other") for each in foreign]
    with pytest.raises(Conflict, match=f"^vif1.0 has {said} qdisc with filters that are not"):
        host.apply("vif1.0")


def host_filters() -> list[SeenFilter]:
    other = Host("vif1.0")
    other.apply("vif1.0")
    return [each for each in other.kernel.filters["vif1.0"] if each.pref == LAST_PREF]


# -- the receipt goes with the last trace ----------------------------------------------------------


@pytest.mark.parametrize("is_ours", [True, False])
def test_a_receipt_stays_with_what_may_be_ours(tmp_path: Path, is_ours: bool) -> None:
    """Left of an update that was killed, behind which a hand has deleted all that hold."""
    host = Host("vif1.0")
    host.apply("vif1.0", policy="real-time")
    rest = [each for each in host.kernel.filters["vif1.0"] if not each.cookie]
    receipts = host.receipts
    host.remove("vif1.0")
    host.receipts = receipts
    host.apply("vif1.0", policy="tcp-only")
    if not is_ours:
        rest = [replace(each, match=None, verdict=None) for each in rest]
    host.kernel.filters["vif1.0"] = rest
    store = Receipts(tmp_path)
    store.write(host.receipts.values(), Phase.REMOVING)
    seen = host.kernel.seen()
    endings = endings_of(["vif1.0"], host.there(), seen)
    for each in operations(endings, seen, drop=False):
        host.kernel.do(each)
    left = _left(endings, host.kernel.seen())
    assert left["vif1.0"].text.startswith("vif1.0: its ingress qdisc stays, for there are filters")
    _settle(endings, left, host.receipts, store, tmp_path, Problems())
    assert (list(store.read()[0]) == ["ifb-1.0"]) is is_ours
