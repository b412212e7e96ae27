"""The five designs compared, with a report: half a minute's work, which tests share."""

from __future__ import annotations

import contextlib
import io
import json
from dataclasses import dataclass
from pathlib import Path

import pytest

from remusnet.cli.main import main
from tests.lib.once import once

HOLDS = "availability[design=actors-on-remus,service=new-calls] >= 0.9995"
FAILS = "nines[design=standard] >= 3"


@dataclass(frozen=True, slots=True)
class Compared:
    """What ``availability compare`` with `HOLDS`, `FAILS` and a report printed, and left."""

    code: int
    out: str
    err: str
    report: Path


def compared(factory: pytest.TempPathFactory) -> Compared:
    """The same run for all who ask; its report is not theirs to change."""
    folder = once(factory, "designs-compared", _compare)
    code, out, err = json.loads((folder / "printed.json").read_text("utf-8"))
    return Compared(code, out, err, folder / "report")


def _compare(folder: Path) -> None:
    arguments = ["--assert", HOLDS, "--assert", FAILS, "--report", str(folder / "report")]
    out, err = io.StringIO(), io.StringIO()
    with (
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(err),
        pytest.raises(SystemExit) as ended,
    ):
        main(["availability", "compare", *arguments])
    printed = [ended.value.code, out.getvalue(), err.getvalue()]
    (folder / "printed.json").write_text(json.dumps(printed), encoding="utf-8")
