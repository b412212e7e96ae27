"""A result for Python code: check it, or read its metrics by their names."""

from __future__ import annotations

from collections.abc import Iterator

from remusnet.errors import InvalidInput, suggestion
from remusnet.report.assertion_syntax import Assertion, Selector, parse
from remusnet.report.assertions import Checked, evaluate
from remusnet.report.measures import Measurements, Metric, folded, readings
from remusnet.report.metric_table import METRICS
from remusnet.results.comparison import Comparison


class Result:
    """The result of a simulation. Metrics are attributes: ``max(result.rtp.jitter.mean)``; see
    `Values`.
    """

    def __init__(self, comparison: Comparison) -> None:
        self._measurements = Measurements(comparison)
        self._checked: list[Checked] = []

    @property
    def comparison(self) -> Comparison:
        """All that was measured, as remusnet itself has it."""
        return self._measurements.comparison

    @property
    def measurements(self) -> Measurements:
        """The same, for a report."""
        return self._measurements

    @property
    def checked(self) -> tuple[Checked, ...]:
        """All assertions that were checked so far, with what was seen."""
        return tuple(self._checked)

    def check(self, *assertions: str) -> None:
        """Raise AssertionError, with what was seen, where one of ``assertions`` doesn't hold.

        They are those of ``simulate --assert``. Raises InvalidInput for a mistake in one.
        """
        __tracebackhide__ = True  # pytest shows the line of the test, not this one
        try:
            parsed = [_parsed(text) for text in assertions]
        except InvalidInput as error:
            raise error.with_traceback(None) from None
        checked = evaluate(parsed, self._measurements)
        self._checked += checked
        failed = [f"{each.assertion.text}: {each.seen}" for each in checked if not each.passed]
        if failed:
            raise AssertionError("\n".join(failed))

    def __getattr__(self, word: str) -> Values:
        __tracebackhide__ = True
        return _extended(self._measurements, (), word)


class Values:
    """The values of a metric, one for each run and stream: iterate over them, or call to select.

    ``list(result.mos)``, ``result.rtp.jitter.mean(policy="tcp-only", from_="guest")``. They are in
    the metric's unit: ms, percent, or a number.
    """

    def __init__(self, measurements: Measurements, words: tuple[str, ...]) -> None:
        self._measurements = measurements
        self._words = words

    def __getattr__(self, word: str) -> Values:
        __tracebackhide__ = True
        return _extended(self._measurements, self._words, word)

    def __call__(self, **selectors: object) -> list[float]:
        """The values whose labels are these; ``*`` stands for anything, ``from_`` for ``from``.

        Raises TypeError for a selector that the metric doesn't have, and where the words are only
        the beginning of a metric.
        """
        __tracebackhide__ = True
        metric = _metric(".".join(self._words))
        chosen = [Selector(key.rstrip("_"), str(value)) for key, value in selectors.items()]
        for selector in chosen:
            if selector.key not in metric.keys:
                raise TypeError(
                    f"{metric.path} has no selector {selector.key!r}"
                    f"{suggestion(selector.key, metric.keys)}; it has {', '.join(metric.keys)}"
                )
        found = readings(metric, self._measurements)
        kept = [each for each in found if all(selector.matches(each) for selector in chosen)]
        return [reading.value for reading in folded(metric, kept)]

    def __iter__(self) -> Iterator[float]:
        __tracebackhide__ = True
        return iter(self())

    def __repr__(self) -> str:
        return f"<metric {'.'.join(self._words)}>"


def _extended(measurements: Measurements, words: tuple[str, ...], word: str) -> Values:
    __tracebackhide__ = True
    path = ".".join((*words, word))
    if not any(known == path or known.startswith(f"{path}.") for known in METRICS):
        raise AttributeError(f"no metric {path!r}{suggestion(path, METRICS)}")
    return Values(measurements, (*words, word))


def _parsed(text: object) -> Assertion[Metric]:
    if not isinstance(text, str):
        raise InvalidInput(f"expected an assertion as text, not {text!r}")
    return parse(text)


def _metric(path: str) -> Metric:
    __tracebackhide__ = True
    if path not in METRICS:
        known = ", ".join(each for each in METRICS if each.startswith(f"{path}."))
        raise TypeError(f"{path} is no metric; expected one of {known}")
    return METRICS[path]
