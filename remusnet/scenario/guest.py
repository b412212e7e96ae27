"""What a checkpoint costs, for one guest: what it dirties, and how fast that is copied and sent.

    [memory]
    working-set = "64MiB"
    write-rate = "400mbit"

    [pause]
    base = "2ms"
    through = "8gbit"

    [commit]
    base = "3ms"
    through = "1gbit"

In an epoch in which the guest runs for t it dirties d = W (1 - exp(-r t / W)), for a working set
of W that it writes in no order, at r where nothing is dirty yet. It stands for base + d / through
while that is copied; the backup has it base + d / through after the resume. The linear part is
Remus's (Cully et al., NSDI 2008), the working set's that of pages drawn with equal chance.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from remusnet.scenario.quantity import Constant, Saturating
from remusnet.scenario.scenario import Checkpointing
from remusnet.schedule import ScheduleKind
from remusnet.tables.documents import parse
from remusnet.tables.fields import Fields
from remusnet.tables.mistakes import Mistake, MistakenFile

LARGEST_WORKING_SET = 1 << 44
LONGEST_NAME = 64


class GuestFileError(MistakenFile):
    """A guest file with mistakes."""


@dataclass(frozen=True, slots=True)
class GuestModel:
    """``working_set``: bytes; ``write_rate``, ``copy_rate``, ``send_rate``: bits a second.

    ``pause_ns``, ``commit_ns``: what a checkpoint takes where nothing is dirty.
    """

    name: str
    working_set: int
    write_rate: int
    pause_ns: int
    copy_rate: int
    commit_ns: int
    send_rate: int

    @property
    def pause(self) -> Saturating:
        """How long the guest stands."""
        return Saturating(self.pause_ns, self.write_rate, self.copy_rate, self.working_set)

    @property
    def commit(self) -> Saturating:
        """The time from the resume to the commit."""
        return Saturating(self.commit_ns, self.write_rate, self.send_rate, self.working_set)

    def checkpoints(self, planned: Checkpointing | None, interval_ns: int) -> Checkpointing:
        """Its checkpoints every ``interval_ns``, by the schedule of ``planned`` (None: xl's)."""
        if planned is None:
            planned = Checkpointing(
                ScheduleKind.XL, interval_ns, Constant(0), Constant(0), Constant(0)
            )
        return replace(
            planned,
            interval_ns=interval_ns,
            pause=self.pause,
            transfer=self.commit,
            commit_delay=Constant(0),
        )

    def to_toml(self) -> str:
        """As a file that `load` reads."""
        name = self.name.replace("\\", "\\\\").replace('"', '\\"')
        return (
            f'name = "{name}"\n\n'
            f'[memory]\nworking-set = {self.working_set}\nwrite-rate = "{self.write_rate}bit"\n\n'
            f'[pause]\nbase = "{self.pause_ns}ns"\nthrough = "{self.copy_rate}bit"\n\n'
            f'[commit]\nbase = "{self.commit_ns}ns"\nthrough = "{self.send_rate}bit"\n'
        )


def load(text: str, origin: str) -> GuestModel:
    """The guest that ``text`` describes; ``origin`` is its file's name, for messages.

    Raises GuestFileError with every mistake that it has.
    """
    found = parse(text)
    if isinstance(found, Mistake):
        raise GuestFileError(origin, (found,))
    mistakes: list[Mistake] = []
    fields = Fields(found, "", mistakes)
    name = fields.text(
        "name", "guest", f"one line of at most {LONGEST_NAME} characters", most=LONGEST_NAME
    )
    memory, pause, commit = (
        fields.inner(key) or Fields({}, key, mistakes) for key in ("memory", "pause", "commit")
    )
    model = GuestModel(
        name=name,
        working_set=memory.size("working-set", None, least=1, most=LARGEST_WORKING_SET),
        write_rate=memory.rate("write-rate", None),
        pause_ns=pause.duration("base", 0),
        copy_rate=pause.rate("through", None),
        commit_ns=commit.duration("base", 0),
        send_rate=commit.rate("through", None),
    )
    for each in (memory, pause, commit, fields):
        each.finish()
    if mistakes:
        raise GuestFileError(origin, tuple(mistakes))
    return model
