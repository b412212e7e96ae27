"""The reading of files that people write."""

from __future__ import annotations

from pathlib import Path

import pytest

from remusnet.policy.toml import load
from remusnet.tables.documents import LARGEST, read_text
from remusnet.tables.mistakes import MistakenFile

RIGHT = b'name = "mine"\ndefault = "hold"\n'


def refusal(path: str | Path) -> str:
    with pytest.raises(MistakenFile) as caught:
        read_text(str(path))
    assert str(caught.value).isprintable()
    return str(caught.value).replace(f"{path}: ", "")


def test_a_file_that_can_not_be_read_is_invalid_input_on_one_line(tmp_path: Path) -> None:
    assert refusal(tmp_path / "a.toml") == "No such file or directory; expected a file to read"
    assert refusal(tmp_path) == "Is a directory; expected a file to read"
    assert refusal("x" * 5000) == "File name too long; expected a file to read"
    for name in ("a\0.toml", "a\ud800.toml"):
        assert "no file can have this name; expected a file's name" in refusal(name)
    # A link to itself cannot be opened, not by root either.
    loop = tmp_path / "loop.toml"
    loop.symlink_to(loop)
    assert refusal(loop).startswith("Too many levels of symbolic links")


def test_a_file_that_is_not_text_is_invalid_input(tmp_path: Path) -> None:
    file = tmp_path / "a.toml"
    file.write_bytes(RIGHT + b"# caf\xe9\n")
    assert refusal(file) == f"not UTF-8 (byte {len(RIGHT) + 6}); expected text in UTF-8"


def test_a_file_of_a_mebibyte_is_read_and_a_larger_one_is_not(tmp_path: Path) -> None:
    file = tmp_path / "a.toml"
    file.write_bytes(RIGHT + b"#" * (LARGEST - len(RIGHT)))
    assert len(read_text(str(file))) == LARGEST
    file.write_bytes(RIGHT + b"#" * (LARGEST - len(RIGHT) + 1))
    assert refusal(file) == "too large; expected at most 1 MiB"


def test_an_endless_file_is_too_large() -> None:
    assert refusal("/dev/zero") == "too large; expected at most 1 MiB"


def test_a_byte_order_mark_is_no_mistake(tmp_path: Path) -> None:
    file = tmp_path / "a.toml"
    file.write_bytes(b"\xef\xbb\xbf" + RIGHT.replace(b"\n", b"\r\n"))
    assert load(read_text(str(file)), "mine.toml").name == "mine"
