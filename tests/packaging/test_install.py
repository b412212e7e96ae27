from __future__ import annotations

import json
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

from remusnet import __version__
from tests.packaging.conftest import Installed, run

ROOT = Path(__file__).parents[2]
TEMPLATES = sorted(file.name for file in (ROOT / "tc_templates").glob("*.j2"))

# One worker for all of them: they share what they build.
pytestmark = [pytest.mark.packaging, pytest.mark.xdist_group("packaging")]


def test_there_are_templates_to_install() -> None:
    """Without one, the comparisons below would compare nothing with nothing."""
    assert TEMPLATES


def test_the_program_and_the_module_tell_the_version(installed: Installed) -> None:
    assert installed.program("--version") == f"remusnet {__version__}\n"
    assert installed.python("-m", "remusnet", "--version") == f"remusnet {__version__}\n"


def test_it_is_imported_from_where_it_was_installed(installed: Installed) -> None:
    file = installed.python("-c", "import remusnet; print(remusnet.__file__)")
    assert Path(file.strip()) == installed.home / "remusnet" / "__init__.py"


def test_the_templates_are_those_of_the_repository(installed: Installed) -> None:
    code = """
import importlib.resources, json
folder = importlib.resources.files("remusnet") / "tc_templates"
print(json.dumps({file.name: file.read_text() for file in folder.iterdir()}))
"""
    texts = json.loads(installed.python("-c", code))
    assert sorted(texts) == TEMPLATES
    for name, text in texts.items():
        assert text == (ROOT / "tc_templates" / name).read_text()


def test_the_types_are_installed(installed: Installed) -> None:
    """The front door's own are in a file beside it."""
    code = (
        "import importlib.resources as r; there = r.files('remusnet')\n"
        "print(all((there / each).is_file() for each in ('py.typed', '__init__.pyi')))"
    )
    assert installed.python("-c", code) == "True\n"


def test_the_front_door_opens_where_it_is_installed(installed: Installed) -> None:
    code = "import remusnet; print(remusnet.plan('vif1.0', rate='100mbit').limit)"
    assert installed.python("-c", code) == "5000000\n"


def test_every_module_can_be_imported(installed: Installed) -> None:
    """With the dependencies that the metadata names (in the wheel's case, with only those).

    Modules of `remusnet.sip` may lack what the extra ``sip`` brings, `remusnet.report.prometheus`
    what ``monitoring`` brings, and nothing else.
    """
    code = """
import importlib, pkgutil, remusnet
found = pkgutil.walk_packages(remusnet.__path__, "remusnet.")
# Running __main__ would run the program; whoever loads the plugin has pytest.
left_out = {"remusnet.__main__", "remusnet.pytest_plugin"}
names = [module.name for module in found if module.name not in left_out]
with_extra = ("remusnet.sip", "remusnet.report.prometheus", "remusnet.availability")
extra = {"sipmessage", "sqlalchemy", "dns", "prometheus_client", "numba", "scipy"}
for name in names:
    try:
        importlib.import_module(name)
    except ModuleNotFoundError as error:
        if not name.startswith(with_extra) or error.name.partition(".")[0] not in extra:
            raise
print(len(names))
"""
    assert int(installed.python("-c", code)) > 10


def test_the_wheel_holds_the_package_and_nothing_else(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
    assert {name.split("/")[0] for name in names} == {
        "remusnet",
        f"remusnet-{__version__}.dist-info",
    }
    assert any(name.endswith("/LICENSE") for name in names)


def test_the_sdist_has_the_templates_at_the_top_too(sdist: Path) -> None:
    with tarfile.open(sdist) as archive:
        files = {member.name.partition("/")[2]: member for member in archive if member.isfile()}
    for name in TEMPLATES:
        assert f"tc_templates/{name}" in files
        assert f"remusnet/tc_templates/{name}" in files
    assert {"LICENSE", "CHANGELOG.md", "setup.cfg", "pyproject.toml"} <= set(files)


def test_a_folder_installs_with_what_the_lock_names_and_asks_no_index(
    checkout: Path, tmp_path: Path
) -> None:
    """As root does it: without the isolation that would fetch a builder without a hash."""
    environment = tmp_path / "environment"
    run(sys.executable, "-m", "venv", "--without-pip", environment, cwd=tmp_path)
    pip = (sys.executable, "-m", "pip", "--python", environment / "bin" / "python", "install")
    lock = tmp_path / "builder.lock"
    text = (ROOT / "requirements.lock").read_text(encoding="utf-8")
    lock.write_text(text[text.index("\nsetuptools==") :], encoding="utf-8")
    run(*pip, "--quiet", "--require-hashes", "-r", lock, cwd=tmp_path)
    run(*pip, "--quiet", "--no-index", "--no-deps", "--no-build-isolation", checkout, cwd=tmp_path)
    assert (environment / "bin" / "remusnet").exists()
