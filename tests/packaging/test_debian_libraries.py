"""remusnet on the libraries that Debian itself has: the lower bounds of setup.cfg."""

from __future__ import annotations

import configparser
import importlib
import json
import shutil
import subprocess
import sysconfig
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.lib.long import VARIABLE, count

ROOT = Path(__file__).parents[2]
DEBIAN = Path("/usr/bin/python3")
DEBIAN_12 = {
    "click": "8.1.3",
    "jinja2": "3.1.2",
    "numpy": "1.24.2",
    "pyroute2": "0.7.2",
    "rich": "13.3.1",
    "scapy": "2.5",
}
TOOLS = [
    "_hypothesis_globals",
    "_hypothesis_pytestplugin",
    "_pytest",
    "attr",
    "attrs",
    "execnet",
    "hypothesis",
    "iniconfig",
    "jsonschema",
    "jsonschema_specifications",
    "packaging",
    "pexpect",
    "pluggy",
    "ptyprocess",
    "py",
    "pykka",
    "pytest",
    "referencing",
    "rpds",
    "simpy",
    "sortedcontainers",
    "typing_extensions",
    "xdist",
]
"""What tests need and remusnet does not: it comes from this environment, and nothing else does."""

PLUGINS = ("hypothesis", "pytest", "pytest_xdist", "remusnet")
"""Their metadata, by which pytest finds plugins."""

SAMPLE = [
    "capture/test_capture_writer.py",
    "cli/test_completing.py",
    "cli/test_main.py",
    "cli/test_plan.py",
    "cli/test_plug.py",
    "cli/test_policy.py",
    "cli/test_xen.py",
    "kernel/wire/test_codec.py",
]
"""Those that look at click's, pyroute2's and scapy's corners."""

EXTRAS = [
    "actors",
    "availability",
    "cli/test_availability.py",
    "cli/test_availability_mistakes.py",
    "cli/test_availability_report.py",
    "cli/test_availability_run.py",
    "cli/test_availability_sensitivity.py",
    "cli/test_availability_show.py",
    "cli/test_folder.py",
    "cli/test_simulate_reports.py",
    "report",
    "sip",
    "test_documentation.py",
    "test_pytest_plugin.py",
]
"""Tests of what extras are for: Debian has no sipmessage, and its sqlalchemy is too old."""

KERNEL = [
    "test_drivers.py",
    "test_host.py",
    "test_live.py",
    "test_live_network.py",
    "test_plug.py",
    "test_trace.py",
    "test_trial.py",
    "test_watch.py",
    "test_watch_command.py",
]
"""What asks pyroute2 for events and for devices, or whose tests do, and needs no extra."""

# One worker, which has the environment.
pytestmark = [pytest.mark.packaging, pytest.mark.xdist_group("debian libraries")]


@pytest.fixture(scope="module")
def python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Python with the system's libraries, this checkout, and what tests need besides.

    Copies: what runs in a UML kernel can't follow a link into a folder that is closed to others.
    """
    environment = tmp_path_factory.mktemp("debian") / "environment"
    subprocess.run(
        [DEBIAN, "-m", "venv", "--system-site-packages", "--without-pip", environment],
        check=True,
        timeout=120,
    )
    packages = next(environment.glob("lib/python*/site-packages"))
    ours = Path(sysconfig.get_path("purelib"))
    for name in TOOLS:
        if (ours / name).exists():
            shutil.copytree(ours / name, packages / name)
        elif (ours / f"{name}.py").exists():
            shutil.copy(ours / f"{name}.py", packages)
    for name in PLUGINS:
        (metadata,) = ours.glob(f"{name}-*.dist-info")
        shutil.copytree(metadata, packages / metadata.name)
    (packages / "checkout.pth").write_text(f"{ROOT}\n")
    return environment / "bin" / "python"


def test_the_lower_bounds_are_what_debian_12_has() -> None:
    parser = configparser.ConfigParser()
    parser.read(ROOT / "setup.cfg", encoding="utf-8")
    lines = parser["options"]["install_requires"].split()
    assert lines == [f"{name}>={version}" for name, version in DEBIAN_12.items()]


def test_the_libraries_are_debians(python: Path) -> None:
    """And of Debian 12 exactly these versions: else the tests below would prove another thing."""
    code = """
import importlib, json, platform, sys
from importlib.metadata import version
files = [importlib.import_module(name).__file__ for name in sys.argv[1:]]
release = platform.freedesktop_os_release().get("VERSION_ID")
print(json.dumps([release, files, {name: version(name) for name in sys.argv[1:]}]))
"""
    done = subprocess.run(
        [python, "-c", code, *DEBIAN_12], check=True, capture_output=True, text=True, timeout=60
    )
    release, files, versions = json.loads(done.stdout)
    assert all(file.startswith("/usr/lib/python3/") for file in files), files
    for name, least in DEBIAN_12.items():
        if release == "12":
            assert versions[name].startswith(least), name
        ours = importlib.import_module(name).__file__
        assert ours is not None
        assert not ours.startswith("/usr/lib/"), "this session's own are others"


@pytest.mark.slow
def test_the_tests_pass_with_debians_libraries(python: Path) -> None:
    """Those of `SAMPLE`; under --long all fast ones, but for the extras'."""
    unit = ROOT / "tests" / "unit"
    chosen = [str(unit / each) for each in SAMPLE]
    if count(sample=0, long=1):
        chosen = [str(unit), *(f"--ignore={unit / each}" for each in EXTRAS)]
    fast = "not (browser or kernel or libvirt or packaging or slow or tshark or xen)"
    _passes(python, "-n", str(count(sample=0, long=2)), "-m", fast, *chosen)


@pytest.mark.long
def test_the_kernel_tests_pass_with_debians_libraries(python: Path) -> None:
    """Those of `KERNEL`, in UML kernels: booting one and starting pytest there takes too long for
    each run. By their samples: all of them are run with other libraries.
    """
    folder = ROOT / "tests" / "kernel"
    samples = ["env", f"--unset={VARIABLE}"]
    served = "not serves_metrics"  # prometheus-client is an extra's
    words = ["-m", "uml", "-k", served, *(str(folder / each) for each in KERNEL)]
    _passes(python, *words, under=samples)


def _passes(python: Path, *words: str, under: Sequence[str] = ()) -> None:
    done = subprocess.run(
        [*under, python, "-m", "pytest", "-q", *words],
        cwd=ROOT,
        check=False,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=count(sample=240, long=3600),
    )
    assert done.returncode == 0, done.stdout[-8000:]
    assert " passed" in done.stdout


@pytest.mark.parametrize("words", [(), ("xen",), ("policy",)])
def test_a_missing_command_is_a_usage_error_there_too(python: Path, words: tuple[str, ...]) -> None:
    """click 8.1 itself would say 0."""
    done = subprocess.run(
        [python, "-m", "remusnet", *words], check=False, capture_output=True, text=True, timeout=60
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith(" ".join(["Usage: remusnet", *words]))
