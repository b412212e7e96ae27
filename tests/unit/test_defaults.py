from __future__ import annotations

import subprocess
import sys

from remusnet import defaults
from remusnet.plan.plan import CLASSIFIERS
from remusnet.units import parse_duration, parse_rate


def test_a_users_words_and_the_numbers_beside_them_are_the_same() -> None:
    for name in ("INTERVAL", "PAUSE", "COMMIT_DELAY"):
        assert parse_duration(getattr(defaults, name)) == getattr(defaults, f"{name}_NS")
    assert parse_rate(defaults.RATE) == defaults.RATE_BITS
    assert defaults.CLASSIFIER in CLASSIFIERS


def test_they_import_nothing_that_the_netbuf_script_would_wait_for() -> None:
    code = (
        "import sys; import remusnet; before = set(sys.modules); "
        "import remusnet.defaults; print(*sorted(set(sys.modules) - before))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout.split() == ["remusnet.defaults"]
