from __future__ import annotations

import json
import subprocess
import sys

import pytest

from remusnet.cli.main import main


def run(capsys: pytest.CaptureFixture[str], *args: str) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as ended:
        main(["availability", *args])
    out, err = capsys.readouterr()
    code = ended.value.code
    assert isinstance(code, int)
    return code, out, err


@pytest.mark.slow
def test_compare_gives_every_design_and_service_to_scripts(
    capsys: pytest.CaptureFixture[str],
) -> None:
    code, out, _ = run(capsys, "compare", "--json", "--set", "host.mttr=4h")
    designs = json.loads(out)["designs"]
    assert code == 0
    assert len(designs) == 15
    for each in designs:
        assert list(each) == [
            "design",
            "service",
            "availability",
            "low",
            "high",
            "downtime_s_a_year",
            "method",
        ]
        assert each["low"] == each["availability"] == each["high"]
        assert each["method"] == "exact"
    found = {(each["design"], each["service"]): each["availability"] for each in designs}
    assert len(found) == 15
    for service in ("registration", "new-calls", "established-calls"):
        assert found["actors-on-remus", service] > found["remus", service]
        assert found["remus", service] > found["standard", service]


def test_thesis_shows_printed_and_computed(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = run(capsys, "thesis", "--json", "--restart-time", "100ms")
    found = json.loads(out)
    assert code == 0
    assert found["restart_time_s"] == 0.1
    assert [row["mean_h"] for row in found["rows"]] == [2208, 1104, 552]
    assert list(found["rows"][0]["hypotheses"]) == ["A", "B", "C", "D"]
    assert found["rows"][0]["standard"]["printed"] == 0.9872581
    code, out, _ = run(capsys, "thesis")
    assert code == 0
    assert "552 h  0.9997122  0.999999497" in out
    assert "0.9998755" in out
    # Its tables, not only its prose, fit on a narrow terminal: they are not wrapped there.
    assert max(len(line) for line in out.splitlines() if line[:4].strip()[:1].isdigit()) <= 60


@pytest.mark.parametrize(
    ("args", "problem"),
    [
        (("compare", "--set", "host.mtrr=4h"), "did you mean 'host.mttr'?"),
        (("compare", "--service", "calls"), "unknown service 'calls'"),
        (("thesis", "--restart-time", "soon"), "--restart-time: invalid time: 'soon'"),
    ],
)
def test_a_mistake_ends_in_one_line(
    capsys: pytest.CaptureFixture[str], args: tuple[str, ...], problem: str
) -> None:
    code, out, err = run(capsys, *args)
    assert (code, out) == (2, "")
    assert problem in err
    assert err.count("\n") == 1


def test_parameters_are_listed_with_their_sources(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = run(capsys, "compare", "--parameters", "--set", "host.mttr=4h")
    assert code == 0
    assert "host.mttr                 4h  its mean time to repair (Nguyen, Kim, Park" in out


def test_without_scipy_one_line_says_what_to_install() -> None:
    program = (
        "import sys; sys.modules['scipy.sparse'] = None\n"
        "from remusnet.cli.main import main; main(['availability', 'compare'])"
    )
    seen = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=120, check=False
    )
    assert seen.returncode == 3
    assert "pip install 'remusnet[availability]'" in seen.stderr
    assert seen.stderr.count("\n") == 1
