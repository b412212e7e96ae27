"""``remusnet plug`` as a user meets it; what it does to a plug is tried in tests/kernel."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from remusnet.cli.plug import _text
from remusnet.kernel.plug_status import PlugStatus
from remusnet.kernel.state.drivers import PlugRecord, PlugState
from tests.lib.program import runner


def run(capsys: pytest.CaptureFixture[str], *args: str) -> tuple[int, str, str]:
    return runner(capsys, "plug")(*args)


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (["ifb0"], "Missing argument 'buffer|release|release-all|limit|status'"),
        (["ifb0", "open"], "'open' is not one of"),
        (["ifb0", "limit"], "limit takes a SIZE, and nothing else does"),
        (["ifb0", "buffer", "5kB"], "limit takes a SIZE, and nothing else does"),
        (["ifb0", "limit", "many"], "invalid size: 'many'"),
        (["no-such-ifb", "status"], "no such device: 'no-such-ifb'"),
        (["../ifb0", "status"], "invalid device name"),
    ],
)
def test_bad_input_is_one_line(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, args: list[str], said: str
) -> None:
    code, out, err = run(capsys, *args, "--run-dir", str(tmp_path))
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert said in err


def test_a_status_tells_what_is_only_our_record() -> None:
    record = PlugRecord(PlugState.WAITING, limit=50_000_000)
    text = _text(PlugStatus("ifb0", 1200, 3, 1, 7, record))
    assert text.splitlines() == [
        "ifb0",
        "  holds    3 packets, 1200 B",
        "  passed   7 packets",
        "  dropped  1 packets",
        "  state    waiting (by our record; the kernel can't be asked)",
        "  limit    50.0 MB (by our record)",
    ]


def test_a_status_names_the_driver_instead_of_a_state() -> None:
    text = _text(PlugStatus("ifb0", 0, 0, 0, 0, PlugRecord(), " by process 4711"))
    assert "state    driven by process 4711 (" in text
    assert "limit    unknown (" in text


@pytest.mark.parametrize(
    "module", ["remusnet.cli.plug", "remusnet.cli.checkpoint", "remusnet.cli.doctor"]
)
def test_its_imports_are_light(module: str) -> None:
    """A small Dom0 takes seconds for each of these libraries; a plug waits for none of them."""
    code = f"""
import json, sys, {module}, remusnet.kernel.plug, remusnet.kernel.checkpoint, remusnet.schedule
import remusnet.kernel.doctor, remusnet.report.doctor
print(json.dumps(sorted({{name.split(".")[0] for name in sys.modules}})))
"""
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    imported = set(json.loads(done.stdout))
    assert "click" in imported
    assert not imported & {"numpy", "scapy", "rich", "jinja2", "pyroute2", "libvirt"}
