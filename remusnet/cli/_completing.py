"""What a shell may complete: files, network devices, classifiers, metrics.

Each function is a ``shell_complete`` of click's: context, parameter and what is typed so far give
the words that fit. An item of type ``file`` or ``dir`` lets the shell name those itself.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path

import click
from click.shell_completion import CompletionItem

Completer = Callable[[click.Context, click.Parameter, str], list[CompletionItem]]

_DEVICES = Path("/sys/class/net")
_BUFFER = "ifb"
_VIF = "vif"


def _fitting(words: Iterable[str], incomplete: str) -> list[CompletionItem]:
    return [CompletionItem(word) for word in words if word.startswith(incomplete)]


def files(
    _context: click.Context, _parameter: click.Parameter, incomplete: str
) -> list[CompletionItem]:
    """Files, and the folders on the way to them."""
    return [CompletionItem(incomplete, type="file")]


def folders(
    _context: click.Context, _parameter: click.Parameter, incomplete: str
) -> list[CompletionItem]:
    """Folders."""
    return [CompletionItem(incomplete, type="dir")]


def scenarios(
    _context: click.Context, _parameter: click.Parameter, incomplete: str
) -> list[CompletionItem]:
    """Scenarios that ship."""
    from remusnet.scenario.library import names

    return _fitting(names(), incomplete)


def scenarios_or_files(
    context: click.Context, parameter: click.Parameter, incomplete: str
) -> list[CompletionItem]:
    """Scenarios that ship, and files: other scenarios, captures."""
    named = scenarios(context, parameter, incomplete)
    return [*named, *files(context, parameter, incomplete)]


def vifs(
    _context: click.Context, _parameter: click.Parameter, incomplete: str
) -> list[CompletionItem]:
    """Devices that can be protected, those of Xen first; no buffer device."""
    found = [name for name in _devices() if name != "lo" and not name.startswith(_BUFFER)]
    return _fitting(sorted(found, key=lambda name: not name.startswith(_VIF)), incomplete)


def buffers(
    _context: click.Context, _parameter: click.Parameter, incomplete: str
) -> list[CompletionItem]:
    """Buffer devices."""
    return _fitting((name for name in _devices() if name.startswith(_BUFFER)), incomplete)


def words(*known: str) -> Completer:
    """Some words that never change."""

    def complete(
        _context: click.Context, _parameter: click.Parameter, incomplete: str
    ) -> list[CompletionItem]:
        return _fitting(known, incomplete)

    return complete


def metrics(
    _context: click.Context, _parameter: click.Parameter, incomplete: str
) -> list[CompletionItem]:
    """What an assertion can begin with."""
    from remusnet.report.metric_table import METRICS

    return _fitting(METRICS, incomplete)


def _devices() -> list[str]:
    try:
        return sorted(each.name for each in _DEVICES.iterdir())
    except OSError:
        return []  # a container without sysfs
