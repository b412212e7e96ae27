from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.lib.browser import Browser, browser


@pytest.fixture(scope="session")
def chromium(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    """One for all tests: it takes a second to start."""
    with browser(tmp_path_factory.mktemp("profile")) as found:
        yield found
