from __future__ import annotations

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
    pytester.makeini("[pytest]\nmarkers = needs\n    tshark\n    kernel")
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
