"""Signals wait for a safe moment, and nobody's handler is lost."""

from __future__ import annotations

import signal
import threading

import pytest

from remusnet.kernel.change.execute import Interrupted, interrupts


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_is_noted_and_raised_once_where_it_is_safe(number: signal.Signals) -> None:
    before = signal.getsignal(number)
    with interrupts() as noted:
        signal.raise_signal(number)
        with pytest.raises(Interrupted, match=f"stopped by {number.name}") as caught:
            noted.check()
        noted.check()
    assert caught.value.exit_code == 128 + number
    assert signal.getsignal(number) is before


def test_a_signal_that_was_ignored_is_ignored() -> None:
    """As under nohup."""
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with interrupts() as noted:
            signal.raise_signal(signal.SIGHUP)
            noted.check()
        assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, before)


def test_outside_the_main_thread_nothing_is_noted_and_nothing_breaks() -> None:
    done = []

    def run() -> None:
        with interrupts() as noted:
            noted.check()
            done.append(1)

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    assert done == [1]
