"""Installing the netbuf script into a Dom0's files, and taking it out."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from remusnet.errors import Conflict, InvalidInput, MissingDependency, NotPermitted
from remusnet.host.install import MARK, SCRIPT, Layout, install, script_text, uninstall
from remusnet.host.netbuf.places import Places
from remusnet.host.netbuf.ready import read_ready

CONF = '# xl\nclaim_mode=1\nremus.default.netbufscript="/other"\n'


@pytest.fixture
def layout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Layout:
    root = tmp_path / "dom0"
    (root / "etc/xen/scripts").mkdir(parents=True)
    (root / "etc/xen/xl.conf").write_text(CONF)
    monkeypatch.setenv("REMUSNET_STATE_DIR", str(tmp_path / "state"))
    return Layout(root)


@pytest.fixture
def places(tmp_path: Path) -> Places:
    folder = {name: str(tmp_path / name) for name in ("state", "run", "locks")}
    return Places(
        {
            "REMUSNET_CONFIG": str(tmp_path / "remusnet.toml"),
            "REMUSNET_STATE_DIR": folder["state"],
            "REMUSNET_RUN_DIR": folder["run"],
            "REMUSNET_XEN_LOCK_DIR": folder["locks"],
        }
    )


def files(layout: Layout) -> dict[str, str]:
    found = {}
    for path in sorted(layout.root.rglob("*")):
        if path.is_symlink():
            found[str(path)] = f"-> {path.readlink()}"
        elif path.is_file():
            found[str(path)] = path.read_text()
    return found


def test_what_install_does_uninstall_takes_back(layout: Layout, places: Places) -> None:
    before = files(layout)
    done = install(layout, places, default=True)
    assert [each.path for each in done.changes] == [
        str(layout.script),
        str(layout.link),
        str(layout.xl_conf),
    ]
    assert layout.script.stat().st_mode & 0o777 == 0o755
    assert layout.link.readlink() == Path("/etc/xen/scripts/remusnet-netbuf")
    assert 'netbufscript="/etc/xen/scripts/remusnet-netbuf"' in layout.xl_conf.read_text()
    assert read_ready(places.ready, places.config) is not None
    assert install(layout, places, default=True).changes == ()
    uninstall(layout, places)
    assert files(layout) == before
    assert not Path(places.ready).exists()
    assert uninstall(layout, places).changes == ()


def test_a_dry_run_says_the_same_and_touches_nothing(layout: Layout, places: Places) -> None:
    before = files(layout)
    would = install(layout, places, default=True, dry_run=True)
    assert files(layout) == before
    assert not Path(places.state_dir).exists()
    assert would.changes == install(layout, places, default=True).changes
    there = files(layout)
    assert uninstall(layout, places, dry_run=True).changes
    assert files(layout) == there


def test_without_default_xl_conf_stays_and_its_script_is_named(
    layout: Layout, places: Places
) -> None:
    done = install(layout, places, default=False)
    assert layout.xl_conf.read_text() == CONF
    assert any("'/other'" in note for note in done.notes)


@pytest.mark.parametrize("where", ["script", "link", "file instead of link"])
def test_what_others_have_put_there_is_not_overwritten(
    layout: Layout, places: Places, where: str
) -> None:
    layout.link.parent.mkdir(parents=True)
    if where == "script":
        layout.script.write_text("#!/bin/sh\n")
    elif where == "link":
        layout.link.symlink_to("/elsewhere")
    else:
        layout.link.write_text("#!/bin/sh\n")
    before = files(layout)
    with pytest.raises(Conflict, match="is there and"):
        install(layout, places, default=True)
    with pytest.raises(Conflict, match="is there and"):
        uninstall(layout, places)
    assert files(layout) == before


def test_a_script_of_another_version_is_replaced(layout: Layout, places: Places) -> None:
    layout.script.write_text(f"#!/old/python -IS\n{MARK}\n")
    (change, *_) = install(layout, places, default=False).changes
    assert change.done == "replaced"
    assert layout.script.read_text() == script_text()


def test_without_xen_one_line_says_so(tmp_path: Path, places: Places) -> None:
    with pytest.raises(MissingDependency, match="no Xen here"):
        install(Layout(tmp_path), places, default=False)


def test_a_bad_file_of_domains_is_said_and_nothing_is_ready(layout: Layout, places: Places) -> None:
    Path(places.config).write_text("[default")
    done = install(layout, places, default=False)
    assert any("has mistakes" in note for note in done.notes)
    assert not Path(places.ready).exists()


def test_what_may_not_be_written_is_named(
    layout: Layout, places: Places, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Root may write everywhere, so the refusal is made."""

    def refuse(path: Path, *_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(Path, "open", refuse)
    with pytest.raises(NotPermitted, match="run it as root"):
        install(layout, places, default=False)


@pytest.mark.parametrize("interpreter", ["/opt/my python/bin/python", "/" + "x" * 250])
def test_an_interpreter_that_no_script_can_name_is_refused(interpreter: str) -> None:
    with pytest.raises(InvalidInput, match="virtual environment"):
        script_text(interpreter)


def test_the_script_imports_next_to_nothing(tmp_path: Path) -> None:
    """The guest's output waits for it: what takes longer than Python itself stays out."""
    code = (
        f"import sys; sys.path.insert(0, {str(Path(__file__).parents[3])!r}); "
        "import remusnet.host.netbuf.script; print(*sorted(sys.modules))"
    )
    done = subprocess.run(
        [sys.executable, "-IS", "-c", code], capture_output=True, text=True, check=True
    )
    modules = set(done.stdout.split())
    heavy = {"re", "enum", "dataclasses", "typing", "json", "pathlib", "subprocess", "socket"}
    assert not modules & (heavy | {"collections", "contextlib", "click", "pyroute2", "jinja2"})
    assert {each for each in modules if each.startswith("remusnet")} <= {
        "remusnet",
        "remusnet.host",
        "remusnet.host.commands",
        "remusnet.host.netbuf",
        "remusnet.host.netbuf.contract",
        "remusnet.host.netbuf.interval",
        "remusnet.host.netbuf.locks",
        "remusnet.host.netbuf.places",
        "remusnet.host.netbuf.quick",
        "remusnet.host.netbuf.ready",
        "remusnet.host.netbuf.script",
        "remusnet.host.xenstore",
        "remusnet.kernel",
        "remusnet.kernel.quick",
        "remusnet.kernel.quick_end",
    }


def test_the_script_runs_where_only_its_first_line_finds_python(tmp_path: Path) -> None:
    script = tmp_path / SCRIPT
    script.write_text(script_text())
    script.chmod(0o755)
    done = subprocess.run(
        [str(script), "nonsense"], env={}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert "expected setup or teardown" in done.stderr
