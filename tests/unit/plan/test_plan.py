"""The order of a plan's operations, and that its undo leaves nothing."""

from __future__ import annotations

import json

import pytest

from remusnet.classify.u32.conditions import EVERY_FRAME
from remusnet.errors import InvalidInput
from remusnet.plan.devices import LARGEST_LIMIT, SMALLEST_LIMIT
from remusnet.plan.operations import (
    AddFilter,
    AddPlug,
    CreateBuffer,
    CreateSink,
    DeleteDevice,
    DeleteIngress,
    DeletePlug,
    DrainPlug,
    ReleasePlug,
)
from remusnet.plan.plan import LARGEST_FRAME, Plan, build_plan
from remusnet.plan.rows import Operation
from remusnet.policy.presets import PRESETS, TCP_ONLY
from remusnet.policy.verdict import Verdict
from tests.lib.paper_kernel import PLUG, PaperKernel

RATE, INTERVAL = 10**9, 200_000_000


def plan(
    *vifs: str,
    policy: str = "tcp-only",
    buffer: str | None = None,
    limit: int | None = None,
    decouple: bool = True,
) -> Plan:
    return build_plan(
        vifs or ("vif1.0",),
        PRESETS[policy],
        buffer=buffer,
        rate=RATE,
        interval_ns=INTERVAL,
        limit=limit,
        decouple=decouple,
    )


CASES = [
    *(plan(policy=name) for name in PRESETS),
    plan("vif1.0", "vif2.0", "eth0"),
    plan("vif1.0", "vif1.0-emu", buffer="ifb-1"),
    plan("vif1.0", decouple=False),
    plan("vif1.0-emu"),
]
every_plan = pytest.mark.parametrize("case", CASES, ids=range(len(CASES)))


class Watch:
    """A kernel on paper that fails where the order of a plan, or of its undo, would lose frames."""

    def __init__(self, vifs: tuple[str, ...]) -> None:
        self.kernel = PaperKernel(vifs)
        self.done: dict[str, set[str]] = {}

    def do(self, operation: Operation) -> None:
        done = self.done.setdefault(operation.device, set())
        match operation:
            case AddPlug(_, limit):
                assert LARGEST_FRAME <= limit <= LARGEST_LIMIT
            case AddFilter(_, buffer, _, _, sink):
                assert {"add-plug", "open-plug", "raise-device"} <= self.done[buffer]
                if sink:
                    assert {"seal-sink", "raise-device"} <= self.done[sink]
            case ReleasePlug(device):
                assert self._users(device) == [], "something still redirects to it"
            case DrainPlug():
                assert "release-plug" in done
            case DeletePlug():
                assert "drain-plug" in done, "what it holds would be lost"
            case DeleteDevice(device):
                assert self.kernel.seen().root(device) is not PLUG
                assert self._users(device) == []
            case DeleteIngress(device):
                assert self.kernel.filters[device]
            case _:
                assert operation.kind in BEGINNING
        self.kernel.do(operation)
        done.add(operation.kind)

    def _users(self, device: str) -> list[str]:
        index = self.kernel.devices[device].index
        return [
            vif
            for vif, found in self.kernel.filters.items()
            for each in found
            if index in (each.target, each.sink)
        ]


BEGINNING = {
    *("create-buffer", "create-sink", "mark-device", "quiet-device", "raise-device", "seal-sink"),
    *("open-plug", "add-ingress"),
}


@every_plan
def test_nothing_is_redirected_before_its_plug_is_there_with_a_limit_and_open(case: Plan) -> None:
    watch = Watch(case.vifs)
    for operation in case.operations:
        watch.do(operation)
    assert set(watch.kernel.filters) == set(case.vifs)
    for filters in watch.kernel.filters.values():
        assert len(filters) == len(case.classification.filters)


@every_plan
def test_undo_leaves_nothing_and_loses_nothing_that_is_held(case: Plan) -> None:
    watch = Watch(case.vifs)
    before = watch.kernel.seen()
    for operation in (*case.operations, *case.undo):
        watch.do(operation)
    assert watch.kernel.seen() == before
    assert watch.kernel.filters == {}


@pytest.mark.parametrize("name", ["tcp-only", "real-time", "hold-all"])
def test_the_first_filter_of_a_vif_holds_everything(name: str) -> None:
    """So that a plan that is cut short holds too much, and not too little."""
    added = [each.filter for each in plan(policy=name).operations if isinstance(each, AddFilter)]
    assert (added[0].match, added[0].verdict) == (EVERY_FRAME, Verdict.HOLD)


def test_each_vif_has_its_own_buffer_and_shares_one_where_asked() -> None:
    assert [each.buffer for each in plan("vif1.0", "vif2.0").protections] == ["ifb-1.0", "ifb-2.0"]
    (shared,) = plan("vif1.0", "vif2.0", buffer="ifb-1").protections
    assert shared.vifs == ("vif1.0", "vif2.0")
    created = [
        each
        for each in plan("vif1.0", "vif2.0", buffer="ifb-1").operations
        if isinstance(each, CreateBuffer)
    ]
    assert created == [CreateBuffer("ifb-1"), CreateSink("sink-1")]


