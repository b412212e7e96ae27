"""remusnet trace: its verdicts and counts agree with the filters' counters frame by frame.

A release wakes ksoftirqd, which sends what was held when it comes to run: a trace that ended at
once would not see it leave, so each test waits until the plug is empty.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from random import Random

import pexpect
import pytest

from remusnet import capture
from remusnet.kernel.state.status import status
from remusnet.kernel.trace.run import trace
from remusnet.kernel.trace.tracer import SLACK_NS
from remusnet.kernel.wire.messages import PlugAction
from remusnet.plan.plan import LARGEST_FRAME
from remusnet.results.tracing import Fate, Trace, TracedFrame
from tests.kernel.lab.bed import VIF, Bed
from tests.kernel.lab.packets import stamp_of, stamped
from tests.kernel.lab.protection import ARP_FRAME, BUFFER, TCP_FRAME, Site
from tests.kernel.lab.sorting import too_short
from tests.kernel.lab.wait import wait_until
from tests.lib.common_frames import common_frames
from tests.lib.framegen import generate
from tests.lib.long import count

pytestmark = pytest.mark.uml(timeout=count(sample=240, long=900))

ENDS_S = 60
"""No test waits for so long; what hangs ends then."""


class Traced:
    """A trace of the vif of a site, in this process, whose steps the test takes itself."""

    def __init__(self, site: Site, listed: int = 1 << 30) -> None:
        self.frames: list[TracedFrame] = []
        self._site = site
        self._listed = listed

    def run(self, steps: Iterator[None]) -> Trace:
        """The trace, with one of ``steps`` before each look."""
        ended = False

        def is_over() -> bool:
            nonlocal ended
            ended = ended or next(steps, self) is self
            return ended

        with self._site.bed.dom0.entered():
            return trace(
                VIF,
                run_dir=self._site.run_dir,
                listed=self._listed,
                tell=self.frames.append,
                is_over=is_over,
                longest_s=count(sample=ENDS_S, long=10 * ENDS_S),
            )


def counted_by_filters(bed: Bed) -> tuple[int, int]:
    """Frames that the filters of the vif have sent to the buffer device, and to the sink."""
    filters = json.loads(bed.dom0.tc(f"-s -j filter show dev {VIF} ingress"))
    found: Counter[str] = Counter()
    for each in filters:
        for action in each.get("options", {}).get("actions", []):
            found[action["to_dev"]] += action["stats"]["packets"]
    return found[BUFFER], sum(found.values()) - found[BUFFER]


@pytest.mark.parametrize(
    ("policy", "classifier"),
    [("tcp-only", "u32"), ("real-time", "u32"), ("real-time", "bpf"), ("real-time", "flower")],
)
def test_verdicts_agree_with_the_filters_counters_frame_by_frame(
    site: Site, policy: str, classifier: str
) -> None:
    """The plug stays closed: what the filters count is what the trace says is held."""
    number = count(sample=200, long=10_000)
    samples = [*generate(number, 16, shortest=14), *common_frames(number, 16, shortest=14)]
    frames = [each.frame for each in samples if not too_short(each.frame)]
    site.apply(site.plan(policy, classifier))
    site.plug(PlugAction.BUFFER)
    traced = Traced(site)
    by_filters: list[int] = []

    def steps() -> Iterator[None]:
        before, _ = counted_by_filters(site.bed)
        for index, frame in enumerate(frames):
            guest.send([stamped(frame, index)])
            if index % per_look == per_look - 1:
                site.bed.wait_for_judged(VIF, index + 1)
                after, _ = counted_by_filters(site.bed)
                by_filters.append(after - before)
                before = after
                yield
        site.plug(PlugAction.RELEASE_INDEFINITE)
        site.bed.wait_for_held(BUFFER, 0)
        yield

    # A look at the counters takes 50 ms: most frames share one with some others.
    per_look = 20
    with site.bed.from_guest() as guest:
        found = traced.run(steps())
    told = {stamp_of(each.data): each for each in traced.frames}
    assert (len(told), found.frames, found.unseen) == (len(frames), len(frames), 0)
    held = [index for index in range(len(frames)) if told[index].fate is Fate.RELEASED]
    assert found.count(Fate.RELEASED) == len(held) + found.beyond
    assert found.count(Fate.RELEASED) + found.count(Fate.BYPASSED) == len(frames)
    assert found.before == 0
    per_batch = Counter(index // per_look for index in held)
    if site.plan(policy, classifier).classification.exact:
        assert found.beyond == 0
        assert [per_batch[batch] for batch in range(len(by_filters))] == by_filters
    assert counted_by_filters(site.bed)[0] == len(held) + found.beyond
    site.remove()


def test_a_frame_by_itself_moves_the_counter_that_its_line_names(site: Site) -> None:
    site.apply(site.plan("real-time"))
    site.plug(PlugAction.BUFFER)
    traced = Traced(site)
    moved: list[bool] = []
    samples = common_frames(count(sample=40, long=1000), 3, shortest=14)
    frames = [each.frame for each in samples if not too_short(each.frame)]

    def steps() -> Iterator[None]:
        before, _ = counted_by_filters(site.bed)
        for index, frame in enumerate(frames):
            guest.send([stamped(frame, index)])
            site.bed.wait_for_judged(VIF, index + 1)
            after, _ = counted_by_filters(site.bed)
            moved.append(after > before)
            before = after
            yield
        site.plug(PlugAction.RELEASE_INDEFINITE)
        site.bed.wait_for_held(BUFFER, 0)
        yield

    with site.bed.from_guest() as guest:
        traced.run(steps())
    told = {stamp_of(each.data): each for each in traced.frames}
    wrong = [i for i in range(len(frames)) if (told[i].fate is Fate.RELEASED) is not moved[i]]
    beyond = [i for i in wrong if moved[i] and told[i].fate is Fate.BYPASSED]
    assert wrong == beyond, "held by the policy, and no filter took it"
    assert set(moved) == {True, False}
    site.remove()


def test_epochs_overflows_and_a_purge_are_told_frame_by_frame(site: Site) -> None:
    """A full plug drops the newest, a device that goes down drops all that it holds."""
    site.apply(site.plan(limit=LARGEST_FRAME))
    site.plug(PlugAction.BUFFER)
    # Long ones: few fill the plug, and a slow kernel has judged them all before the trace ends.
    long = TCP_FRAME + bytes(1400)
    fitting = LARGEST_FRAME // len(long)
    seed = Random().randrange(1 << 32)
    print("seed", seed)
    random = Random(seed)
    traced = Traced(site)
    truth: dict[int, Fate] = {}
    waiting: list[int] = []
    purged = False

    def send(frames: int) -> None:
        batch = range(len(truth), len(truth) + frames)
        guest.send([stamped(long, each) for each in batch])
        truth.update(dict.fromkeys(batch, Fate.DROPPED))
        waiting.extend(batch[: fitting - len(waiting)])
        wait_until(arrived, f"{len(truth)} frames held or dropped")

    def arrived() -> bool:
        """What is on its way when a release comes would find room."""
        state = site.bed.qdisc(BUFFER)
        gone = sum(each is Fate.DROPPED for each in truth.values()) - len(waiting)
        return state.qlen == len(waiting) and (purged or state.drops == gone)

    def release(action: PlugAction = PlugAction.RELEASE_ONE) -> None:
        site.plug(PlugAction.BUFFER)
        site.plug(action)
        truth.update(dict.fromkeys(waiting, Fate.RELEASED))
        waiting.clear()

    def steps() -> Iterator[None]:
        nonlocal purged
        for _ in range(count(sample=30, long=300)):
            if random.random() < 0.3:
                release()
            else:
                send(random.choice((random.randrange(1, 60), fitting + 20)))
            yield
        release()
        send(5)
        site.bed.dom0.ip(f"link set {BUFFER} down")
        waiting.clear()
        purged = True
        site.bed.dom0.ip(f"link set {BUFFER} up")
        time.sleep(2 * SLACK_NS / 1e9)
        send(5)
        release(PlugAction.RELEASE_INDEFINITE)
        site.bed.wait_for_held(BUFFER, 0)
        yield

    with site.bed.from_guest() as guest:
        found = traced.run(steps())
    told = {stamp_of(each.data): each.fate for each in traced.frames}
    assert (len(told), found.unseen, found.problem) == (len(truth), 0, "")
    # Only what differs: the difference of thousands of lines takes minutes, and much memory.
    assert {
        each: (told.get(each), fate) for each, fate in truth.items() if told.get(each) != fate
    } == {}
    for fate in (Fate.DROPPED, Fate.RELEASED):
        assert found.count(fate) == Counter(truth.values())[fate]
    site.remove()


def test_counts_are_those_of_status_and_times_are_those_of_the_driver(site: Site) -> None:
    site.apply(site.plan())
    traced = Traced(site)

    def steps() -> Iterator[None]:
        for index in range(200):
            guest.send([stamped(TCP_FRAME, 2 * index), stamped(ARP_FRAME, 2 * index + 1)])
            if index % 20 == 19:
                site.plug(PlugAction.BUFFER)
                site.plug(PlugAction.RELEASE_ONE)
                site.bed.wait_for_held(BUFFER, 0)
            yield

    with site.bed.from_guest() as guest:
        found = traced.run(steps())
    with site.bed.dom0.entered():
        (shown,) = status(run_dir=site.run_dir)[0]
    assert (found.count(Fate.RELEASED), found.count(Fate.BYPASSED)) == (200, 200)
    assert (shown.held, shown.bypassed, shown.waiting) == (200, 200, 0)
    assert found.held_ns is not None
    assert 0 < found.held_ns[0] <= found.held_ns[1] <= found.held_ns[2] < ENDS_S * 10**9
    site.remove()


def words_of(site: Site, *words: str) -> list[str]:
    inside = ["ip", "netns", "exec", site.bed.dom0.name, sys.executable, "-m", "remusnet"]
    return [*inside, "trace", *words, "--run-dir", str(site.run_dir)]


def wait_until_traced(site: Site) -> None:
    def listens() -> bool:
        return len(site.bed.dom0.run("cat", "/proc/net/packet").splitlines()) == 1 + 2

    wait_until(listens, "a trace that listens at both devices", ENDS_S)


def test_ctrl_c_ends_with_the_sums_at_60_columns_and_a_file_with_comments(
    site: Site, tmp_path: Path
) -> None:
    site.apply(site.plan())
    site.plug(PlugAction.BUFFER)
    path = tmp_path / "trace.pcapng"
    words = words_of(site, VIF, "--frames", "3", "--write", str(path))
    with ExitStack() as stack:
        guest = stack.enter_context(site.bed.from_guest())
        shown = pexpect.spawn(
            words[0],
            words[1:],
            dimensions=(24, 60),
            encoding="utf-8",
            timeout=ENDS_S,
            env={**os.environ, "COLUMNS": "60", "TERM": "dumb"},
        )
        stack.callback(shown.close, force=True)
        shown.expect("Ctrl-C ends it")
        guest.send([stamped(TCP_FRAME, 1), stamped(ARP_FRAME, 2), stamped(TCP_FRAME, 3)])
        guest.send([stamped(ARP_FRAME, 4)] * 5)
        shown.expect("bypassed")
        site.plug(PlugAction.RELEASE_INDEFINITE)
        shown.expect("3  hold  tcp  released after")
        shown.sendintr()
        shown.expect(pexpect.EOF)
        shown.wait()
        text = str(shown.before)
    assert shown.exitstatus == 0
    assert "vif1.0: 8 frames in " in text
    assert "the first 3 frames were listed" in text
    sums = text[text.index("vif1.0: 8") : text.index("remusnet: warning")].splitlines()
    assert max(map(len, sums)) <= 60
    assert "released 2," in " ".join(sums)
    found = capture.read(path)
    assert [stamp_of(found.frames.frame(each)) for each in range(len(found.frames))] == [1, 2, 3]
    comments = path.read_bytes()
    assert comments.count(b"hold by tcp (matches); released after ") == 2
    assert comments.count(b"bypass by default (no rule matches); bypassed") == 1
    site.remove()


def test_a_vif_that_goes_or_is_changed_ends_it_with_the_sums_and_6(site: Site) -> None:
    site.apply(site.plan())
    running = subprocess.Popen(
        words_of(site, VIF, "--json"), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    try:
        wait_until_traced(site)
        with site.bed.from_guest() as guest:
            guest.send([ARP_FRAME])
        assert running.stdout is not None
        assert json.loads(running.stdout.readline())["fate"] == "bypassed"
        site.apply(site.plan("hold-all"))
        out, err = running.communicate(timeout=ENDS_S)
    finally:
        running.kill()
    assert running.returncode == 6
    assert err == (
        "remusnet: error: the trace ended early: vif1.0 was applied anew or removed meanwhile\n"
    )
    assert json.loads(out.splitlines()[-1])["summary"]["frames"] > 0
    site.remove()


def test_what_cant_be_traced_ends_in_one_line(site: Site, tmp_path: Path) -> None:
    code, out, err = site.program("trace", VIF, "--for", "1s")
    assert (code, out) == (2, "")
    assert err == (
        "remusnet: error: 'vif1.0' is not protected: there is no policy to trace it by\n"
    )
    site.apply(site.plan())
    code, _, err = site.program("trace", VIF, "--for", "1s", "--write", str(tmp_path / "no" / "f"))
    assert code == 2
    assert err.startswith("remusnet: error: no such folder: ")
    started = subprocess.Popen(
        words_of(site, VIF, "--for", "60s"), stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    try:
        wait_until_traced(site)
        os.kill(started.pid, signal.SIGTERM)
        started.communicate(timeout=ENDS_S)
    finally:
        started.kill()
    assert started.returncode == 128 + signal.SIGTERM
    site.remove()
