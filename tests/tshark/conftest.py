"""tshark, the second opinion."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

Tshark = Callable[..., str]


@pytest.fixture(scope="session")
def tshark(tmp_path_factory: pytest.TempPathFactory) -> Tshark:
    """Runs tshark with the given arguments and returns its standard output.

    It runs without the settings of whoever runs the tests. Where it is missing, a test is skipped;
    in CI (CI=true) it fails, so that nobody learns late that nothing was compared.
    """
    path = shutil.which("tshark")
    if path is None:
        missing = pytest.fail if os.environ.get("CI") == "true" else pytest.skip
        missing("tshark is not on PATH (apt-get install tshark)")
    settings = tmp_path_factory.mktemp("wireshark")
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(settings),
        "WIRESHARK_CONFIG_DIR": str(settings),
        "LC_ALL": "C.UTF-8",
        "TZ": "UTC",
    }

    def run(*arguments: str | Path) -> str:
        done = subprocess.run(
            [path, *map(str, arguments)],
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
            env=environment,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    return run
