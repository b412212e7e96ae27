"""What xl's log says of checkpoints, while it is written.

``xl -v remus`` says how many pages a checkpoint has, where its helper tells of its progress
(tools/libs/guest/xg_sr_save.c, send_dirty_pages: "Checkpointed save: 1024/4096").
"""

from __future__ import annotations

import re
from pathlib import Path
from types import TracebackType
from typing import Self

from remusnet.errors import InvalidInput, quoted

_PAGES = re.compile(rb"Checkpointed save: *[0-9]+/([0-9]+)")
_MOST = 1 << 20
_LONGEST_LINE = 4096


class XlLog:
    """The log at ``path`` from its end on, while xl writes it. Raises InvalidInput."""

    def __init__(self, path: Path) -> None:
        try:
            self._file = path.open("rb", buffering=0)
            self._file.seek(0, 2)
        except OSError as error:
            raise InvalidInput(f"{quoted(str(path))}: {error.strerror}") from None
        self._rest = b""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._file.close()

    def dirty_pages(self) -> int | None:
        """The dirty pages of the last checkpoint logged since the last call; None for none."""
        text = self._rest + (self._file.read(_MOST) or b"")
        whole, end, rest = text.rpartition(b"\n")
        # A line may end with a carriage return, and be written over by the next.
        self._rest = rest[-_LONGEST_LINE:] if end else text[-_LONGEST_LINE:]
        found = _PAGES.findall(whole)
        return int(found[-1]) if found else None
