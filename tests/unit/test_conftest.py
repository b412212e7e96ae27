from __future__ import annotations

import re
from pathlib import Path

import pytest

CONFTEST = Path(__file__).parents[1] / "conftest.py"

# Each of them starts a pytest.
pytestmark = pytest.mark.slow

SKIPPING = {
    "test_function": 'import pytest\ndef test_it(): pytest.skip("here")',
    "test_module": 'import pytest\npytest.skip("all of it", allow_module_level=True)',
    "test_program": 'import pytest\n@pytest.mark.needs("no-such-program")\ndef test_it(): pass',
}


@pytest.fixture
def session(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> pytest.Pytester:
    """A test session of its own, with this one's conftest and one test that passes."""
    monkeypatch.delenv("CI", raising=False)
    pytester.makeconftest(CONFTEST.read_text())
    pytester.makeini(
        f"[pytest]\npythonpath = {CONFTEST.parents[1]}\nmarkers = needs\n    tshark\n    kernel"
    )
    pytester.makepyfile(test_passing="def test_it(): pass")
    return pytester


@pytest.mark.parametrize("workers", ["0", "2"])
def test_with_ci_skipped_tests_fail_the_session_and_are_named(
    session: pytest.Pytester, monkeypatch: pytest.MonkeyPatch, workers: str
) -> None:
    monkeypatch.setenv("CI", "true")
    session.makepyfile(**SKIPPING)
    done = session.runpytest_subprocess("--numprocesses", workers)
    assert done.ret == pytest.ExitCode.TESTS_FAILED
    named = done.stdout.str().partition("skipped, which CI=true forbids")[2]
    assert all(f"{name}.py" in named for name in SKIPPING)
    assert "not installed: no-such-program" in named


@pytest.mark.parametrize("what", SKIPPING)
def test_with_ci_each_kind_of_skipping_is_enough(
    session: pytest.Pytester, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    monkeypatch.setenv("CI", "true")
    session.makepyfile(**{what: SKIPPING[what]})
    assert session.runpytest_subprocess().ret == pytest.ExitCode.TESTS_FAILED


def test_with_ci_nothing_skipped_is_no_failure(
    session: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CI", "true")
    assert session.runpytest_subprocess().ret == pytest.ExitCode.OK


def test_without_ci_skipped_tests_fail_nothing(session: pytest.Pytester) -> None:
    session.makepyfile(**SKIPPING)
    assert session.runpytest_subprocess().ret == pytest.ExitCode.OK


def test_the_header_names_the_seed_and_workers_have_the_same(session: pytest.Pytester) -> None:
    session.makepyfile(
        test_seed="from tests.lib.long import seed\n"
        "def test_one(): print('seed is', seed())\ndef test_two(): print('seed is', seed())"
    )
    shown = session.runpytest_subprocess("--numprocesses", "2", "-rP").stdout.str()
    (told,) = re.findall(r"REMUSNET_SEED=(\d+) repeats it", shown)
    assert re.findall(r"seed is (\d+)", shown) == [told] * 2


def test_tests_of_one_group_run_in_one_worker(session: pytest.Pytester) -> None:
    """They share what takes minutes to build; xdist says nothing where it can't group them."""
    session.makepyfile(
        test_group="import os, pytest, time\n"
        "@pytest.mark.xdist_group('one')\n@pytest.mark.parametrize('number', range(6))\n"
        "def test_in(number):\n    time.sleep(0.05)\n"
        "    print('ran in', os.environ['PYTEST_XDIST_WORKER'])"
    )
    options = ("--numprocesses", "2", "--dist", "loadgroup", "-rP")
    shown = session.runpytest_subprocess(*options).stdout.str()
    ran_in = re.findall(r"ran in (\w+)", shown)
    assert len(ran_in) == 6
    assert len(set(ran_in)) == 1


def test_a_seed_given_is_the_one_that_is_used(
    session: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On CI by hypothesis as well: it draws the same values twice."""
    monkeypatch.setenv("CI", "true")
    monkeypatch.setenv("REMUSNET_SEED", "77")
    session.makepyfile(
        test_drawn="from hypothesis import given, strategies as st\n"
        "@given(st.integers())\ndef test_one(drawn): print('drew', drawn)"
    )
    first, again = (session.runpytest_subprocess("-rP").stdout.str() for _ in range(2))
    assert "seed: 77 " in first
    drawn = re.findall(r"drew (\S+)", first)
    assert len(set(drawn)) > 50
    assert drawn == re.findall(r"drew (\S+)", again)


@pytest.mark.parametrize("workers", ["0", "2"])
def test_each_failure_is_a_line_of_the_file_that_is_named(
    session: pytest.Pytester, monkeypatch: pytest.MonkeyPatch, workers: str
) -> None:
    monkeypatch.setenv("CI", "true")
    session.makepyfile(
        test_failing="import pytest\n"
        "def test_long(): assert list(range(2000)) == [1]\n"
        "@pytest.fixture\ndef leaks():\n    yield\n    assert not 'a leak'\n"
        "def test_leak(leaks): pass\n"
    )
    session.runpytest_subprocess("--numprocesses", workers, "--failures", "failures")
    lines = sorted((session.path / "failures").read_text().splitlines())
    assert [line.split(": ")[:3] for line in lines] == [
        ["error", "test_failing.py::test_leak", "line 6"],
        ["failed", "test_failing.py::test_long", "line 2"],
    ]
    assert "assert [0, 1, 2, 3, 4, 5, ...] == [1]" in lines[1]
    assert all(len(line) <= 500 for line in lines)
