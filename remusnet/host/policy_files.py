"""Policy files, read from the disk."""

from __future__ import annotations

from io import FileIO

from remusnet.files import open_input
from remusnet.policy import Policy, preset
from remusnet.policy.toml import PolicyFileError, is_policy_path, load
from remusnet.tables.mistakes import Mistake

LARGEST_POLICY_FILE = 1 << 20


def load_policy_file(path: str) -> Policy:
    """The policy in the file at ``path``.

    Raises PolicyFileError, one line, for a file that is missing, can not be read, is not UTF-8,
    is larger than `LARGEST_POLICY_FILE` bytes, or has mistakes.
    """
    return load(read_text(path), path)


def named_policy(word: str) -> Policy:
    """The shipped policy ``word``, or the one in the file at that path.

    Raises InvalidInput: for an unknown name with a suggestion, for a file as `load_policy_file`.
    """
    return load_policy_file(word) if is_policy_path(word) else preset(word)


def read_text(path: str, largest: int = LARGEST_POLICY_FILE) -> str:
    """The text of the file at ``path``, of ``largest`` bytes at most.

    Raises PolicyFileError, as `load_policy_file` does.
    """
    try:
        file, first = open_input(path)
        with file:
            content = _read(file, first, largest)
    except OSError as error:
        raise _unreadable(path, error.strerror or str(error), "a file to read") from None
    except ValueError:  # a null byte, say; Python's own words for it differ between versions
        raise _unreadable(path, "no file can have this name", "a file's name") from None
    if len(content) > largest:
        raise _unreadable(path, "too large", f"at most {largest >> 20} MiB")
    try:
        return content.decode("utf-8-sig")  # some editors begin a file with a byte order mark
    except UnicodeDecodeError as error:
        raise _unreadable(path, f"not UTF-8 (byte {error.start + 1})", "text in UTF-8") from None


def _read(file: FileIO, content: bytes, largest: int) -> bytes:
    """What follows ``content``, one byte more than a file can have at most."""
    while len(content) <= largest:
        more = file.read(largest + 1 - len(content))
        if not more:
            break
        content += more
    return content


def _unreadable(path: str, problem: str, expected: str) -> PolicyFileError:
    return PolicyFileError(path, (Mistake("", problem, expected),))
