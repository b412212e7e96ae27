"""What scripts/record-call checks before it does anything, and the sound that it sends."""

from __future__ import annotations

import importlib.util
import subprocess
from pathlib import Path
from types import ModuleType

import pytest
from hypothesis import given
from hypothesis import strategies as st

SCRIPTS = Path(__file__).parents[2] / "scripts"


def load_make_audio() -> ModuleType:
    spec = importlib.util.spec_from_file_location("make_audio", SCRIPTS / "call/make_audio.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


make_audio = load_make_audio()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--seconds", "0"], "--seconds takes a whole number from 1 to 3600, not: 0"),
        (["--seconds", "3601"], "--seconds takes a whole number from 1 to 3600, not: 3601"),
        (["--seconds", "-1"], "--seconds takes a whole number from 1 to 3600, not: -1"),
        (["--seconds", "1.5"], "--seconds takes a whole number from 1 to 3600, not: 1.5"),
        (["--seconds", "$(id)"], "--seconds takes a whole number from 1 to 3600, not: $(id)"),
        (["--seconds"], "--seconds needs a value (see --help)"),
        (["--out", ""], "can't write a file here: "),
        (["--out", "/"], "can't write a file here: /"),
        (
            ["--out", "/no such folder/call.pcap"],
            "can't write a file here: /no such folder/call.pcap",
        ),
        (["call.pcap"], "unknown argument: call.pcap (see --help)"),
    ],
)
def test_wrong_usage_is_one_line_and_exit_code_2(arguments: list[str], message: str) -> None:
    run = subprocess.run(
        [SCRIPTS / "record-call", *arguments], capture_output=True, text=True, check=False
    )
    assert (run.returncode, run.stdout) == (2, "")
    assert run.stderr == f"scripts/record-call: {message}\n"


@pytest.mark.parametrize(
    ("sample", "code"),
    [(0, 0xD5), (-1, 0x55), (16, 0xD4), (32767, 0xAA), (-32768, 0x2A), (1000, 0xFA), (-1000, 0x7A)],
)
def test_alaw_gives_the_codes_of_g711(sample: int, code: int) -> None:
    assert make_audio.alaw(sample) == code


@given(st.integers(-32768, 32767))
def test_what_alaw_encodes_is_heard_again(sample: int) -> None:
    """Decoding (ITU-T G.711, table 1a) is off by at most half a step: 1/32 of it, or 8 at least."""
    code = make_audio.alaw(sample) ^ 0x55
    segment, step = code >> 4 & 7, code & 15
    magnitude = (step << 4) + 8 if segment == 0 else ((step << 4) + 0x108) << (segment - 1)
    decoded = magnitude if code & 0x80 else -magnitude
    assert abs(decoded - sample) <= max(8, abs(sample) / 32)


def test_the_same_arguments_make_the_same_audio() -> None:
    arguments = {"ssrc": 1, "seconds": 1, "pitch": 110.0}
    assert make_audio.capture(**arguments) == make_audio.capture(**arguments)
    assert make_audio.capture(**{**arguments, "ssrc": 2}) != make_audio.capture(**arguments)
