"""Installing the netbuf script into a Dom0's files, and taking it out."""

from __future__ import annotations

import os
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import remusnet
from remusnet.errors import Conflict, InvalidInput, MissingDependency, NotPermitted
from remusnet.host.install import MARK, SCRIPT, Layout, install, script_text, uninstall
from remusnet.host.netbuf.places import Places, places_below
from remusnet.host.netbuf.ready import read_ready
from remusnet.host.rooted import inside
from remusnet.host.trusted_code import changeable

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


@pytest.mark.parametrize("target", ["/srv/xl.conf", "../../srv/xl.conf", "/srv/link"])
def test_an_xl_conf_that_is_a_link_stays_one(layout: Layout, places: Places, target: str) -> None:
    """As configuration management makes it; the file that it leads to is changed."""
    conf = layout.root / "etc/xen/xl.conf"
    real = layout.root / "srv/xl.conf"
    real.parent.mkdir()
    conf.rename(real)
    real.chmod(0o640)
    (layout.root / "srv/link").symlink_to("xl.conf")
    conf.symlink_to(target)
    install(layout, places, default=True)
    assert conf.readlink() == Path(target)
    assert "remusnet-netbuf" in real.read_text()
    assert real.stat().st_mode & 0o777 == 0o640
    uninstall(layout, places)
    assert (conf.readlink(), real.read_text()) == (Path(target), CONF)


@pytest.mark.parametrize("way", ["absolute", "relative"])
@pytest.mark.parametrize("where", ["etc/xen/scripts", "usr/local/sbin", "etc/xen", "usr"])
def test_a_link_in_another_root_never_leads_out_of_it(
    layout: Layout, places: Places, tmp_path: Path, where: str, way: str
) -> None:
    """An absolute link of an image means a place in the image, not one of this host."""
    outside = tmp_path / "host-folder"
    outside.mkdir()
    link = layout.root / where
    inner = layout.root / str(outside).lstrip("/")
    inner.mkdir(parents=True)
    if link.exists():
        inner.rmdir()
        link.rename(inner)
    link.parent.mkdir(parents=True, exist_ok=True)
    link.symlink_to(outside if way == "absolute" else "../" * 20 + str(outside).lstrip("/"))
    before = files(layout)
    done = install(layout, places, default=True)
    assert all(each.path.startswith(str(layout.root)) for each in done.changes)
    assert list(outside.rglob("*")) == []
    assert len(files(layout)) == len(before) + 2
    assert link.is_symlink()
    uninstall(layout, places)
    assert files(layout) == before


