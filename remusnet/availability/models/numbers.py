"""Parameters by name, and which of them a model was made of."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

Key = tuple[tuple[str, float], ...]


class Numbers(Mapping[str, float]):
    """A number for each parameter's name; notes which were ``used``.

    ``local``: those that an inclusion has given in their place, which are no parameters.
    """

    def __init__(
        self,
        base: Mapping[str, float],
        local: Mapping[str, float] | None = None,
        used: set[str] | None = None,
    ) -> None:
        self._base, self._local = base, dict(local or {})
        self.used: set[str] = set() if used is None else used

    def __getitem__(self, name: str) -> float:
        if name in self._local:
            return self._local[name]
        found = self._base[name]
        self.used.add(name)
        return found

    def __contains__(self, name: object) -> bool:
        return name in self._base

    def __iter__(self) -> Iterator[str]:
        return iter(self._base)

    def __len__(self) -> int:
        return len(self._base)

    def with_local(self, local: Mapping[str, float]) -> Numbers:
        """The same, but for what an inclusion gives."""
        return Numbers(self._base, {**self._local, **local}, self.used)

    @property
    def key(self) -> Key:
        """What tells two inclusions of one module apart."""
        return tuple(sorted(self._local.items()))
