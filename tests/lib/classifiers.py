"""Each classifier, and what all of them owe: its filters against the reference, frame by frame."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from random import Random
from typing import NamedTuple, Protocol

from remusnet.classify.bpf.compiler import compile_bpf
from remusnet.classify.filters import Beyond, Classification, Filter
from remusnet.classify.flower.compiler import compile_flower
from remusnet.classify.headers import Headers, dissect
from remusnet.classify.reference import judge
from remusnet.classify.u32.compiler import compile_u32
from remusnet.policy.policy import Match, Policy, Rule
from remusnet.policy.verdict import Verdict
from tests.lib import beyond, bpf_machine, flower_beyond, flower_machine, layers, u32_machine
from tests.lib.common_frames import common_frames
from tests.lib.framegen import Sample, build, generate

HOLD, BYPASS = Verdict.HOLD, Verdict.BYPASS


class Machine(Protocol):
    """The filters of one vif, in Python."""

    def verdict(self, frame: bytes) -> Verdict | None:
        """What becomes of ``frame``; None where the kernel drops it before the filters."""


@dataclass(frozen=True)
class Classifier:
    """``machines``: one a kind of kernel. ``kinds_of``: why it may hold a frame beyond the policy.

    ``samples``: frames of all kinds, and those that only this one has trouble with.
    """

    compile: Callable[[Policy], Classification]
    machines: tuple[Callable[[Iterable[Filter]], Machine], ...]
    kinds_of: Callable[[Classification, bytes], set[Beyond]]
    samples: Callable[[], list[Sample]]


def _cut_in_icmp() -> list[Sample]:
    """The type is there, and not the whole word that u32 compares."""
    whole = [build(Random(seed), "plain", "ipv6", "neighbour") for seed in range(9)]
    return [each._replace(frame=each.frame[: 14 + 40 + 1], damage="cut") for each in whole]


def _every_protocol() -> list[Sample]:
    """Plain packets of every IP protocol, since generated frames have only some of them."""
    rng = Random(2)
    found = []
    for number in range(256):
        for version in (4, 6):
            data = rng.randbytes(24)
            packet = (layers.ipv4 if version == 4 else layers.ipv6)(rng, number, data)
            ethertype = layers.IPV4 if version == 4 else layers.IPV6
            frame = layers.ethernet(rng, ethertype, packet)
            found.append(Sample(frame, "plain", f"ipv{version}", f"protocol-{number}", "whole"))
    return found


def _flower_before_5_16(filters: Iterable[Filter]) -> Machine:
    return flower_machine.Machine(filters, old=True)


CLASSIFIERS = {
    "u32": Classifier(
        compile_u32,
        (u32_machine.Machine,),
        beyond.kinds_of,
        lambda: [*generate(6000, 1), *common_frames(12000, 5), *_cut_in_icmp()],
    ),
    "flower": Classifier(
        compile_flower,
        (flower_machine.Machine, _flower_before_5_16),
        flower_beyond.kinds_of,
        lambda: [*generate(6000, 1), *common_frames(12000, 5), *_every_protocol()],
    ),
    "bpf": Classifier(
        compile_bpf,
        (bpf_machine.Machine,),
        lambda _classification, _frame: set(),  # it is exact, whatever is asked of it
        lambda: list(generate(25_000, 11)),
    ),
}


def policy(*rules: tuple[Verdict, Match], default: Verdict = HOLD) -> Policy:
    """A policy of these rules, named r0, r1 and so on."""
    named = (Rule(f"r{i}", verdict, match) for i, (verdict, match) in enumerate(rules))
    return Policy("test", tuple(named), default)


class Compared(NamedTuple):
    """``only_reasons``: kinds that were the only reason to hold a frame. ``judged``: how many
    frames came to the filters.
    """

    only_reasons: set[Beyond]
    judged: int


def compare(
    classifier: Classifier,
    classification: Classification,
    machine: Machine,
    frames: Iterable[tuple[bytes, Headers]],
) -> Compared:
    """Fails for a frame that leaks, and for one held beyond the policy for no named reason."""
    only_reasons: set[Beyond] = set()
    judged = 0
    for frame, headers in frames:
        expected = judge(classification.policy, headers).verdict
        found = machine.verdict(frame)
        judged += found is not None
        if found is HOLD and expected is BYPASS:
            kinds = classifier.kinds_of(classification, frame)
            assert kinds, frame.hex()
            if len(kinds) == 1:
                only_reasons |= kinds
        else:
            assert found in (expected, None), frame.hex()
    return Compared(only_reasons, judged)


def taken_apart(frames: Iterable[bytes]) -> list[tuple[bytes, Headers]]:
    """Frames beside their headers, so that these are read once for all policies."""
    return [(frame, dissect(frame)) for frame in frames]
