"""The user that a UML kernel runs as: never root, since root inside could write the disk then."""

from __future__ import annotations

import os
import pwd
from dataclasses import dataclass
from typing import TypedDict

from remusnet.lab.errors import LabUnavailable


class Drop(TypedDict, total=False):
    """The keyword arguments of ``subprocess.Popen`` that change who the child is."""

    user: int
    group: int
    extra_groups: list[int]


@dataclass(frozen=True, slots=True)
class Account:
    """An ordinary account of the host; ``change`` says whether we have to become it."""

    name: str
    uid: int
    gid: int
    change: bool

    def drop(self) -> Drop:
        """What to pass to ``subprocess.Popen`` so that the child is this account."""
        if not self.change:
            return {}
        return {"user": self.uid, "group": self.gid, "extra_groups": []}


def ordinary_account() -> Account:
    """The caller's own account, or ``nobody`` when the caller is root.

    Raises ``LabUnavailable`` for root on a machine without ``nobody``.
    """
    if os.geteuid() != 0:
        uid = os.geteuid()
        return Account(str(uid), uid, os.getegid(), change=False)
    try:
        nobody = pwd.getpwnam("nobody")
    except KeyError:
        raise LabUnavailable(
            "no account 'nobody' to run the kernel as: run this as an ordinary user"
        ) from None
    return Account(nobody.pw_name, nobody.pw_uid, nobody.pw_gid, change=True)
