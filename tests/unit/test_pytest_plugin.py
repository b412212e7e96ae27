from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from remusnet import capture
from remusnet.errors import InvalidInput
from remusnet.pytest_plugin import Simulate, _folder_name
from remusnet.report.result import Result
from tests.unit.emulator.recorded import call
from tests.unit.report.outcomes import replayed_call

SCENARIO: dict[str, object] = {"capture": None, "scenario": "fig8"}


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


WRONG: dict[str, tuple[dict[str, object], str]] = {
    "interval": ({"interval": 345}, "interval: expected text, for example '50ms', not 345"),
    "interval's unit": ({"interval": "345"}, "invalid time: '345'"),
    "period": ({"period": 0.4}, "period: expected text, for example '400ms', not 0.4"),
    "pause": ({"pause": None}, "pause: expected text, for example '50ms', not None"),
    "commit_delay": ({"commit_delay": b"5ms"}, "commit_delay: expected text"),
    "schedule": ({"schedule": "xm"}, "schedule: expected one of xl, xend, not 'xm'"),
    "schedule's type": ({"schedule": 1}, "schedule: expected one of xl, xend, not 1"),
    "guest": ({"guest": 10}, "guest: expected text, for example '00:16:3e:00:00:01', not 10"),
    "rate": ({"rate": 10**9}, "rate: expected text, for example '1gbit', not 1000000000"),
    "limit": ({"limit": 1024}, "limit: expected text, for example '10MB', not 1024"),
    "one policy": ({"policies": "tcp-only"}, "policies: expected a list of names and files"),
    "no policies": ({"policies": 5}, "policies: expected a list of names and files, not 5"),
    "a policy": ({"policies": [5]}, "policies: expected a name or a path, not 5"),
    "capture": ({"capture": 5}, "capture: expected a name or a path, not 5"),
    "scenario": ({"capture": None, "scenario": 5}, "scenario: expected a name or a path, not 5"),
    "calls": ({**SCENARIO, "calls": "3"}, "calls: expected a whole number, 1 to 1000000, not '3'"),
    "no calls": ({**SCENARIO, "calls": 0}, "calls: expected a whole number, 1 to 1000000, not 0"),
    "calls as a switch": ({**SCENARIO, "calls": True}, "calls: expected a whole number"),
    "seed": ({**SCENARIO, "seed": -1}, "seed: expected a whole number, 0 to "),
    "duration": ({**SCENARIO, "duration": 60}, "duration: expected text, for example '60s'"),
}


@pytest.mark.parametrize("case", WRONG)
def test_a_value_of_another_type_is_bad_input(case: str, tmp_path: Path) -> None:
    arguments, said = WRONG[case]
    capture.write(tmp_path / "call.pcap", call(50))
    given: dict[str, Any] = {"capture": "call.pcap", **arguments}
    with pytest.raises(InvalidInput) as caught:
        Simulate(tmp_path)(**given)
    assert said in str(caught.value)
    assert str(caught.value).isprintable()


def test_an_assertion_of_another_type_is_bad_input(result: Result) -> None:
    with pytest.raises(InvalidInput, match="expected an assertion as text, not 5"):
        result.check(5)  # type: ignore[arg-type]  # on purpose


def test_a_capture_may_be_the_first_word_and_a_period_its_rhythm(tmp_path: Path) -> None:
    capture.write(tmp_path / "call.pcap", call(100))
    result = Simulate(tmp_path)("call.pcap", period="400ms", policies=["tcp-only"])
    setting = result.comparison.setting
    assert (setting.period_ns, setting.interval_ns) == (400_000_000, 345_000_000)


def test_a_selector_may_be_a_number(result: Result) -> None:
    assert result.rtp.lost(call=1) == result.rtp.lost(call="1") == []


TYPO = """
    def test_typo(remusnet_simulate):
        result = remusnet_simulate("call.pcap", policies=["tcp-only"])
        {line}
"""


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ('result.check("rtp.jiter.mean < 6ms")', "*InvalidInput: assertion*column 1: unknown me*"),
        ('result.check("mos => 4")', "*InvalidInput: assertion*expected one of*"),
        ("max(result.rtp.jiter.mean)", "*AttributeError: no metric 'rtp.jiter'*"),
        ("list(result.rtp.jitter)", "*TypeError: rtp.jitter is no metric; expected one of*"),
        ('remusnet_simulate("call.pcap", interval=345)', "*InvalidInput: interval: expected te*"),
        ('remusnet_simulate("nocall.pcap")', "*InvalidInput: cannot read *nocall.pcap*"),
    ],
)
def test_a_typo_shows_the_line_of_the_test_and_one_of_ours(
    pytester: pytest.Pytester, line: str, said: str
) -> None:
    capture.write(pytester.path / "call.pcap", call(50))
    pytester.makepyfile(TYPO.format(line=line))
    done = pytester.runpytest_inprocess("-p", "no:cacheprovider")
    done.assert_outcomes(failed=1)
    done.stdout.fnmatch_lines([f">*{line.replace('[', '[[]')}", f"E{said}"])
    done.stdout.no_fnmatch_line("*remusnet/*.py*")
    assert sum(each.startswith("E ") for each in done.outlines) == 1


