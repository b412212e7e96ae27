from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from remusnet.availability.models.designs import DESIGNS
from remusnet.cli.main import main
from tests.lib.designs import FAILS, HOLDS, compared
from tests.unit.cli.test_availability_run import EXACT

ROOT = Path(__file__).parents[3]
SCHEMA: Any = json.loads((ROOT / "docs" / "reference" / "availability.schema.json").read_text())


def run(capsys: pytest.CaptureFixture[str], *args: str) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as ended:
        main(["availability", *args])
    out, err = capsys.readouterr()
    code = ended.value.code
    assert isinstance(code, int)
    return code, out, err


def valid(text: str) -> Any:
    document = json.loads(text)
    jsonschema.Draft202012Validator(SCHEMA).validate(document)
    return document


@pytest.fixture
def model(tmp_path: Path) -> str:
    path = tmp_path / "model.toml"
    path.write_text(EXACT.replace("a repair", "a <b>repair</b>"), encoding="utf-8")
    return str(path)


def test_every_document_is_as_the_schema_says(
    model: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    # The form of a comparison is the same for one design as for five.
    one = {"standard": DESIGNS["standard"]}
    monkeypatch.setattr("remusnet.availability.models.designs.DESIGNS", one)
    jsonschema.Draft202012Validator.check_schema(SCHEMA)
    asserted = ("--assert", "nines >= 2", "--assert", "probability < 1")
    simulated = ("--method", "simulation", "--relative-error", "20%")
    for words in (
        ("run", model, "--json"),
        ("run", model, "--json", *asserted),
        ("run", model, "--json", *asserted, *simulated, "--at", "1h"),
        ("sensitivity", model, "--json"),
        ("compare", "--json", "--service", "new-calls", "--assert", "nines >= 2"),
        ("compare", "--parameters", "--json"),
    ):
        document = valid(run(capsys, *words)[1])
        if "--service" in words:
            assert [each["service"] for each in document["designs"]] == ["new-calls"]


def test_what_the_schema_does_not_say_is_refused(
    model: str, capsys: pytest.CaptureFixture[str]
) -> None:
    document = valid(run(capsys, "run", model, "--json")[1])
    document["measures"][0]["method"] = "guess"
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.Draft202012Validator(SCHEMA).validate(document)


def test_a_report_has_all_that_was_found_and_loads_nothing(
    model: str, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    folder = tmp_path / "report"
    asked = ("--set", "mttr=2h", "--assert", "nines >= 2", "--report", str(folder))
    code, out, _ = run(capsys, "run", model, *asked)
    assert (code, f"wrote '{folder}/index.html'" in out) == (1, True)
    page = (folder / "index.html").read_text("utf-8")
    for expected in (
        "<h1>one</h1>",
        "1 of 1 assertions do not hold",
        "10415.05",
        "Which parameter buys the most",
        "a &lt;b&gt;repair&lt;/b&gt;",
        "nobody",
        "<title>fails: exponential, mean 4.125d</title>",
        f"run --set mttr=2h --assert &#39;nines &gt;= 2&#39; {model} --report DIR",
    ):
        assert expected in page, expected
    assert "<b>" not in page
    assert "http://" not in page.replace("http://www.w3.org/", "")
    document = valid((folder / "report.json").read_text("utf-8"))
    assert document["sensitivity"][0]["parameters"][0]["better"] == "halved"
    assert (folder / "values.csv").read_text("utf-8").startswith("design,name,kind,value,")
    # Again: the same bytes, in the place of the old one.
    before = {each.name: each.read_bytes() for each in folder.iterdir()}
    run(capsys, "run", model, *asked)
    assert {each.name: each.read_bytes() for each in folder.iterdir()} == before


@pytest.mark.slow
def test_a_comparison_has_a_report_and_assertions_by_design(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    seen = compared(tmp_path_factory)
    assert (seen.code, "1 of 2 assertions does not hold" in seen.err) == (1, True)
    assert f"ok        {HOLDS}: " in seen.out
    assert f"FAILED    {FAILS}: " in seen.out
    page = (seen.report / "index.html").read_text("utf-8")
    for expected in ("actors-on-remus: established-calls", "split brain", "TSWJ 165316"):
        assert expected in page
    for design in DESIGNS:
        assert f'aria-label="Sensitivity: {design}: new-calls"' in page
        assert f'aria-label="The net {design}"' in page
    valid((seen.report / "report.json").read_text("utf-8"))


def test_a_folder_with_something_else_in_it_is_left_alone(
    model: str, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    (tmp_path / "own").mkdir()
    (tmp_path / "own" / "notes.txt").write_text("mine")
    code, _, err = run(capsys, "run", model, "--report", str(tmp_path / "own"))
    assert code == 5
    assert "has files in it" in err
    assert [each.name for each in (tmp_path / "own").iterdir()] == ["notes.txt"]