def test_uninstall_of_another_root_deletes_no_prepared_filters_of_this_host(
    layout: Layout, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("REMUSNET_STATE_DIR")
    here = tmp_path / "here"
    here.mkdir()
    (here / "netbuf.ready").touch()
    (layout.root / "var/lib").mkdir(parents=True)
    (layout.root / "var/lib/remusnet").symlink_to(here)
    uninstall(layout, places_below(str(layout.root), {}))
    assert (here / "netbuf.ready").exists()


def test_links_that_go_round_are_told_in_one_line(layout: Layout, places: Places) -> None:
    (layout.root / "usr").symlink_to("/usr2")
    (layout.root / "usr2").symlink_to("/usr")
    with pytest.raises(InvalidInput, match="usr2?': links that go round"):
        install(layout, places, default=False)


@given(
    links=st.dictionaries(
        st.sampled_from(["a", "b", "a/c", "b/d"]),
        st.lists(st.sampled_from(["..", "a", "b", "c", "d", ".", ""]), min_size=1, max_size=5),
    ),
    words=st.lists(st.sampled_from(["..", "a", "b", "c", "d", ".", ""]), max_size=6),
)
def test_no_path_leads_out_of_its_root(
    tmp_path_factory: pytest.TempPathFactory, links: dict[str, list[str]], words: list[str]
) -> None:
    root = tmp_path_factory.mktemp("root")
    for name, target in links.items():
        place = root / name
        if place.parent.is_symlink() or os.path.lexists(place):
            continue
        place.parent.mkdir(exist_ok=True)
        place.symlink_to("/".join(target) or "/")
    with suppress(InvalidInput):
        found = inside(root, "/".join(words))
        assert found.is_relative_to(root)
        assert ".." not in found.parts
        assert not found.is_symlink()
        assert found.resolve() == found, "nothing on the way is a link any more"


def test_what_is_installed_nobody_else_can_write_whatever_the_umask(
    layout: Layout, places: Places
) -> None:
    old = os.umask(0)
    try:
        before = set(layout.root.rglob("*"))
        install(layout, places, default=True)
        assert os.umask(0) == 0, "the caller's umask comes back"
    finally:
        os.umask(old)
    made = {*layout.root.rglob("*"), Path(places.ready), Path(places.state_dir)} - before
    assert made
    for each in made:
        assert each.is_symlink() or not each.stat().st_mode & 0o022, each


def test_a_script_that_is_a_link_is_somebody_elses(layout: Layout, places: Places) -> None:
    """What it leads to may be anything, in another root also a file of this host."""
    mine = layout.root.parent / "mine"
    mine.write_text(script_text())
    layout.script.symlink_to(mine)
    with pytest.raises(Conflict, match="is a link"):
        install(layout, places, default=False)
    assert layout.script.is_symlink()


def venv(root: Path) -> tuple[Path, Path]:
    """A virtual environment with remusnet, in a system that is mounted at ``root``."""
    for folder in ("opt/env/bin", "opt/env/lib/site-packages/remusnet/host", "usr/bin"):
        (root / folder).mkdir(parents=True)
    (root / "usr/bin/python3.11").touch(0o755)
    (root / "usr/bin/python3").symlink_to("python3.11")
    (root / "opt/env/bin/python").symlink_to("/usr/bin/python3")
    (root / "opt/env/pyvenv.cfg").touch(0o644)
    for name in ("remusnet/__init__.py", "remusnet/host/xen.py", "socket.py"):
        (root / "opt/env/lib/site-packages" / name).touch(0o644)
    return Path("/opt/env/bin/python"), Path("/opt/env/lib/site-packages/remusnet")


@pytest.mark.parametrize("how", ["everybody", "group", "owner"])
@pytest.mark.parametrize(
    "what",
    [
        "opt",
        "opt/env",
        "opt/env/bin",
        "opt/env/pyvenv.cfg",
        "opt/env/lib",
        "opt/env/lib/site-packages",
        "opt/env/lib/site-packages/socket.py",
        "opt/env/lib/site-packages/remusnet",
        "opt/env/lib/site-packages/remusnet/host",
        "opt/env/lib/site-packages/remusnet/host/xen.py",
        "usr/bin",
        "usr/bin/python3.11",
    ],
)
def test_nothing_is_installed_that_others_can_change(
    tmp_path: Path,
    layout: Layout,
    places: Places,
    monkeypatch: pytest.MonkeyPatch,
    what: str,
    how: str,
) -> None:
    """The Python, remusnet, what it would take for a module, and each folder on the way."""
    program, package = venv(layout.root)
    monkeypatch.setattr(sys, "executable", str(program))
    monkeypatch.setattr(remusnet, "__file__", str(package / "__init__.py"))
    assert list(changeable(program, package, layout.root)) == []
    bad = layout.root / what
    if how == "owner":
        real = os.lstat

        def of_somebody(path: Path, **more: object) -> os.stat_result:
            status = real(path)
            if path != bad:
                return status
            return os.stat_result((*status[:4], 4711, *status[5:]))

        monkeypatch.setattr(Path, "lstat", of_somebody)
    else:
        bad.chmod(bad.stat().st_mode | (0o002 if how == "everybody" else 0o020))
    says = "belongs to user 4711" if how == "owner" else "others may write it"
    with pytest.raises(Conflict, match=f"root would run .*: /{what}: .*{says}"):
        install(layout, places, default=False, dry_run=True)
    with pytest.raises(Conflict, match="root would run"):
        install(layout, places, default=False)
    assert not layout.script.exists()


def test_a_sticky_folder_is_no_danger_to_what_is_in_it(layout: Layout) -> None:
    program, package = venv(layout.root)
    (layout.root / "opt").chmod(0o1777)
    assert list(changeable(program, package, layout.root)) == []
    (layout.root / "opt").chmod(0o777)
    assert list(changeable(program, package, layout.root)) == [
        "/opt: others may write it (mode 0777)"
    ]


@pytest.mark.parametrize("interpreter", ["/opt/my python/bin/python", "/" + "x" * 250])
def test_an_interpreter_that_no_script_can_name_is_refused(interpreter: str) -> None:
    with pytest.raises(InvalidInput, match="virtual environment"):
        script_text(interpreter)


def test_a_teardown_the_long_way_reads_nothing_that_only_a_setup_needs() -> None:
    """A third of what it takes is imports; makers of plans and listeners to drivers are no part."""
    code = (
        f"import sys; sys.path.insert(0, {str(Path(__file__).parents[3])!r}); "
        "import remusnet.host.netbuf.full_teardown; print(*sorted(sys.modules))"
    )
    done = subprocess.run(
        [sys.executable, "-IS", "-c", code], capture_output=True, text=True, check=True
    )
    modules = set(done.stdout.split())
    assert "remusnet.kernel.change.remove" in modules
    assert not modules & {
        "remusnet.host.netbuf.compiled",
        "remusnet.host.netbuf.full",
        "remusnet.kernel.change.apply",
        "remusnet.kernel.watch",
        "remusnet.plan.domains",
        "remusnet.plan.terms",
    }


def test_the_script_imports_next_to_nothing(tmp_path: Path) -> None:
    """The guest's output waits for it: what takes longer than Python itself stays out."""
    code = (
        f"import sys; sys.path.insert(0, {str(Path(__file__).parents[3])!r}); "
        "import remusnet.host.netbuf.script, remusnet.host.netbuf.setup; "
        "import remusnet.host.netbuf.teardown; print(*sorted(sys.modules))"
    )
    done = subprocess.run(
        [sys.executable, "-IS", "-c", code], capture_output=True, text=True, check=True
    )
    modules = set(done.stdout.split())
    heavy = {"re", "enum", "dataclasses", "typing", "json", "pathlib", "subprocess", "socket"}
    assert not modules & (heavy | {"collections", "contextlib", "click", "pyroute2", "jinja2"})
    assert {each for each in modules if each.startswith("remusnet")} <= {
        "remusnet",
        "remusnet.defaults",
        "remusnet.host",
        "remusnet.host.commands",
        "remusnet.host.netbuf",
        "remusnet.host.netbuf.contract",
        "remusnet.host.netbuf.interval",
        "remusnet.host.netbuf.locks",
        "remusnet.host.netbuf.places",
        "remusnet.host.netbuf.setup",
        "remusnet.host.netbuf.teardown",
        "remusnet.host.netbuf.ready",
        "remusnet.host.netbuf.script",
        "remusnet.host.xenstore",
        "remusnet.kernel",
        "remusnet.kernel.wire.netlink",
        "remusnet.kernel.journal",
        "remusnet.kernel.own_folder",
        "remusnet.kernel.wire",
        "remusnet.kernel.prepared",
        "remusnet.kernel.wire.codec",
        "remusnet.plan",
        "remusnet.plan.devices",
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
