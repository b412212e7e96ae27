"""Readings as Prometheus reads them. Needs prometheus-client (the extra ``monitoring``)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.metrics_core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    Metric,
    StateSetMetricFamily,
)
from prometheus_client.registry import Collector

from remusnet import __version__
from remusnet.errors import RemusnetError
from remusnet.results.monitoring import Reading
from remusnet.results.watching import Occasion, WatchCounts

Read = Callable[[], Sequence[Reading]]

_LABELS = ("buffer", "vif")
_PLUG_STATES = ("open", "buffering", "waiting", "unknown")

_Value = Callable[[Reading], float | None]


def _of_status(attribute: str) -> _Value:
    def value(reading: Reading) -> float | None:
        found = None if reading.status is None else getattr(reading.status, attribute)
        return None if found is None else float(found)

    return value


GAUGES: dict[str, tuple[str, _Value]] = {
    "remusnet_open": (
        "1 where frames that should be held may leave at once.",
        lambda each: each.is_open,
    ),
    "remusnet_differences": (
        "How many things are not as they were applied.",
        lambda each: len(each.differences),
    ),
    "remusnet_backlog_bytes": ("Bytes that wait in the plug.", _of_status("backlog")),
    "remusnet_backlog_packets": ("Packets that wait in the plug.", _of_status("waiting")),
    "remusnet_limit_bytes": ("Bytes that the plug takes.", lambda each: each.limit),
    "remusnet_driven": (
        "1 where a process is known to drive the plug.",
        lambda each: None if each.status is None else bool(each.status.driver),
    ),
}
COUNTERS: dict[str, tuple[str, _Value]] = {
    "remusnet_held_packets": ("Packets that came to the plug.", _of_status("held")),
    "remusnet_released_packets": (
        "Packets that the plug has let go.",
        lambda each: each.released,
    ),
    "remusnet_bypassed_packets": ("Packets that passed by the plug.", _of_status("bypassed")),
    "remusnet_overflowed_packets": (
        "Packets dropped by a full plug.",
        _of_status("overflowed"),
    ),
    "remusnet_refused_packets": (
        "Packets dropped by a buffer device that was down or gone.",
        _of_status("refused"),
    ),
    "remusnet_uncopied_packets": (
        "Packets that are held and could not be copied.",
        _of_status("uncopied"),
    ),
}
"""Without the ``_total`` that their samples end in."""


WATCH_COUNTERS: dict[str, tuple[str, Callable[[WatchCounts], float]]] = {
    "remusnet_watch_repairs": (
        "Protections that remusnet watch has repaired.",
        lambda each: each.happened[Occasion.REPAIRED],
    ),
    "remusnet_watch_protected": (
        "Vifs that it has protected when they appeared.",
        lambda each: each.happened[Occasion.PROTECTED],
    ),
    "remusnet_watch_open_seconds": (
        "How long protections stood open until then.",
        lambda each: each.open_ns / 1e9,
    ),
    "remusnet_watch_alarms": (
        "What it could not repair, or had to repair again and again.",
        lambda each: each.happened[Occasion.ALARM],
    ),
    "remusnet_watch_lost_events": (
        "How often the kernel's events came faster than it could read them.",
        lambda each: each.happened[Occasion.LOST],
    ),
}
"""Without the ``_total`` that their samples end in; of the watcher that serves them."""


class Readings(Collector):
    """Reads anew each time that Prometheus asks; an error is a sample, too."""

    def __init__(self, read: Read, counts: WatchCounts | None = None) -> None:
        self._read = read
        self._counts = counts

    def describe(self) -> Iterable[Metric]:
        """Nothing: else the registry would read once more, to know the names."""
        return ()

    def collect(self) -> Iterable[Metric]:
        """All metrics; without a reading only ``remusnet_up`` 0."""
        readings: Sequence[Reading] = ()
        up = True
        try:
            readings = self._read()
        except (RemusnetError, OSError):
            up = False
        yield GaugeMetricFamily("remusnet_up", "Whether the kernel could be read.", float(up))
        yield _build()
        if self._counts is not None:
            for name, (what, value) in WATCH_COUNTERS.items():
                yield CounterMetricFamily(name, what, float(value(self._counts)))
        if up:
            yield from _families(readings)


def registry(read: Read, counts: WatchCounts | None = None) -> CollectorRegistry:
    """A registry of nothing but these metrics; ``counts``: of the watcher that serves them."""
    found = CollectorRegistry()
    found.register(Readings(read, counts))
    return found


def text(read: Read) -> bytes:
    """The text format, version 0.0.4, as the node exporter's textfile collector wants it.

    Raises what ``read`` raises: a file of yesterday is better told from a missing one.
    """
    readings = read()
    return generate_latest(registry(lambda: readings))


def _build() -> Metric:
    family = GaugeMetricFamily("remusnet_build_info", "The version.", labels=["version"])
    family.add_metric([__version__], 1)
    return family


def _families(readings: Sequence[Reading]) -> Iterator[Metric]:
    yield GaugeMetricFamily("remusnet_protections", "Buffer devices in use.", float(len(readings)))
    for name, (what, value) in GAUGES.items():
        gauge = GaugeMetricFamily(name, what, labels=_LABELS)
        for labels, number in _samples(readings, value):
            gauge.add_metric(labels, number)
        yield gauge
    for name, (what, value) in COUNTERS.items():
        counter = CounterMetricFamily(name, what, labels=_LABELS)
        for labels, number in _samples(readings, value):
            counter.add_metric(labels, number)
        yield counter
    yield _plugs(readings)


def _samples(readings: Sequence[Reading], value: _Value) -> Iterator[tuple[Sequence[str], float]]:
    for each in readings:
        number = value(each)
        if number is not None:
            yield _labels(each), float(number)


def _plugs(readings: Sequence[Reading]) -> Metric:
    family = StateSetMetricFamily(
        "remusnet_plug", "What its last driver has made of the plug.", labels=_LABELS
    )
    for each in readings:
        if each.status is not None:
            states = {state: state == each.status.plug for state in _PLUG_STATES}
            family.add_metric(_labels(each), states)
    return family


def _labels(reading: Reading) -> list[str]:
    return [reading.protected.buffer, ",".join(reading.protected.vifs)]
