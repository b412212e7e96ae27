"""Where receipts, locks and the record of each plug are."""

from __future__ import annotations

import os
from pathlib import Path

DEFAULT_RUN_DIR = Path("/run/remusnet")
RUN_DIR_VARIABLE = "REMUSNET_RUN_DIR"


def default_run_dir() -> Path:
    """$REMUSNET_RUN_DIR, or /run/remusnet. It appears with the first file that is put there."""
    return Path(os.environ.get(RUN_DIR_VARIABLE) or DEFAULT_RUN_DIR)
