"""What a kernel is found to have: tried, or read in its files."""

from __future__ import annotations

import gzip
import os
import subprocess
import sys
from pathlib import Path

import pytest

from remusnet.kernel import probe as probe_module
from remusnet.kernel.modules import built, module_file
from remusnet.kernel.probe import FEATURES, Feature, available_classifiers, lacks

RELEASE = os.uname().release
OPTION = "CONFIG_NET_SCH_PLUG"


def feature(name: str, there: bool | None) -> Feature:
    return Feature(name, there, tried=True)


@pytest.fixture
def found(monkeypatch: pytest.MonkeyPatch) -> dict[str, Feature]:
    """What the probe says; all is there until a test takes it away."""
    features = {name: feature(name, True) for name in FEATURES}
    monkeypatch.setattr(probe_module, "probe", lambda: features)
    return features


def test_classifiers_are_those_that_are_known_to_be_there(found: dict[str, Feature]) -> None:
    assert available_classifiers() == ("u32", "flower", "bpf")
    found["cls_flower"] = feature("cls_flower", False)
    found["cls_u32"] = feature("cls_u32", None)
    assert available_classifiers() == ("bpf",)


def test_only_what_is_known_to_be_missing_is_lacking(found: dict[str, Feature]) -> None:
    found["sch_plug"] = feature("sch_plug", None)
    assert not lacks("sch_plug")
    found["sch_plug"] = feature("sch_plug", False)
    assert lacks("sch_plug")
    assert not lacks("ifb")


def test_without_any_right_the_files_are_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(probe_module, "_as_root", lambda: None)
    monkeypatch.setattr(probe_module, "_as_user", lambda: None)
    monkeypatch.setattr(probe_module, "built", lambda _module, option: (None, f"from {option}"))
    answers = probe_module.probe.__wrapped__()
    assert answers["ifb"] == Feature("ifb", None, tried=False, said="from CONFIG_IFB")
    assert answers.keys() == FEATURES.keys()


@pytest.mark.parametrize("how", ["_as_root", "_as_user"])
def test_trying_leaves_this_process_where_it_was(how: str) -> None:
    """Whether this kernel lets us or not."""
    before = os.readlink("/proc/thread-self/ns/net"), os.listdir("/sys/class/net")
    answers = getattr(probe_module, how)()
    assert (os.readlink("/proc/thread-self/ns/net"), os.listdir("/sys/class/net")) == before
    if answers is not None:
        assert answers.keys() == FEATURES.keys()
        # Where anything may be tried, the kernel knows whether it has IPv6.
        assert answers["ipv6"].tried


def test_the_child_does_not_import_from_the_folder_that_the_user_is_in(tmp_path: Path) -> None:
    (tmp_path / "json.py").write_text("raise SystemExit('imported')")
    code = "from remusnet.kernel.probe import _as_user; _as_user()"
    done = subprocess.run(
        [sys.executable, "-P", "-c", code],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[3])},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")


# The kernel's files


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """An empty /: its /proc, /boot and this kernel's /lib/modules."""
    for folder in ("proc", "boot", f"lib/modules/{RELEASE}"):
        (tmp_path / folder).mkdir(parents=True)
    return tmp_path


def test_a_loaded_module_is_there(root: Path) -> None:
    (root / "proc/modules").write_text("sch_plug 16384 1 - Live 0x0\nifb 1 0 - Live 0x0\n")
    assert built("sch_plug", OPTION, root) == (True, "/proc/modules")


def test_a_built_in_module_is_there(root: Path) -> None:
    path = root / f"lib/modules/{RELEASE}/modules.builtin"
    path.write_text("kernel/net/sched/sch_plug.ko\n")
    assert built("sch_plug", OPTION, root) == (True, "modules.builtin")


@pytest.mark.parametrize("name", ["sch_plug.ko", "sch-plug.ko.xz", "sch_plug.ko.zst"])
def test_a_module_that_can_be_loaded_is_there(root: Path, name: str) -> None:
    path = f"kernel/net/sched/{name}"
    (root / f"lib/modules/{RELEASE}/modules.dep").write_text(f"kernel/a.ko:\n{path}: kernel/a.ko\n")
    assert built("sch_plug", OPTION, root) == (True, path)
    assert module_file("sch_plug", root) == path


@pytest.mark.parametrize(
    ("line", "there", "said"),
    [
        (f"{OPTION}=y", True, f"{OPTION}=y"),
        (f"{OPTION}=m", None, "there is no such module"),
        (f"# {OPTION} is not set", False, "is not set"),
        (f"{OPTION}_MORE=y", False, "is not set"),
    ],
)
@pytest.mark.parametrize("where", ["proc/config.gz", f"boot/config-{RELEASE}"])
def test_the_configuration_is_asked_where_it_is(
    root: Path, where: str, line: str, there: bool | None, said: str
) -> None:
    text = f"CONFIG_NET=y\n{line}\n".encode()
    (root / where).write_bytes(gzip.compress(text) if where.endswith(".gz") else text)
    answer, source = built("sch_plug", OPTION, root)
    assert answer is there
    assert said in source


def test_without_any_file_nothing_is_known(tmp_path: Path) -> None:
    assert built("sch_plug", OPTION, tmp_path) == (None, "")
