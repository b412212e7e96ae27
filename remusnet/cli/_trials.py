"""What each command does first: a trial whose guard was killed goes back."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from remusnet.cli._terminal import warn
from remusnet.errors import RemusnetError

_Function = TypeVar("_Function", bound=Callable[..., Any])


def settle_trials(run_dir: Path) -> None:
    """Takes back such trials, and says so. A failure is only a warning: the user has typed another
    command.
    """
    from remusnet.kernel.run_dir import may_have_trials

    if not may_have_trials(run_dir):
        return
    from remusnet.host.trial import settle

    try:
        warn(f"{each} (its guard was killed)" for each in settle(run_dir))
    except RemusnetError as error:
        warn([str(error)])
