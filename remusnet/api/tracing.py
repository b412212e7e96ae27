"""Where a vif's frames go: ``remusnet trace``."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from remusnet.errors import InvalidInput, quoted
from remusnet.results.tracing import Trace, TracedFrame


def trace(
    vif: str,
    *,
    run_dir: Path,
    listed: int,
    tell: Callable[[TracedFrame], None],
    is_over: Callable[[], bool],
    longest_ns: int | None = None,
    write: Path | None = None,
    begun: Callable[[], None] = lambda: None,
) -> Trace:
    """Traces ``vif`` as `remusnet.kernel.trace.run.trace` does.

    ``write``: a pcapng file, which gets the ``listed`` first frames in the end, whatever became of
    them, each with a comment. Raises what that does, and InvalidInput for an unwritable file.
    """
    from remusnet.kernel.trace.run import trace as run

    if write is not None and not write.absolute().parent.is_dir():
        raise InvalidInput(f"no such folder: {quoted(str(write.absolute().parent))}")
    sample: list[TracedFrame] = []

    def keep(frame: TracedFrame) -> None:
        sample.append(frame)
        tell(frame)

    done = run(
        vif,
        run_dir=run_dir,
        listed=listed,
        tell=tell if write is None else keep,
        is_over=is_over,
        longest_s=None if longest_ns is None else longest_ns / 1e9,
        begun=begun,
    )
    if write is not None:
        from remusnet.capture.commented import write_commented
        from remusnet.report.tracing import frame_comment

        sample.sort(key=lambda each: each.number)
        found = ((each.time_ns, each.data, frame_comment(each)) for each in sample)
        write_commented(write, vif, found)
    return done
