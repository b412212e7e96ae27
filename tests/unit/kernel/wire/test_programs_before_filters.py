"""What sees frames before filters do, as the kernel tells of it."""

from __future__ import annotations

import errno
from struct import pack

import pytest

from remusnet.kernel.state.observe import decode_device, decode_qdisc
from remusnet.kernel.wire import netlink
from remusnet.kernel.wire.codec import attribute, link, nested, text_attribute, traffic_control
from remusnet.kernel.wire.netlink import may_have_tcx, program_name, tcx_programs, tells_of_tcx
from remusnet.kernel.wire.objects import Program


@pytest.mark.parametrize(
    ("release", "may"),
    [
        ("6.1.0-26-amd64", False),
        ("6.5.13", False),
        ("6.6.0", True),
        ("6.12-cloud", True),
        ("7.0-rc1", True),
        ("5.10.0", False),
        ("custom", True),
    ],
)
def test_a_kernel_is_asked_from_6_6_on_or_where_its_name_says_nothing(
    release: str, may: bool
) -> None:
    assert may_have_tcx(release) is may


@pytest.mark.parametrize(
    ("number", "found"),
    [(errno.EINVAL, ()), (errno.ENODEV, ()), (errno.EPERM, None), (errno.ENOSYS, None)],
)
def test_no_tcx_is_none_and_no_right_to_ask_is_unknown(
    monkeypatch: pytest.MonkeyPatch, number: int, found: tuple[int, ...] | None
) -> None:
    monkeypatch.setattr(netlink, "may_have_tcx", lambda: True)
    monkeypatch.setattr(netlink, "_bpf", lambda *_: (-1, number))
    assert tcx_programs(3) == found
    assert tells_of_tcx() is (found is not None)
    assert program_name(97) == ""


@pytest.mark.parametrize(
    ("shown", "numbers"),
    [
        ([attribute(2, b"\0")], ()),
        ([attribute(2, b"\2"), attribute(4, pack("=I", 97)), attribute(6, pack("=I", 97))], (97,)),
        (
            [attribute(2, b"\4"), attribute(5, pack("=I", 98)), attribute(6, pack("=I", 97))],
            (97, 98),
        ),
    ],
)
def test_xdp_programs_are_in_the_dump_of_devices(
    shown: list[bytes], numbers: tuple[int, ...]
) -> None:
    device = decode_device(link(7) + text_attribute(3, "vif1.0") + nested(43, *shown))
    assert device.xdp == numbers


def test_a_shared_block_is_in_the_dump_of_qdiscs() -> None:
    body = traffic_control(7) + text_attribute(1, "ingress")
    assert decode_qdisc(body)[2].block == 0
    assert decode_qdisc(body + attribute(13, pack("=I", 22)))[2].block == 22


def test_a_program_is_named_by_number_and_by_name_where_that_is_known() -> None:
    assert str(Program("tcx", 97)) == "tcx program 97"
    assert str(Program("XDP", 97, "cil_from\x1b")) == "XDP program 97 ('cil_from\\x1b')"
