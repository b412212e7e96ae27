"""The netbuf script in Xen's script directory: put there, and taken out again."""

from __future__ import annotations

import ast
import compileall
import os
import stat
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import remusnet
from remusnet.errors import Conflict, InvalidInput, MissingDependency, NotPermitted, quoted
from remusnet.host.netbuf.compiled import forget_ready, make_ready
from remusnet.host.netbuf.places import Places
from remusnet.host.netbuf.ready import read_ready
from remusnet.host.rooted import inside
from remusnet.host.trusted_code import changeable
from remusnet.host.xl_conf import default_script, with_default, without_default
from remusnet.kernel.own_folder import FILE_MODE, Untrusted, replace_file
from remusnet.results.xen import FileChange, Installed

SCRIPT = "remusnet-netbuf"
SCRIPT_DIR = Path("etc/xen/scripts")
XL_CONF = Path("etc/xen/xl.conf")
# Where sudo, cron and systemd look for programs on every distribution.
LINK_DIR = Path("usr/local/sbin")
MARK = f"# {SCRIPT}: written by remusnet xen install"
_LONGEST_INTERPRETER = 200


@dataclass(frozen=True, slots=True)
class Layout:
    """Where things are below ``root`` (/, but for tests and for images of a Dom0).

    Links on the way are followed as the system there follows them: never out of ``root``.
    """

    root: Path

    @property
    def script(self) -> Path:
        """Our script."""
        return inside(self.root, SCRIPT_DIR) / SCRIPT

    @property
    def link(self) -> Path:
        """What lets ``xl remus -N remusnet-netbuf`` find it: libxl looks on $PATH only."""
        return inside(self.root, LINK_DIR) / SCRIPT

    @property
    def xl_conf(self) -> Path:
        """xl's configuration; where that is a link, the file that it leads to."""
        return inside(self.root, XL_CONF)

    @property
    def target(self) -> str:
        """The script's path as the host will see it."""
        return f"/{SCRIPT_DIR / SCRIPT}"


def script_text(interpreter: str = sys.executable, folder: str = "") -> str:
    """The script, for the remusnet in ``folder`` (none: this one).

    Raises InvalidInput where its first line can't name the interpreter.
    """
    if any(c.isspace() for c in interpreter) or len(interpreter) > _LONGEST_INTERPRETER:
        raise InvalidInput(
            f"a script can not be run by {quoted(interpreter)}: install remusnet in a virtual "
            "environment whose path is shorter and has no spaces"
        )
    folder = folder or str(Path(remusnet.__file__).parents[1])
    return f"""#!{interpreter} -IS
{MARK}
# xl remus starts it for each vif. -I and -S: neither the environment nor site-packages is looked
# at, so that nobody's files are run as root, and the guest waits less.
import sys

sys.path.insert(0, {folder!r})
from remusnet.host.netbuf.script import main

main()
"""


_PATH = "sys.path.insert(0, "


def ran_by(script: str) -> tuple[str, str]:
    """The Python that a script of ours names, and the folder of the package that it runs."""
    program = script.partition("\n")[0].removeprefix("#!").partition(" ")[0]
    words = [line.removeprefix(_PATH) for line in script.splitlines() if line.startswith(_PATH)]
    folder = str(ast.literal_eval(words[0].removesuffix(")"))) if words else "/"
    return program, f"{folder.rstrip('/')}/remusnet"


def install(layout: Layout, places: Places, *, default: bool, dry_run: bool = False) -> Installed:
    """Puts the script in place, with what it needs prepared; ``default``: in xl.conf too.

    Never writes over a file that is not remusnet's, and never has root run what others can change.
    Raises MissingDependency without Xen, Conflict, InvalidInput or NotPermitted.
    """
    _require_xen(layout)
    _refuse_changeable(layout)
    changes = []
    text = script_text()
    _refuse_foreign(layout)
    if _content(layout.script) != text:
        word = "replaced" if layout.script.exists() else "written"
        changes.append(FileChange(str(layout.script), word))
    if not layout.link.is_symlink():
        changes.append(FileChange(str(layout.link), f"a link to {layout.target}"))
    if default:
        before = _content(layout.xl_conf)
        after = with_default(before, layout.target)
        if after != before:
            changes.append(FileChange(str(layout.xl_conf), "remus.default.netbufscript set"))
    notes = list(_notes(layout))
    if not dry_run:
        with _changing(layout):
            _write(layout.script, text, 0o755)
            layout.link.parent.mkdir(parents=True, exist_ok=True)
            if not layout.link.is_symlink():
                layout.link.symlink_to(layout.target)
            if default:
                _write(layout.xl_conf, after)
            # Else the first run would write them, or, on a read-only system, every run compile.
            compileall.compile_dir(Path(remusnet.__file__).parent, quiet=2)
            if layout.root == Path("/") or "REMUSNET_STATE_DIR" in os.environ:
                notes += _prepare(places)
    return Installed(tuple(changes), tuple(notes), dry_run)


