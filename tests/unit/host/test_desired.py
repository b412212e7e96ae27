"""The desired state of a host: which entry decides about a vif, and what that comes to."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from remusnet.host.desired import (
    Candidate,
    DesiredState,
    all_xen_vifs,
    candidates,
    load_desired,
    plans,
)
from remusnet.kernel.state.observe import Seen
from remusnet.kernel.wire.objects import Device
from remusnet.plan.domains import VifEntry
from remusnet.plan.plan import build_plan
from remusnet.plan.terms import Terms
from remusnet.policy import PRESETS
from remusnet.tables.mistakes import MistakenFile

FILE = """
[[vif]]
name = "vif3.0"
policy = "hold-all"

[[vif]]
name = "vif9.0"
protect = false

[[vif]]
domain = "pbx"
policy = "real-time"

[[vif]]
bridge = "xenbr0"

[[vif]]
bridge = "xenbr1"
pattern = "phone*"
memory = "64MB"
"""


def desired(tmp_path: Path, text: str = FILE) -> DesiredState:
    file = tmp_path / "remusnet.toml"
    file.write_text(text)
    return load_desired(str(file))


def wished(state: DesiredState, *there: Candidate) -> list[tuple[tuple[str, ...], str, str]]:
    return [(each.vifs, each.policy.name, each.path) for each in state.wishes(there)]


def test_the_first_entry_that_matches_decides_and_others_are_left_alone(tmp_path: Path) -> None:
    state = desired(tmp_path)
    assert wished(
        state,
        Candidate("vif10.0", "xenbr0"),
        Candidate("vif3.0", "xenbr0"),
        Candidate("vif9.0", "xenbr0"),
        Candidate("vif2.0", "xenbr0", ("pbx",)),
        Candidate("vif4.0"),
        Candidate("eth0", "xenbr0"),
        Candidate("phone1", "xenbr1"),
        Candidate("vif5.0", "xenbr1"),
    ) == [
        (("vif3.0",), "hold-all", "vif[1]"),
        (("vif2.0",), "real-time", "vif[3]"),
        (("vif10.0",), "tcp-only", "vif[4]"),
        (("phone1",), "tcp-only", "vif[5]"),
    ]


def test_both_devices_of_a_card_are_together_unless_one_is_named(tmp_path: Path) -> None:
    card = [Candidate(f"vif{n}.0{end}", "xenbr0") for n in (3, 4, 10) for end in ("", "-emu")]
    assert [vifs for vifs, _, _ in wished(desired(tmp_path), *card)] == [
        ("vif3.0",),
        ("vif3.0-emu",),
        ("vif4.0", "vif4.0-emu"),
        ("vif10.0", "vif10.0-emu"),
    ]


def test_an_entry_without_its_vif_is_absent_and_one_that_others_took_is_not(
    tmp_path: Path,
) -> None:
    state = desired(tmp_path)
    there = (Candidate("vif3.0", "xenbr0"),)
    assert [each.path for each in state.absent(there)] == ["vif[3]", "vif[5]"]
    assert [each.path for each in state.absent(())] == ["vif[1]", "vif[3]", "vif[4]", "vif[5]"]
    assert state.domains == ("pbx",)


def test_bridges_buffer_devices_and_the_loopback_are_no_candidates() -> None:
    devices = [
        Device(1, "lo", "", "", True),
        Device(2, "xenbr0", "bridge", "", True),
        Device(3, "vif1.0", "vif", "", True, master=2),
        Device(4, "ifb-1.0", "ifb", "remusnet:vif1.0", True),
        Device(5, "eth0", "", "", True),
    ]
    seen = Seen({each.name: each for each in devices}, {}, {}, {})
    assert candidates(seen, {"pbx": ("vif1.0",), "12": ("vif1.0", "vif2.0")}) == (
        Candidate("vif1.0", "xenbr0", ("pbx", "12")),
        Candidate("eth0"),
    )


def test_one_policy_for_all_is_for_vifs_by_xens_own_names() -> None:
    state = all_xen_vifs(PRESETS["hold-all"], Terms(rate=10**8))
    there = [Candidate(name) for name in ("vif1.0", "vif1.0-emu", "web0", "vifx", "vif12.3")]
    assert wished(state, *there) == [
        (("vif1.0", "vif1.0-emu"), "hold-all", ""),
        (("vif12.3",), "hold-all", ""),
    ]
    assert state.wishes(there)[0].terms.rate == 10**8


def test_a_wishs_plan_is_what_plan_makes_of_the_same_terms(tmp_path: Path) -> None:
    there = (
        Candidate("vif3.0", "xenbr0"),
        Candidate("vif4.0", "xenbr0"),
        Candidate("phone1", "xenbr1"),
        Candidate("vif5.0", "xenbr0"),
    )
    wishes = desired(tmp_path).wishes(there)
    for wish, plan in zip(wishes, plans(wishes), strict=True):
        alone = build_plan(
            [wish.vifs],
            wish.policy,
            classifier=wish.terms.classifier,
            rate=wish.terms.rate,
            interval_ns=wish.terms.interval_ns,
            memory=wish.terms.memory,
        )
        assert plan.operations == alone.operations
        assert plan.limit == alone.limit == wish.terms.plug_limit


def test_a_mistake_in_a_policy_of_an_entry_is_one_of_the_file(tmp_path: Path) -> None:
    (tmp_path / "p.toml").write_text("name = 1\n")
    with pytest.raises(MistakenFile, match="p.toml: name"):
        desired(tmp_path, "[[vif]]\nname = 'vif1.0'\npolicy = './p.toml'\n")


NAMES = ("vif1.0", "vif1.0-emu", "vif2.0", "web0")
entries = st.builds(
    VifEntry,
    st.just(""),
    st.sampled_from((None, *NAMES)),
    st.sampled_from((None, "vif*", "*0", "?eb0", "[!v]*")),
    st.sampled_from((None, "xenbr0")),
    st.sampled_from((None, "pbx")),
    st.just(Terms()),
    st.booleans(),
)
theres = st.lists(
    st.builds(
        Candidate,
        st.sampled_from(NAMES),
        st.sampled_from(("", "xenbr0")),
        st.sampled_from(((), ("pbx",))),
    ),
    unique_by=lambda each: each.name,
)


@given(st.lists(entries), theres)
def test_every_vif_is_wished_for_by_its_first_entry_or_not_at_all(
    listed: list[VifEntry], there: list[Candidate]
) -> None:
    numbered = tuple(
        VifEntry(f"vif[{n}]", e.name, e.pattern, e.bridge, e.domain, e.terms, e.protect)
        for n, e in enumerate(listed, start=1)
    )
    state = DesiredState("f", numbered, {"tcp-only": PRESETS["tcp-only"]})
    expected = {}
    for vif in there:
        first = next((e for e in numbered if e.matches(vif.name, vif.bridge, vif.domains)), None)
        if first is not None and first.protect:
            expected[vif.name] = first.path
    found = [(vif, each.path) for each in state.wishes(there) for vif in each.vifs]
    assert dict(found) == expected
    assert len(found) == len(expected)
