"""``--domain``: the vifs of a domain that libvirt knows, in the place of their names."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import click

from remusnet import defaults

_Function = TypeVar("_Function", bound=Callable[..., Any])


def domain_options(function: _Function) -> _Function:
    """``--domain`` and ``--connect``, which give a command its ``domain`` and ``uri``."""
    domain = click.option(
        "--domain",
        metavar="NAME|UUID|ID",
        help="All vifs of a domain that runs, by libvirt, instead of VIF.",
    )
    return domain(connect_option("--domain")(function))


def connect_option(what: str) -> Callable[[_Function], _Function]:
    """``--connect URI``, which gives a command its ``uri``; ``what`` libvirt is to find there."""
    return click.option(
        "--connect",
        "uri",
        metavar="URI",
        default=defaults.LIBVIRT,
        show_default=True,
        help=f"Where libvirt finds {what}.",
    )
