"""``remusnet metrics`` as a user meets it."""

from __future__ import annotations

import json
import re

import pytest

from remusnet.report.metric_table import METRICS
from tests.lib.program import runner


def run(capsys: pytest.CaptureFixture[str], *args: str) -> tuple[int, str, str]:
    return runner(capsys, "metrics")(*args)


def test_every_metric_is_a_line_with_unit_and_meaning(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = run(capsys)
    assert (code, err) == (0, "")
    for path, metric in METRICS.items():
        unit = metric.unit or "number"
        assert re.search(rf"^{re.escape(path)} +{unit} +{re.escape(metric.meaning)}$", out, re.M)
    assert "Selectors: policy, from, flow, ssrc, group, call, codec, buffer\n" in out


def test_json_has_every_metric_once(capsys: pytest.CaptureFixture[str]) -> None:
    _, out, _ = run(capsys, "--json")
    found = json.loads(out)
    assert {each["metric"]: each for each in found} == {
        path: {
            "metric": path,
            "unit": str(metric.unit),
            "meaning": metric.meaning,
            "selectors": list(metric.keys),
        }
        for path, metric in METRICS.items()
    }


def test_first_words_choose(capsys: pytest.CaptureFixture[str]) -> None:
    def chosen(*words: str) -> list[str]:
        return [each["metric"] for each in json.loads(run(capsys, *words, "--json")[1])]

    assert chosen("rtp.jitter") == ["rtp.jitter.mean", "rtp.jitter.max"]
    assert chosen("mos", "rtp.loss") == ["rtp.loss", "mos", "mos.min"]
    # Whole words: rtp.los begins no metric, though rtp.loss does.
    assert run(capsys, "rtp.los")[0] == 2


def test_an_unknown_word_is_one_line_with_a_suggestion(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = run(capsys, "rtp.jiter")
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert "unknown metric 'rtp.jiter' (did you mean 'rtp.jitter.m" in err
    assert "they begin with rtp, mos, voice, commit, " in err