def uninstall(layout: Layout, places: Places, *, dry_run: bool = False) -> Installed:
    """Takes out what `install` has put in; leaves everything else. Raises as `install` does."""
    changes = []
    _refuse_foreign(layout)
    if layout.script.exists():
        changes.append(FileChange(str(layout.script), "deleted"))
    if layout.link.is_symlink():
        changes.append(FileChange(str(layout.link), "deleted"))
    before = _content(layout.xl_conf)
    after = without_default(before)
    if after != before:
        changes.append(FileChange(str(layout.xl_conf), "as it was before"))
    if not dry_run:
        with _changing(layout):
            if after:
                _write(layout.xl_conf, after)
            elif before:
                layout.xl_conf.unlink()  # there was none before
            layout.link.unlink(missing_ok=True)
            layout.script.unlink(missing_ok=True)
            forget_ready(places)
    return Installed(tuple(changes), (), dry_run)


def _require_xen(layout: Layout) -> None:
    if not layout.script.parent.is_dir():
        raise MissingDependency(
            f"no Xen here: {quoted(str(layout.script.parent))} is missing (Debian: apt install "
            "xen-utils-common; --root DIR for a system that is mounted elsewhere)"
        )


def _refuse_foreign(layout: Layout) -> None:
    if layout.script.is_symlink():
        raise Conflict(f"{layout.script} is there and is a link: rename it")
    if layout.script.exists() and MARK not in _content(layout.script).splitlines()[1:2]:
        raise Conflict(
            f"{layout.script} is there and was not written by remusnet: rename it, or delete it if "
            "nobody needs it"
        )
    if layout.link.is_symlink():
        target = os.readlink(layout.link)
        if target != layout.target:
            raise Conflict(f"{layout.link} is there and leads to {quoted(target)}: rename it")
    elif layout.link.exists():
        raise Conflict(f"{layout.link} is there and is not remusnet's link: rename it")


def _refuse_changeable(layout: Layout) -> None:
    """Raises Conflict where others could change what the script runs, in the system it is for."""
    package = Path(remusnet.__file__).parent
    try:
        found = tuple(islice(changeable(Path(sys.executable), package, layout.root), 2))
    except OSError as error:
        raise NotPermitted(f"may not look at {error.filename}: run it as root") from error
    if found:
        more = " (and more)" if found[1:] else ""
        raise Conflict(
            f"root would run what others can change: {found[0]}{more}; install remusnet where only "
            "root can write, such as in /opt/remusnet, and run that one's xen install"
        )


def _notes(layout: Layout) -> Iterator[str]:
    default = default_script(_content(layout.xl_conf))
    if default and default != layout.target:
        yield f"{layout.xl_conf} has another default script until now: {quoted(default)}"


def _prepare(places: Places) -> Iterator[str]:
    if not make_ready(places):
        yield (
            f"{places.config} has mistakes (remusnet policy check {places.config}): as long as it "
            "has, every frame is held"
        )
    elif read_ready(places.ready, places.config) is None:
        yield f"{places.ready} can not be used: setups will take longer"


def _content(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="surrogateescape")
    except FileNotFoundError:
        return ""
    except PermissionError as error:
        raise NotPermitted(f"may not read {quoted(str(path))}: run it as root") from error
    except OSError as error:
        raise InvalidInput(f"{quoted(str(path))}: {error.strerror}") from error


def _write(path: Path, text: str, mode: int | None = None) -> None:
    """As one step: a reader finds the old file or the new one. Without ``mode``: mode and owner of
    the old one stay.
    """
    owner = None
    if mode is None:
        mode = FILE_MODE
        with suppress(FileNotFoundError):
            status = path.stat(follow_symlinks=False)
            mode, owner = stat.S_IMODE(status.st_mode), (status.st_uid, status.st_gid)
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        content = text.encode("utf-8", "surrogateescape")
        replace_file(folder, path.name, content, mode=mode, owner=owner)
    finally:
        os.close(folder)


@contextmanager
def _changing(layout: Layout) -> Iterator[None]:
    """Turns what the system refuses into what the user can do about it. No other user can change
    what is written meanwhile, whatever the umask was.
    """
    before = os.umask(0o022)
    try:
        yield
    except Untrusted as error:
        raise Conflict(f"{error.filename}: {error.strerror}") from error
    except PermissionError as error:
        where = error.filename or layout.root
        raise NotPermitted(f"may not write {where}: run it as root") from error
    except OSError as error:
        raise InvalidInput(f"{error.filename or layout.root}: {error.strerror}") from error
    finally:
        os.umask(before)
