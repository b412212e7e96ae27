"""Chromium without a screen, asked over its debugging pipe: what a page is like at any size.

A window of headless Chromium is at least 500 pixels wide; the protocol's emulation knows no such
bound, and can be dark, or paper. https://chromedevtools.github.io/devtools-protocol/
"""

from __future__ import annotations

import base64
import fcntl
import json
import os
import select
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

_DEADLINE_S = 120.0


class Browser:
    """One page of a running Chromium. Use `browser` to start it."""

    def __init__(self, to: int, back: int) -> None:
        self._to, self._back = to, back
        self._rest = b""
        self._asked = 0
        self._session: str | None = None
        target = self.ask("Target.createTarget", url="about:blank")["targetId"]
        attached = self.ask("Target.attachToTarget", targetId=target, flatten=True)
        self._session = attached["sessionId"]
        self.ask("Page.enable")
        # As on a telephone: they lie over the page, and take none of its width.
        self.ask("Emulation.setScrollbarsHidden", hidden=True)

    def ask(self, method: str, **parameters: Any) -> dict[str, Any]:
        """The answer to one command of the protocol."""
        self._asked += 1
        message = {"id": self._asked, "method": method, "params": parameters}
        if self._session is not None:
            message["sessionId"] = self._session
        data = json.dumps(message).encode() + b"\0"
        while data:
            data = data[os.write(self._to, data) :]
        while True:
            answer = self._next()
            if answer.get("id") == self._asked:
                assert "error" not in answer, f"{method}: {answer['error']}"
                return dict(answer["result"])

    def _next(self) -> dict[str, Any]:
        deadline = time.monotonic() + _DEADLINE_S
        while b"\0" not in self._rest:
            ready, _, _ = select.select([self._back], [], [], deadline - time.monotonic())
            assert ready, "Chromium doesn't answer"
            read = os.read(self._back, 1 << 20)
            assert read, "Chromium has ended"
            self._rest += read
        message, self._rest = self._rest.split(b"\0", 1)
        return dict(json.loads(message))

    def show(
        self, page: Path, width: int, *, dark: bool = False, paper: bool = False, height: int = 900
    ) -> None:
        """Load ``page`` as a window of this width has it, or (``paper``) as a printer would."""
        self.ask(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=1,
            mobile=False,
        )
        self.ask(
            "Emulation.setEmulatedMedia",
            media="print" if paper else "screen",
            features=[{"name": "prefers-color-scheme", "value": "dark" if dark else "light"}],
        )
        self.ask("Page.navigate", url=page.as_uri())
        deadline = time.monotonic() + _DEADLINE_S
        wanted = [page.as_uri(), "complete"]
        while self.value("[document.URL.split('#')[0], document.readyState]") != wanted:
            assert time.monotonic() < deadline, "the page doesn't load"
            time.sleep(0.02)

    def value(self, expression: str) -> Any:
        """What JavaScript makes of an expression, as JSON has it."""
        found = self.ask("Runtime.evaluate", expression=expression, returnByValue=True)
        assert "exceptionDetails" not in found, found["exceptionDetails"]
        return found["result"].get("value")

    def picture(self) -> bytes:
        """The whole page as PNG."""
        found = self.ask("Page.captureScreenshot", format="png", captureBeyondViewport=True)
        return base64.b64decode(found["data"])

    def printed(self) -> bytes:
        """The page as a PDF: A4, and what the page itself says of margins."""
        self.ask("Emulation.setEmulatedMedia", media="print", features=[])
        found = self.ask(
            "Page.printToPDF",
            paperWidth=8.27,
            paperHeight=11.69,
            printBackground=False,
            preferCSSPageSize=True,
        )
        return base64.b64decode(found["data"])


@contextmanager
def browser(profile: Path) -> Iterator[Browser]:
    """Chromium with an empty ``profile``, which ends with the block."""
    ours_in, to = os.pipe()
    back, ours_out = os.pipe()
    # Above 9: the shell below moves them to 3 and 4, and none may be in the way of another.
    their_in, their_out = (fcntl.fcntl(each, fcntl.F_DUPFD, 10) for each in (ours_in, ours_out))
    arguments = [
        "chromium",
        *("--headless", "--no-sandbox", "--disable-gpu", "--no-first-run"),
        "--disable-background-networking",
        # In a container /dev/shm may be tiny.
        "--disable-dev-shm-usage",
        "--remote-debugging-pipe",
        f"--user-data-dir={profile}",
    ]
    # It reads from 3 and writes to 4, whatever numbers the pipes have here.
    shell = f'exec "$@" 3<&{their_in} 4>&{their_out}'
    process = subprocess.Popen(
        ["bash", "-c", shell, "bash", *arguments],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        pass_fds=(their_in, their_out),
    )
    for each in (ours_in, ours_out, their_in, their_out):
        os.close(each)
    try:
        found = Browser(to, back)
        yield found
        found._session = None
        found.ask("Browser.close")
        process.wait(30)
    finally:
        process.kill()
        process.wait()
        os.close(to)
        os.close(back)
