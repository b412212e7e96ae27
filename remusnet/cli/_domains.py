"""``--domain``: the vifs of a domain that libvirt knows, in the place of their names."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import click

from remusnet import defaults

_Function = TypeVar("_Function", bound=Callable[..., Any])


def domain_options(function: _Function) -> _Function:
    """``--domain`` and ``--connect``, which give a command its ``domain`` and ``uri``."""
    connect = click.option(
        "--connect",
        "uri",
        metavar="URI",
        default=defaults.LIBVIRT,
        show_default=True,
        help="Where libvirt finds --domain.",
    )
    domain = click.option(
        "--domain",
        metavar="NAME|UUID|ID",
        help="All vifs of a domain that runs, by libvirt, instead of VIF.",
    )
    return domain(connect(function))
