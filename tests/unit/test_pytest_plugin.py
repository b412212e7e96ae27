from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from remusnet import capture
from remusnet.errors import InvalidInput
from remusnet.pytest_plugin import Simulate
from remusnet.report.result import Result
from tests.unit.emulator.traffic import call
from tests.unit.report.outcomes import replayed_call


@pytest.fixture
def result() -> Result:
    return Result(replayed_call("tcp-only", "hold-all"))


def test_a_check_that_holds_says_nothing(result: Result) -> None:
    result.check("commit.violations == 0", "rtp[policy=tcp-only].jitter.mean < 6ms")


def test_a_check_that_fails_says_what_was_seen(result: Result) -> None:
    with pytest.raises(AssertionError) as caught:
        result.check("commit.violations == 0", "rtp.jitter.mean < 6ms", "commit.held == 0")
    lines = str(caught.value).splitlines()
    assert len(lines) == 2
    assert lines[0].startswith("rtp.jitter.mean < 6ms: ")
    assert "is the worst of 4, 1 failed (policy hold-all" in lines[0]
    assert lines[1].startswith("commit.held == 0: 510 is the worst of 2, 2 failed")


def test_a_mistake_in_a_check_is_no_failed_check(result: Result) -> None:
    with pytest.raises(InvalidInput, match="unknown metric"):
        result.check("rtp.jiter.mean < 6ms")


def test_metrics_are_attributes(result: Result) -> None:
    assert max(result.rtp.jitter.mean) > 30
    assert list(result.commit.violations) == [0, 0]
    assert len(list(result.mos)) == len(result.mos.min()) == 8


def test_a_call_selects(result: Result) -> None:
    assert result.commit.held(policy="hold-all") == [510]
    assert len(result.rtp.jitter.mean(policy="tcp-only", from_="guest")) == 1
    assert result.rtp.lost(flow="udp 10.0.0.1*") == [0, 0]


def test_an_unknown_metric_is_no_attribute(result: Result) -> None:
    with pytest.raises(AttributeError, match=r"no metric 'rtp.jiter'"):
        _ = result.rtp.jiter
    assert not hasattr(result, "__wrapped__")


def test_half_a_metric_has_no_values(result: Result) -> None:
    with pytest.raises(TypeError, match=r"expected one of rtp.jitter.mean, rtp.jitter.max"):
        list(result.rtp.jitter)


def test_an_unknown_selector_is_refused(result: Result) -> None:
    with pytest.raises(TypeError, match=r"no selector 'polcy' \(did you mean 'policy'\?\)"):
        result.rtp.lost(polcy="tcp-only")


def test_paths_begin_in_the_folder_of_the_test(tmp_path: Path) -> None:
    capture.write(tmp_path / "call.pcap", call(100))
    (tmp_path / "mine.toml").write_text('name = "mine"\ndefault = "bypass"\n')
    result = Simulate(tmp_path)(capture="call.pcap", policies=["./mine.toml", "hold-all"])
    assert [each.policy for each in result.comparison.outcomes] == ["mine", "hold-all"]


def test_arguments_are_those_of_the_command(tmp_path: Path) -> None:
    capture.write(tmp_path / "call.pcap", call(100))
    result = Simulate(tmp_path)(
        capture="call.pcap",
        interval="400ms",
        pause="0",
        commit_delay="2ms",
        schedule="xend",
        guest="10.0.0.2",
        limit="1KiB",
    )
    setting = result.comparison.setting
    assert (setting.period_ns, setting.guest, setting.limit) == (400_000_000, "10.0.0.2", 1024)


def test_a_shipped_scenario_is_known_by_its_name(tmp_path: Path) -> None:
    result = Simulate(tmp_path)("fig10", duration="3s", seed=7)
    setting = result.comparison.setting.scenario
    assert setting is not None
    assert (setting.name, setting.seed, setting.duration_ns) == ("fig10", 7, 3_000_000_000)


def test_a_scenario_file_lies_beside_the_test(tmp_path: Path) -> None:
    simulate = Simulate(tmp_path)
    with pytest.raises(InvalidInput, match="calls.toml"):
        simulate("calls.toml")


@pytest.mark.parametrize("both", [{}, {"scenario": "fig10", "capture": "call.pcap"}])
def test_a_scenario_or_a_capture_is_needed(both: dict[str, str], tmp_path: Path) -> None:
    with pytest.raises(TypeError, match="expected a scenario or capture="):
        Simulate(tmp_path)(**both)  # type: ignore[arg-type]  # of all arguments, these are strings


def test_a_suite_that_uses_it_is_told_what_was_seen(pytester: pytest.Pytester) -> None:
    capture.write(pytester.path / "call.pcap", call(250))
    pytester.makepyfile("""
        def test_calls_survive(remusnet_simulate):
            result = remusnet_simulate(capture="call.pcap", interval="400ms", policies=["tcp-only"])
            result.check("rtp.jitter.mean < 6ms", "commit.violations == 0")
            assert min(result.mos) >= 4

        def test_calls_survive_strict_output_commit(remusnet_simulate):
            result = remusnet_simulate(capture="call.pcap", interval="400ms", policies=["hold-all"])
            result.check("rtp.jitter.mean < 6ms")
    """)
    done = pytester.runpytest_inprocess("-p", "no:cacheprovider")
    done.assert_outcomes(passed=1, failed=1)
    done.stdout.fnmatch_lines(
        [
            '>*result.check("rtp.jitter.mean < 6ms")',
            "E*AssertionError: rtp.jitter.mean < 6ms: * ms is the worst of 2, 1 failed (policy *",
        ]
    )


def test_the_fixture_is_there_without_asking(pytester: pytest.Pytester) -> None:
    done = pytester.runpytest_inprocess("--fixtures", "-p", "no:cacheprovider")
    done.stdout.fnmatch_lines(["remusnet_simulate*"])


def test_loading_the_plugin_loads_nothing_else() -> None:
    """It is loaded in every test session of an environment that has remusnet."""
    code = (
        "import sys, pytest, remusnet.pytest_plugin as plugin\n"
        "heavy = {'numpy', 'scapy', 'matplotlib', 'click', 'jinja2', 'rich', 'pyroute2'}\n"
        "print(sorted(heavy & set(sys.modules)), hasattr(plugin, 'remusnet_simulate'))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[] True\n"