FAILING = """
    import pytest

    @pytest.mark.parametrize("policy", ["tcp-only", "hold-all"])
    def test_calls(remusnet_simulate, policy):
        result = remusnet_simulate("call.pcap", policies=[policy])
        result.check("commit.violations == 0", "rtp.jitter.mean < 6ms")

    def test_twice(remusnet_simulate):
        remusnet_simulate("call.pcap", policies=["tcp-only"])
        remusnet_simulate("fig8", duration="1s")
        assert False

    @pytest.mark.xfail(strict=True)
    def test_known(remusnet_simulate):
        remusnet_simulate("call.pcap", policies=["tcp-only"])
        assert False

    def test_other():
        assert False
"""


@pytest.mark.slow
def test_a_failed_tests_reports_are_kept_where_the_option_says(pytester: pytest.Pytester) -> None:
    capture.write(pytester.path / "call.pcap", call(250))
    pytester.makepyfile(test_mine=FAILING)
    done = pytester.runpytest_inprocess("-p", "no:cacheprovider", "--remusnet-report", "kept")
    done.assert_outcomes(passed=1, failed=3, xfailed=1)
    names = sorted(path.name for path in (pytester.path / "kept").iterdir())
    assert names == [
        "test_mine.py-test_calls-hold-all",
        "test_mine.py-test_twice",
        "test_mine.py-test_twice-2",
    ]
    first = pytester.path / "kept" / names[0]
    assert "1 of 2 assertions failed" in (first / "index.html").read_text()
    assert len(capture.read(first / "released-hold-all.pcap").frames) == len(call(250))
    # The frames of a scenario too.
    assert list((pytester.path / "kept" / names[2]).glob("released-*.pcap"))
    done.stdout.fnmatch_lines(
        ["*- remusnet's reports -*", f"kept: '{first / 'index.html'}'"], consecutive=True
    )


def test_a_report_that_can_not_be_kept_hides_no_failure(pytester: pytest.Pytester) -> None:
    capture.write(pytester.path / "call.pcap", call(50))
    (pytester.path / "kept").write_text("a file")
    pytester.makepyfile(TYPO.format(line='result.check("commit.held == 77")'))
    done = pytester.runpytest_inprocess("-p", "no:cacheprovider", "--remusnet-report", "kept")
    done.assert_outcomes(failed=1)
    done.stdout.fnmatch_lines(["E*AssertionError: commit.held == 77*", "not kept: *"])


def test_without_the_option_nothing_is_kept(pytester: pytest.Pytester) -> None:
    capture.write(pytester.path / "call.pcap", call(50))
    pytester.makepyfile(TYPO.format(line='result.check("commit.held == 77")'))
    before = set(pytester.path.iterdir())
    pytester.runpytest_inprocess("-p", "no:cacheprovider").assert_outcomes(failed=1)
    assert {each.name for each in set(pytester.path.iterdir()) - before} <= {"__pycache__"}


def test_the_option_without_matplotlib_is_a_usage_error(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    done = pytester.runpytest_inprocess("-p", "no:cacheprovider", "--remusnet-report", "kept")
    assert done.ret == pytest.ExitCode.USAGE_ERROR
    done.stderr.fnmatch_lines(["*--remusnet-report: figures need matplotlib: *pip install *"])


@pytest.mark.parametrize(
    ("node", "number", "name"),
    [
        ("tests/test_calls.py::test_x[a/b c]", 1, "tests-test_calls.py-test_x-a-b-c"),
        ("../../etc/test.py::test_x", 2, "etc-test.py-test_x-2"),
        ("t.py::test_x[\x1b$(rm)]", 1, "t.py-test_x-rm"),
        ("t.py::test_" + "x" * 500, 1, "x" * 200),
    ],
)
def test_a_reports_folder_is_named_for_its_test(node: str, number: int, name: str) -> None:
    assert _folder_name(node, number) == name
