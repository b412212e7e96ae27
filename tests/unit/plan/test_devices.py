"""Device names: what Linux and a shell can take, a buffer device for each vif. Plugs' limits."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from remusnet.errors import InvalidInput
from remusnet.plan.devices import (
    LARGEST_LIMIT,
    LONGEST_NAME,
    RUNT_COST,
    SMALLEST_LIMIT,
    buffer_name,
    check_device_name,
    memory_limit,
    memory_needed,
    plug_limit,
    sink_alias,
    sink_name,
)
from remusnet.plan.plan import LONGEST_ALIAS, protections

NAMES = st.from_regex(r"(vif|ifb-|eth|)[A-Za-z0-9_][A-Za-z0-9._-]{0,14}", fullmatch=True).filter(
    lambda name: len(name) <= LONGEST_NAME
)


@pytest.mark.parametrize(
    ("vif", "buffer"),
    [
        ("vif1.0", "ifb-1.0"),
        ("vif1.0-emu", "ifb-1.0-emu"),
        ("vif12345678.10", "ifb-12345678.10"),
        ("eth0", "ifb-eth0"),
        ("vifeth0", "ifb-vifeth0"),
        ("vif", "ifb-vif"),
    ],
)
def test_a_buffer_device_is_named_after_its_vif(vif: str, buffer: str) -> None:
    assert buffer_name(vif) == buffer


@given(NAMES)
@example("vif123456789.100")
@example("x" * LONGEST_NAME)
def test_a_buffer_name_is_one_that_linux_takes(vif: str) -> None:
    assert check_device_name(buffer_name(vif)) == buffer_name(vif)


@given(NAMES, NAMES)
@example("vif1.0", "1.0")
@example("vifeth0", "eth0")
@example("vif12345678.100", "vif12345678.101")
def test_two_vifs_never_share_a_buffer_name(one: str, other: str) -> None:
    assert (buffer_name(one) == buffer_name(other)) == (one == other)


@pytest.mark.parametrize(
    ("buffer", "sink"),
    [
        ("ifb-1.0", "sink-1.0"),
        ("ifb-1", "sink-1"),
        ("ifb-1234567.10", "sink-1234567.10"),
        ("ifb-12345678.10", "sink_176aa42b16"),
        ("1.0", "sink_d0ff5974b6"),
    ],
)
def test_a_sink_is_named_after_its_buffer_device(buffer: str, sink: str) -> None:
    assert sink_name(buffer) == sink


@given(NAMES, NAMES)
@example("ifb-1.0", "1.0")
@example("ifb-12345678.10", "ifb-12345678.11")
def test_two_buffer_devices_never_share_a_sink(one: str, other: str) -> None:
    assert check_device_name(sink_name(one)) == sink_name(one)
    assert (sink_name(one) == sink_name(other)) == (one == other)


@pytest.mark.parametrize(
    "name",
    [
        "",
        "x" * (LONGEST_NAME + 1),
        ".",
        "..",
        "-vif",
        "vif1/0",
        "vif1 0",
        "vif1;reboot",
        "$(reboot)",
        "vif`id`",
        "vif'1",
        'vif"1',
        "vif*",
        "vif1\n",
        "vif1\0",
        "vif1:0",
        "vif\u0661",
    ],
)
def test_a_name_that_could_hurt_is_refused(name: str) -> None:
    with pytest.raises(InvalidInput, match="invalid device name"):
        check_device_name(name)


def test_a_vif_named_twice_is_refused() -> None:
    with pytest.raises(InvalidInput, match=r"named twice: vif1\.0 vif1\.0"):
        protections(["vif1.0", "vif1.0"])


@pytest.mark.parametrize(
    ("vifs", "buffer"), [(["vif1.0", "ifb-1.0"], None), (["vif1.0", "ifb0"], "ifb0")]
)
def test_a_device_can_not_be_vif_and_buffer(vifs: list[str], buffer: str | None) -> None:
    with pytest.raises(InvalidInput, match="can not be a vif and a buffer device"):
        protections(vifs, buffer)


def test_a_device_can_not_be_vif_and_sink() -> None:
    with pytest.raises(InvalidInput, match=r"sink-1.0 can not be a vif and the sink of ifb-1\.0"):
        protections(["vif1.0", "sink-1.0"])


@pytest.mark.parametrize(
    ("vifs", "sinks"),
    [
        (["vif1.0"], ["sink-1.0"]),
        (["vif1.0-emu"], [""]),
        ([("vif1.0", "vif1.0-emu"), "vif1.1-emu"], ["sink-1.0", ""]),
        (["eth0"], ["sink-eth0"]),
    ],
)
def test_every_card_has_a_sink_but_one_that_is_only_emulated(
    vifs: list[str | tuple[str, ...]], sinks: list[str]
) -> None:
    """QEMU has copied what its taps send; what else netback serves, a name can't tell."""
    assert [each.sink for each in protections(vifs)] == sinks
    assert [each.sink for each in protections(vifs, decouple=False)] == ["" for _ in sinks]


def test_one_buffer_has_no_more_vifs_than_its_alias_can_name() -> None:
    """The kernel refuses a longer alias, and the mark of ownership with it."""
    vifs = [f"vif{number:012}" for number in range(16)]
    with pytest.raises(InvalidInput, match="too many vifs for one buffer device"):
        protections(vifs, "ifb0")
    (fits,) = protections(vifs[:15], "ifb0")
    assert len(sink_alias(fits.vifs)) <= LONGEST_ALIAS
    assert len(protections(vifs)) == 16


def test_a_plug_holds_two_intervals_of_the_link() -> None:
    assert plug_limit(1_000_000_000, 200_000_000) == 2 * 125_000_000 // 5


def test_a_slow_link_still_gets_room_for_large_frames() -> None:
    assert plug_limit(1_000_000, 40_000_000) == SMALLEST_LIMIT == 262_144


def test_a_fast_link_gets_no_more_than_the_kernel_can_be_told() -> None:
    """The kernel's field has 32 bits: a larger number would come out small."""
    assert plug_limit(100_000_000_000, 1_000_000_000) == LARGEST_LIMIT


def test_parts_of_a_byte_are_rounded_up() -> None:
    # 2 x (8e9 + 1) bit/s x 1 ms = 2,000,000.00025 bytes
    assert plug_limit(8_000_000_001, 1_000_000) == 2_000_001


def test_a_budget_is_never_exceeded_by_the_limit_made_from_it() -> None:
    for budget in range(819_375, 820_375):
        assert (
            memory_needed(memory_limit(budget)) <= budget < memory_needed(memory_limit(budget) + 1)
        )


def test_what_frames_cost_is_rounded_up() -> None:
    assert (memory_needed(2), memory_needed(3)) == (25, 38)
    assert memory_needed(5_120_000, RUNT_COST) == 281_600_000
