"""From any state to a plan: on paper, for every shipped policy, classifier and point of a kill."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from remusnet.classify.filters import LAST_PREF
from remusnet.errors import Conflict
from remusnet.kernel.change.steps import changes
from remusnet.kernel.state.drift import drift
from remusnet.kernel.state.ownership import GUARD_PREF, check
from remusnet.kernel.state.receipt import Phase, Receipt, noted, receipts_of
from remusnet.kernel.wire.objects import SeenFilter
from remusnet.plan.operations import (
    AddFilter,
    AddPlug,
    ClearPlug,
    ClosePlug,
    CreateBuffer,
    DeleteFilters,
    DeleteSink,
    LowerDevice,
    MarkDevice,
    OpenPlug,
    QuietDevice,
    RaiseDevice,
    SetLimit,
)
from remusnet.plan.plan import CLASSIFIERS, Plan, build_plan, sink_operations, undo_of
from remusnet.plan.rows import Operation
from remusnet.policy import PRESETS
from remusnet.policy.verdict import Verdict
from tests.lib.paper_kernel import PaperKernel

BUFFER = "ifb-1.0"
LIMIT = 1_000_000
SINK = "sink-1.0"


def plans_of(*, decouple: bool) -> dict[tuple[str, str], Plan]:
    return {
        (policy, classifier): build_plan(
            ["vif1.0"],
            PRESETS[policy],
            classifier=classifier,
            rate=1,
            interval_ns=1,
            limit=LIMIT,
            decouple=decouple,
        )
        for policy in PRESETS
        for classifier in CLASSIFIERS
    }


PLANS = plans_of(decouple=True)
COUPLED = plans_of(decouple=False)
plans = st.sampled_from([*PLANS.values(), *COUPLED.values()])


def receipt(plan: Plan, phase: Phase = Phase.APPLIED) -> Receipt:
    (found,) = receipts_of(plan, rate=1, interval_ns=1, shared={})
    return replace(found, phase=phase)


def needed(plan: Plan, kernel: PaperKernel, phase: Phase = Phase.APPLIED) -> tuple[Operation, ...]:
    receipts: Mapping[str, Receipt] = {BUFFER: receipt(plan, phase)}
    check(plan, kernel.seen(), receipts)
    return tuple(changes(plan, kernel.seen(), receipts, dict(kernel.limits)))


def settle(plan: Plan, kernel: PaperKernel, phase: Phase = Phase.APPLIED) -> None:
    for operation in needed(plan, kernel, phase):
        kernel.do(operation)
    assert drift(receipt(plan), kernel.seen()) == ()
    assert needed(plan, kernel) == ()


@pytest.mark.parametrize(
    "plan", [*PLANS.values(), COUPLED["tcp-only", "u32"]], ids=[*map("-".join, PLANS), "coupled"]
)
def test_where_nothing_is_there_the_changes_are_the_plan(plan: Plan) -> None:
    assert tuple(changes(plan, PaperKernel().seen(), {}, {})) == plan.operations


@given(first=plans, then=plans)
def test_an_update_reaches_the_new_plan_and_opens_nothing(first: Plan, then: Plan) -> None:
    kernel = PaperKernel()
    settle(first, kernel)
    assert not any(isinstance(each, OpenPlug) for each in needed(then, kernel))
    settle(then, kernel)


@given(first=plans, then=plans, data=st.data())
def test_an_update_that_is_undone_leaves_what_was_there(
    first: Plan, then: Plan, data: st.DataObject
) -> None:
    kernel = PaperKernel()
    settle(first, kernel)
    before = kernel.seen()
    operations = needed(then, kernel)
    done = operations[: data.draw(st.integers(0, len(operations)))]
    for operation in (*done, *undo_of(done)):
        kernel.do(operation)
    assert kernel.seen() == before


@given(sequence=st.lists(plans, min_size=2, max_size=5), data=st.data())
def test_from_any_kill_any_plan_is_reached(sequence: list[Plan], data: st.DataObject) -> None:
    """Kills on top of kills: each plan is begun and cut short, the last one is not."""
    kernel = PaperKernel()
    for plan in sequence[:-1]:
        operations = needed(plan, kernel, Phase.APPLYING)
        for operation in operations[: data.draw(st.integers(0, len(operations)))]:
            kernel.do(operation)
    settle(sequence[-1], kernel, Phase.APPLYING)


@given(first=plans, then=plans)
def test_one_of_the_two_policies_is_complete_at_each_step(first: Plan, then: Plan) -> None:
    kernel = PaperKernel()
    settle(first, kernel)
    policies = [_asked(plan) for plan in (first, then)]
    for operation in needed(then, kernel):
        kernel.do(operation)
        banks = _banks(kernel)
        assert policies[0] in banks or policies[1] in banks
        for bank in banks:
            assert any(_is_sound(bank, policy) for policy in policies)


def _is_sound(bank: list[SeenFilter], policy: list[SeenFilter]) -> bool:
    """Whether all is of the policy, and whatever bypasses has before it what subtracts from it."""
    position = {each: index for index, each in enumerate(policy)}
    if not position.keys() >= set(bank):
        return False
    missing = position.keys() - set(bank)
    holds = [position[each] for each in missing if each.verdict is Verdict.HOLD]
    bypasses = [position[each] for each in bank if each.verdict is Verdict.BYPASS]
    return max(bypasses, default=-1) < min(holds, default=len(policy))


def _banks(kernel: PaperKernel) -> list[list[SeenFilter]]:
    return [
        [
            replace(each, pref=each.pref - bank, target=0, sink=None, cookie=b"")
            for each in kernel.filters["vif1.0"]
            if bank < each.pref < bank + 2000
        ]
        for bank in (0, 2000)
    ]


def _asked(plan: Plan) -> list[SeenFilter]:
    kernel = PaperKernel()
    for operation in plan.operations:
        kernel.do(operation)
    return _banks(kernel)[0]


@given(plan=plans, data=st.data())
def test_a_plan_that_is_cut_short_holds_too_much_and_never_too_little(
    plan: Plan, data: st.DataObject
) -> None:
    kernel = PaperKernel()
    operations = plan.operations
    for operation in operations[: data.draw(st.integers(0, len(operations)))]:
        kernel.do(operation)
    there = _banks(kernel)[0] if "vif1.0" in kernel.filters else []
    whole = _asked(plan)
    assert _is_sound(there, whole)
    if there and any(each.pref == LAST_PREF for each in whole):
        assert any(each.pref == LAST_PREF for each in there)


def test_two_half_banks_are_rebuilt_behind_a_guard_that_holds_every_frame() -> None:
    kernel = PaperKernel()
    tcp, media = PLANS["tcp-only", "u32"], PLANS["real-time", "u32"]
    settle(tcp, kernel)
    for operation in needed(media, kernel)[:5]:
        kernel.do(operation)
    rebuilding = needed(PLANS["hold-all", "u32"], kernel)
    first, last = rebuilding[0], rebuilding[-1]
    assert isinstance(first, AddFilter)
    assert isinstance(last, DeleteFilters)
    assert (first.filter.pref, last.pref) == (GUARD_PREF, GUARD_PREF)


def test_a_deleted_buffer_device_is_made_again_before_frames_are_sent_there() -> None:
    kernel = PaperKernel()
    plan = PLANS["tcp-only", "u32"]
    settle(plan, kernel)
    kernel._delete(kernel.devices.pop(BUFFER))
    operations = needed(plan, kernel)
    assert isinstance(operations[0], CreateBuffer)
    # Its driver may not know yet: what the guest sends is still of an epoch that is open.
    assert not any(isinstance(each, OpenPlug) for each in operations)
    settle(plan, kernel)


def test_a_device_that_is_down_is_raised_with_a_plug_that_is_clear_and_closed() -> None:
    """The counters of a purged plug would let frames of the open epoch go."""
    kernel = PaperKernel()
    plan = PLANS["tcp-only", "u32"]
    settle(plan, kernel)
    kernel.devices[BUFFER] = replace(kernel.devices[BUFFER], up=False)
    assert needed(plan, kernel) == (
        ClearPlug(BUFFER),
        ClosePlug(BUFFER),
        QuietDevice(BUFFER),
        RaiseDevice(BUFFER),
    )
    settle(plan, kernel)


def test_after_a_new_txqueuelen_the_plug_is_cleared_while_the_device_is_down() -> None:
    kernel = PaperKernel()
    plan = PLANS["tcp-only", "u32"]
    settle(plan, kernel)
    kernel.devices[BUFFER] = replace(kernel.devices[BUFFER], queue=100)
    before = replace(receipt(plan), queue=32)
    (difference,) = drift(before, kernel.seen())
    assert str(difference).startswith("ifb-1.0: txqueuelen: desired 32, current 100: what was held")
    operations = tuple(changes(plan, kernel.seen(), {BUFFER: before}, kernel.limits))
    assert operations == (
        LowerDevice(BUFFER),
        ClearPlug(BUFFER),
        ClosePlug(BUFFER),
        QuietDevice(BUFFER),
        RaiseDevice(BUFFER),
    )
    for operation in operations:
        kernel.do(operation)
    assert kernel.devices[BUFFER].up
    after = noted(receipt(plan), kernel.seen(), before=before)
    assert (after.queue, drift(after, kernel.seen())) == (100, ())


def test_another_plug_or_device_of_the_same_name_is_a_difference() -> None:
    kernel = PaperKernel()
    plan = PLANS["tcp-only", "u32"]
    settle(plan, kernel)
    before = noted(receipt(plan), kernel.seen(), before=None)
    assert drift(before, kernel.seen()) == ()
    other = replace(before, handle=before.handle + 0x10000, index=before.index + 1)
    found = [(each.what, each.current) for each in drift(other, kernel.seen())]
    assert found == [
        ("buffer device", f"number {before.index}: somebody has made it anew"),
        ("root qdisc", "plug 8001:, which somebody has made in its place"),
    ]


def test_a_vif_becomes_decoupled_and_coupled_again_behind_the_same_filters() -> None:
    """The sink comes before the first filter that mirrors to it, and goes after the last one."""
    kernel = PaperKernel()
    coupled, decoupled = COUPLED["tcp-only", "u32"], PLANS["tcp-only", "u32"]
    settle(coupled, kernel)
    assert SINK not in kernel.devices
    operations = needed(decoupled, kernel)
    assert [each.kind for each in operations[:5]] == [
        "create-sink",
        "mark-device",
        "seal-sink",
        "quiet-device",
        "raise-device",
    ]
    settle(decoupled, kernel)
    assert all(
        (each.sink is not None) is (each.verdict is Verdict.HOLD)
        for each in kernel.filters["vif1.0"]
    )
    *_, last = needed(coupled, kernel)
    assert last == DeleteSink(SINK, "remusnet/sink:vif1.0")
    settle(coupled, kernel)
    assert SINK not in kernel.devices


def broken(change: str, kernel: PaperKernel) -> None:
    device = kernel.devices[SINK]
    if change == "gone":
        kernel._delete(kernel.devices.pop(SINK))
    elif change == "down":
        kernel.devices[SINK] = replace(device, up=False)
    elif change == "not sealed":
        del kernel.roots[device.index]
    else:
        kernel.filters["vif1.0"][:] = [
            replace(each, sink=None) for each in kernel.filters["vif1.0"]
        ]


@pytest.mark.parametrize(
    ("change", "said", "repair"),
    [
        ("gone", "gone: what is held keeps the guest's pages", "create-sink"),
        ("down", "down: what is held keeps the guest's pages", "raise-device"),
        ("not sealed", "leaves at once", "seal-sink"),
        ("mirrors", "mirror to nothing: what is held keeps", "add-filter"),
    ],
)
def test_what_is_wrong_with_a_sink_is_named_and_repaired(
    change: str, said: str, repair: str
) -> None:
    kernel = PaperKernel()
    plan = PLANS["tcp-only", "u32"]
    settle(plan, kernel)
    broken(change, kernel)
    (difference,) = drift(receipt(plan), kernel.seen())
    assert said in difference.current
    assert repair in {each.kind for each in needed(plan, kernel)}
    settle(plan, kernel)


def test_a_sink_of_ours_beside_a_coupled_plan_is_a_difference() -> None:
    kernel = PaperKernel()
    coupled = COUPLED["tcp-only", "u32"]
    settle(coupled, kernel)
    for each in sink_operations(SINK, "remusnet/sink:vif1.0"):
        kernel.do(each)
    (found,) = drift(receipt(coupled), kernel.seen())
    assert str(found) == "sink-1.0: sink: desired none, current there"
    settle(coupled, kernel)


def test_a_device_with_the_name_of_our_sink_is_a_conflict() -> None:
    kernel = PaperKernel()
    plan = PLANS["tcp-only", "u32"]
    kernel.do(CreateBuffer(SINK))
    with pytest.raises(Conflict, match="sink-1.0 exists and is not remusnet's sink"):
        check(plan, kernel.seen(), {})
    kernel.do(MarkDevice(SINK, "remusnet/sink:vif2.0"))
    with pytest.raises(Conflict, match=r"sink-1.0 is the sink of vif2\.0 already"):
        check(plan, kernel.seen(), {})
    kernel.do(MarkDevice(SINK, "remusnet/sink:vif1.0"))
    check(plan, kernel.seen(), {})
    kernel.do(AddPlug(SINK, LIMIT))
    with pytest.raises(Conflict, match="root qdisc of sink-1.0 is no pfifo but plug"):
        check(plan, kernel.seen(), {})


def test_a_sink_is_nobodys_buffer_device() -> None:
    kernel = PaperKernel()
    settle(PLANS["tcp-only", "u32"], kernel)
    plan = build_plan(
        ["vif1.0"], PRESETS["tcp-only"], buffer=SINK, rate=1, interval_ns=1, limit=LIMIT
    )
    kernel.filters.clear()  # or these would be the first conflict
    with pytest.raises(Conflict, match="sink-1.0 exists and is not remusnet's buffer device"):
        check(plan, kernel.seen(), {})


def test_an_unknown_limit_is_set_again() -> None:
    kernel = PaperKernel()
    plan = PLANS["tcp-only", "u32"]
    settle(plan, kernel)
    assert tuple(changes(plan, kernel.seen(), {}, {})) == (SetLimit(BUFFER, LIMIT),)


def test_an_unmarked_device_is_ours_only_by_an_intent() -> None:
    kernel = PaperKernel()
    plan = PLANS["tcp-only", "u32"]
    kernel.do(CreateBuffer(BUFFER))
    with pytest.raises(Conflict, match="ifb-1.0 exists and is not remusnet's"):
        check(plan, kernel.seen(), {})
    settle(plan, kernel, Phase.APPLYING)


def test_a_plug_that_somebody_drives_is_not_opened() -> None:
    kernel = PaperKernel()
    plan = PLANS["tcp-only", "u32"]
    settle(plan, kernel)
    kernel.filters.clear()  # as before the first filter of an apply that was killed
    receipts = {BUFFER: receipt(plan, Phase.APPLYING)}
    for driven, opens in (((), True), ((BUFFER,), False)):
        found = changes(plan, kernel.seen(), receipts, kernel.limits, driven)
        assert any(isinstance(each, OpenPlug) for each in found) is opens


@pytest.mark.parametrize("decouple", [True, False])
def test_where_a_hand_has_deleted_the_ingress_qdisc_the_plug_stays_as_it_is(decouple: bool) -> None:
    """It may hold an epoch: no filter sends there any more, and yet nobody has released it."""
    plan = (PLANS if decouple else COUPLED)["tcp-only", "u32"]
    kernel = PaperKernel()
    settle(plan, kernel)
    applied = noted(receipt(plan), kernel.seen(), before=None)
    applied = replace(applied, indexes=(kernel.devices["vif1.0"].index,))
    del kernel.ingress[kernel.devices["vif1.0"].index], kernel.filters["vif1.0"]
    for known in (applied, replace(applied, phase=Phase.APPLYING), replace(applied, handle=0)):
        found = tuple(changes(plan, kernel.seen(), {BUFFER: known}, dict(kernel.limits)))
        assert [each.kind for each in found][:2] == ["add-ingress", "add-filter"]
    # What never was applied whole has held nothing; of a vif that is gone nothing can leave.
    begun = replace(applied, phase=Phase.APPLYING, handle=0)
    another = replace(applied, indexes=(999,))
    for unknown in (begun, another):
        found = tuple(changes(plan, kernel.seen(), {BUFFER: unknown}, dict(kernel.limits)))
        assert found[0] == OpenPlug(BUFFER)
