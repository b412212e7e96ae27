"""``remusnet doctor`` as a user meets it, whatever this machine has."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.lib.program import runner


@pytest.mark.parametrize("args", [[], ["--json"]])
def test_its_exit_code_is_what_the_checks_come_to(
    args: list[str], capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    code, out, err = runner(capsys, "doctor", "--run-dir", tmp_path)(*args)
    assert err == ""
    assert code in (0, 3, 4)
    if args:
        assert json.loads(out)["exit_code"] == code
    else:
        assert ("remusnet apply has all that it needs" in out) is (code == 0)
