"""Metrics: names, values, and what Prometheus's own tools say of them."""

from __future__ import annotations

import subprocess

import pytest
from prometheus_client import generate_latest
from prometheus_client.parser import text_string_to_metric_families

from remusnet.errors import KernelRefused
from remusnet.report.prometheus import COUNTERS, GAUGES, registry, text
from remusnet.results.monitoring import Reading
from remusnet.results.watching import Happening, Occasion, WatchCounts
from tests.lib.readings import INGRESS_GONE, UNPROTECTED, reading

WATCH_NAMES = ("repairs", "protected", "open_seconds", "alarms", "lost_events")
Labels = tuple[tuple[str, str], ...]
HERE = (("buffer", "ifb-1.0"), ("vif", "vif1.0"))


def samples(content: bytes) -> dict[tuple[str, Labels], float]:
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(content.decode())
        for sample in family.samples
    }


def test_every_value_of_a_reading_is_a_sample() -> None:
    found = samples(text(lambda: [reading(INGRESS_GONE, overflowed=5)]))
    expected = {
        "remusnet_open": 1,
        "remusnet_differences": 1,
        "remusnet_backlog_bytes": 3000,
        "remusnet_backlog_packets": 2,
        "remusnet_limit_bytes": 1_000_000,
        "remusnet_driven": 1,
        "remusnet_held_packets_total": 12,
        "remusnet_released_packets_total": 10,
        "remusnet_bypassed_packets_total": 30,
        "remusnet_overflowed_packets_total": 5,
        "remusnet_refused_packets_total": 0,
        "remusnet_uncopied_packets_total": 0,
    }
    assert {name: found[name, HERE] for name in expected} == expected
    assert len(expected) == len(GAUGES) + len(COUNTERS)
    assert found["remusnet_up", ()] == 1
    assert found["remusnet_protections", ()] == 1
    assert found["remusnet_plug", (*HERE[:1], ("remusnet_plug", "buffering"), *HERE[1:])] == 1


def test_what_can_not_be_told_is_no_sample() -> None:
    found = samples(text(lambda: [reading(bypassed=None), UNPROTECTED]))
    assert ("remusnet_bypassed_packets_total", HERE) not in found
    nowhere = (("buffer", ""), ("vif", "vif9.0"))
    assert found["remusnet_open", nowhere] == 1
    assert ("remusnet_backlog_bytes", nowhere) not in found
    assert ("remusnet_limit_bytes", nowhere) not in found


def test_what_a_watcher_has_done_is_counted_without_labels() -> None:
    counts = WatchCounts()
    counts.note(Happening(Occasion.REPAIRED, "", "ifb-1.0", ("vif1.0",), 20_000_000, 0))
    counts.note(Happening(Occasion.REPAIRED, "", "ifb-1.0", ("vif1.0",), 30_000_000, 30_000_000))
    counts.note(Happening(Occasion.PROTECTED, "", "ifb-1.0", ("vif1.0",), None, None))
    found = samples(generate_latest(registry(list, counts)))
    assert {name: found[f"remusnet_watch_{name}_total", ()] for name in WATCH_NAMES} == {
        "repairs": 2,
        "protected": 1,
        "open_seconds": 0.03,
        "alarms": 0,
        "lost_events": 0,
    }


def test_a_kernel_that_can_not_be_read_is_down_and_no_old_number() -> None:
    def refuse() -> list[Reading]:
        raise KernelRefused("no")

    names = {family.name for family in registry(refuse).collect()}
    assert names == {"remusnet_up", "remusnet_build_info"}
    (up,) = (each for each in registry(refuse).collect() if each.name == "remusnet_up")
    assert [each.value for each in up.samples] == [0]
    with pytest.raises(KernelRefused):
        text(refuse)


@pytest.mark.slow
@pytest.mark.needs("promtool")
def test_promtool_has_nothing_to_say_of_them() -> None:
    done = subprocess.run(
        ["promtool", "check", "metrics"],
        input=text(lambda: [reading(INGRESS_GONE), UNPROTECTED]),
        capture_output=True,
        check=False,
        timeout=60,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")
