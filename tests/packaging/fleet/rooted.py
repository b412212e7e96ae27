"""An Ansible connection to a root directory: commands run there in namespaces of their own.

``ansible_host`` is the directory. Ansible loads this file by its name; tests import nothing of it.
"""

from __future__ import annotations

import os
import shlex
from typing import Any

from ansible.plugins.connection import local  # type: ignore[import-not-found,unused-ignore]

DOCUMENTATION = """
name: rooted
short_description: a root directory of this machine
description: Runs commands with bwrap in the directory ansible_host.
author: the remusnet authors
options: {}
"""


class Connection(local.Connection):  # type: ignore[misc,unused-ignore]
    """Local, but below ``ansible_host``."""

    transport = "rooted"

    @property
    def _root(self) -> str:
        return str(self._play_context.remote_addr)

    def exec_command(self, cmd: str, *args: Any, **kwargs: Any) -> Any:
        """Run it in there, with a /run that stays and a network of its own where there is one."""
        root = self._root
        words = ["bwrap", "--bind", root, "/", "--proc", "/proc", "--dev", "/dev"]
        words += ["--ro-bind", "/sys", "/sys", "--ro-bind", "/etc/resolv.conf", "/etc/resolv.conf"]
        words += ["--ro-bind", "/etc/hosts", "/etc/hosts", "--ro-bind", "/etc/ssl/certs"]
        words += ["/etc/ssl/certs", "--unshare-pid", "--unshare-ipc", "--unshare-uts"]
        words += ["--hostname", os.path.basename(root), "--die-with-parent", "--cap-add", "ALL"]
        words += ["--setenv", "HOME", "/root", "--setenv", "LC_ALL", "C.UTF-8"]
        words += ["--setenv", "PATH", "/usr/sbin:/usr/bin:/sbin:/bin", "--unsetenv", "VIRTUAL_ENV"]
        namespace = f"/run/netns/{os.environ['FLEET_NETNS']}-{os.path.basename(root)}"
        # apt wants the network of this machine, remusnet one that is the host's own.
        inside = ["nsenter", f"--net={namespace}"] if "AnsiballZ_command" in cmd else []
        return super().exec_command(shlex.join([*inside, *words, "sh", "-c", cmd]), *args, **kwargs)

    def put_file(self, in_path: str, out_path: str) -> Any:
        """Copy it below the root."""
        return super().put_file(in_path, self._root + out_path)

    def fetch_file(self, in_path: str, out_path: str) -> Any:
        """Copy it from there."""
        return super().fetch_file(self._root + in_path, out_path)
