"""What each command does first: a trial whose guard was killed goes back."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from remusnet.cli._terminal import warn
from remusnet.errors import RemusnetError

_Function = TypeVar("_Function", bound=Callable[..., Any])
_ENDINGS = (".trial", ".back")  # remusnet.host.trial, which takes long to import


def settle_trials(run_dir: Path) -> None:
    """Goes back where it has to, and says so. What can't be done is a warning: the command that
    was typed is another one.
    """
    try:
        if not any(name.endswith(_ENDINGS) for name in os.listdir(run_dir)):
            return
    except OSError:
        return  # no trial was ever begun there; or the command itself says what is wrong
    from remusnet.host.trial import settle

    try:
        warn(f"{each} (its guard was killed)" for each in settle(run_dir))
    except RemusnetError as error:
        warn([str(error)])
