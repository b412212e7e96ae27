"""Whether a word on a command line is a capture, told by its content, else by its name."""

from __future__ import annotations

from pathlib import Path

from remusnet.capture import pcap, pcapng

_GZIP_MAGIC = b"\x1f\x8b"
_MAGICS = (*pcap.MAGICS, pcapng.MAGIC, _GZIP_MAGIC)
_SUFFIXES = (".pcap", ".pcapng", ".cap")


def is_capture(word: str) -> bool:
    """Whether ``word`` is a capture: ``-``, a file that begins as one does, or a name like one's.

    Only regular files are looked into: a pipe can be read once.
    """
    if word == "-":
        return True
    try:
        path = Path(word)
        if path.is_file():
            with path.open("rb") as file:
                if file.read(4).startswith(_MAGICS):
                    return True
    except (OSError, ValueError):
        pass  # reading it says so later
    return word.lower().removesuffix(".gz").endswith(_SUFFIXES)
