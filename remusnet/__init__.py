"""Classify what a Remus-protected Xen guest may send before a checkpoint commits.

The front door: each name below is imported when it is first used, so that ``import remusnet`` costs
next to nothing. docs/reference/python.md is the manual, `remusnet.api` the code behind it.
"""

from __future__ import annotations

import sys

__version__ = "0.1.0"

_ERRORS = "remusnet.errors"
_PROTECTION = "remusnet.api.protection"
_DOOR = {
    "apply": _PROTECTION,
    "classify": "remusnet.api.recordings",
    "plan": _PROTECTION,
    "remove": _PROTECTION,
    "simulate": "remusnet.api.simulation",
    "status": _PROTECTION,
    "verify": _PROTECTION,
    "Plug": "remusnet.kernel.plug",
    "Policy": "remusnet.policy",
    "CheckFailed": _ERRORS,
    "Conflict": _ERRORS,
    "InvalidInput": _ERRORS,
    "KernelRefused": _ERRORS,
    "MissingDependency": _ERRORS,
    "NotPermitted": _ERRORS,
    "RemusnetError": _ERRORS,
}
__all__ = ["__version__", *_DOOR]  # noqa: PLE0604 - the names are in one table

_Module = type(sys)


class _Room(_Module):
    """A package that is a function of the front door too: ``plan`` and ``classify``.

    Python sets a package's attribute in its parent whenever anything imports it, so the function
    and the package of one name have to be one object.
    """

    def __call__(self, *arguments, **named):  # __init__.pyi has the types
        return _behind(self.__name__.rpartition(".")[2])(*arguments, **named)

    @property
    def __signature__(self):
        from inspect import signature

        return signature(_behind(self.__name__.rpartition(".")[2]))


class _FrontDoor(_Module):
    """`remusnet` itself, which makes rooms of the packages that have a function's name."""

    def __setattr__(self, name, value):
        if name in _DOOR and isinstance(value, _Module):
            value.__class__ = _Room
        super().__setattr__(name, value)


def _behind(name):
    from importlib import import_module

    return getattr(import_module(_DOOR[name]), name)


def __getattr__(name):
    if name not in _DOOR:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    found = _behind(name)
    # Of a room, what was imported on the way has set the attribute: the package.
    return globals().setdefault(name, found)


def __dir__():
    return sorted({*globals(), *_DOOR})


sys.modules[__name__].__class__ = _FrontDoor
