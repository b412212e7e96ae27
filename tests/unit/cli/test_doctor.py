"""``remusnet doctor`` as a user meets it, whatever this machine has."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from remusnet.cli.main import main


@pytest.mark.parametrize("args", [[], ["--json"]])
def test_its_exit_code_is_what_the_checks_come_to(
    args: list[str], capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["doctor", "--run-dir", str(tmp_path), *args])
    out, err = capsys.readouterr()
    assert err == ""
    assert ended.value.code in (0, 3, 4)
    if args:
        assert json.loads(out)["exit_code"] == ended.value.code
    else:
        assert ("remusnet apply has all that it needs" in out) is (ended.value.code == 0)