def test_what_is_held_is_mirrored_first_and_what_bypasses_never() -> None:
    mirror = "action mirred egress mirror dev sink-1.0 pipe action mirred egress redirect dev"
    for each in plan(policy="real-time").operations:
        if isinstance(each, AddFilter):
            line = " ".join(each.commands[0].arguments)
            assert (mirror in line) is (each.filter.verdict is Verdict.HOLD)
            assert ("mirred" in line) is (each.filter.verdict is Verdict.HOLD)
    for each in plan(policy="real-time", decouple=False).operations:
        assert "mirror" not in str(each.commands)


@pytest.mark.parametrize("limit", [LARGEST_FRAME, SMALLEST_LIMIT, LARGEST_LIMIT])
def test_a_limit_that_can_take_a_frame_is_taken(limit: int) -> None:
    assert plan(limit=limit).limit == limit


@pytest.mark.parametrize("limit", [0, 1, LARGEST_FRAME - 1, LARGEST_LIMIT + 1])
def test_a_limit_below_one_frame_or_beyond_the_kernels_field_is_refused(limit: int) -> None:
    with pytest.raises(InvalidInput, match=f"invalid limit: {limit} bytes"):
        plan(limit=limit)


@pytest.mark.parametrize(
    ("rate", "interval", "limit", "reason"),
    [
        (RATE, INTERVAL, None, "2 x 1gbit x 200ms"),
        (10**6, INTERVAL, None, "more than 2 x 1mbit x 200ms, for large frames"),
        (10**12, INTERVAL, None, "less than 2 x 1tbit x 200ms, all that the kernel takes"),
        (RATE, INTERVAL, 10**6, "as asked for"),
    ],
)
def test_a_plan_says_where_its_limit_comes_from(
    rate: int, interval: int, limit: int | None, reason: str
) -> None:
    made = build_plan(["vif1.0"], TCP_ONLY, rate=rate, interval_ns=interval, limit=limit)
    assert made.limit_reason == reason


def test_an_unknown_classifier_is_refused_with_a_suggestion() -> None:
    with pytest.raises(InvalidInput, match=r"unknown classifier: 'u23' \(did you mean 'u32'\?\)"):
        build_plan(["vif1.0"], TCP_ONLY, classifier="u23", rate=RATE, interval_ns=INTERVAL)


def test_warnings_name_what_bypasses_and_say_nothing_twice() -> None:
    tcp_only = plan().warnings
    assert (
        "SIP over UDP bypasses: a peer may have seen an answer that the backup never sent"
        in tcp_only
    )
    assert any(each.startswith("tunnels bypass") and "vxlan" in each for each in tcp_only)
    assert [each.partition(" can cost")[0] for each in plan(policy="hold-all").warnings] == [
        "a guest that floods small frames"
    ]
    assert any("IPv6, tagged IPv4" in each for each in plan(policy="stock-remus").warnings)


@every_plan
def test_the_json_form_has_each_operation_with_its_undo(case: Plan) -> None:
    document = json.loads(json.dumps(case.to_json()))
    assert [each["kind"] for each in document["operations"]] == [e.kind for e in case.operations]
    for each in document["operations"]:
        assert set(each) == {"kind", "arguments", "undo"}
        assert "device" in each["arguments"]


def test_a_memory_budget_makes_the_limit_and_says_what_it_is_short_of() -> None:
    made = build_plan(
        ["vif1.0"], PRESETS["hold-all"], rate=RATE, interval_ns=INTERVAL, memory=64_000_000
    )
    assert (made.limit, made.limit_reason) == (5_120_000, "64.0 MB of memory / 12.5")
    (warning,) = made.warnings
    assert "5.1 MB, less than 2 x 1gbit x 200ms (50.0 MB)" in warning
    ample = build_plan(
        ["vif1.0"], PRESETS["hold-all"], rate=RATE, interval_ns=INTERVAL, memory=10**9
    )
    assert (ample.limit, ample.warnings) == (80_000_000, ())


def test_without_a_budget_the_worst_case_is_said_of_each_buffer_device() -> None:
    assert "can cost 625.0 MB of memory, 12.5 times" in plan(policy="hold-all").warnings[0]
    two = plan("vif1.0", "vif2.0", policy="hold-all", limit=10**6)
    assert "can cost 12.5 MB of memory for each buffer device" in two.warnings[0]


@pytest.mark.parametrize("memory", [0, 819_374, 12_500_000 * LARGEST_LIMIT])
def test_a_budget_that_no_plug_can_have_is_refused(memory: int) -> None:
    with pytest.raises(InvalidInput, match="invalid memory budget"):
        build_plan(["vif1.0"], PRESETS["hold-all"], rate=RATE, interval_ns=INTERVAL, memory=memory)


def test_a_limit_and_a_budget_are_one_too_many() -> None:
    with pytest.raises(InvalidInput, match="give one of them"):
        build_plan(
            ["vif1.0"],
            PRESETS["hold-all"],
            rate=RATE,
            interval_ns=INTERVAL,
            limit=10**6,
            memory=10**8,
        )
