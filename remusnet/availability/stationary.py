"""Stationary distributions of finite chains, with small probabilities as exact as large ones."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from inspect import signature
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from remusnet.availability.states import StateSpace
from remusnet.errors import InvalidInput
from remusnet.extras import lacking

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix

_DENSE = 600
# A pass makes what is left so much smaller, in about ten steps; where it doesn't, factors are new.
_CLOSE = 1e-10
_CLOSE_ENOUGH = 1e-9
_STEPS = 60
_PASSES = 8
_ROUNDING = 1e-11
# Of a column's norm, what incomplete factors leave out; and how many times the matrix's entries
# they have at most.
_DROPPED = 1e-5
_FILL = 10

Vector = NDArray[np.float64]
Entries = tuple[Sequence[int], Sequence[int], Sequence[float]]


@dataclass(slots=True)
class Nearby:
    """The factors of the first large chain that was solved with it, which help to solve others.

    Chains that differ in a rate or two are so near that ten steps of GMRES, with these factors as
    its preconditioner, do what a factorization takes thirty times as long for.
    """

    factors: Any = None


def stationary(space: StateSpace, entries: Entries, nearby: Nearby | None = None) -> Vector:
    """The stationary vector of the chain with ``entries`` (from, to, rate or probability).

    States that are left for good get 0. ``nearby``: given with chains that are alike. Raises
    InvalidInput where the net dies, or may end in several ways; MissingDependency without scipy.
    """
    matrix = matrix_of(entries, len(space.states))
    members = _recurrent(space, matrix)
    inner = matrix[members][:, members]
    found = np.zeros(len(space.states))
    small = len(members) <= _DENSE
    found[members] = _gth(inner.toarray()) if small else _sparse(inner, nearby or Nearby())
    return found


def matrix_of(entries: Entries, size: int) -> csr_matrix:
    """Rates or probabilities from state to state, without the diagonal.

    Raises MissingDependency without scipy.
    """
    try:
        from scipy.sparse import coo_matrix
    except ImportError:
        raise lacking("this needs scipy", "availability") from None
    rows, columns, values = (np.array(each) for each in entries)
    apart = rows != columns
    return coo_matrix(
        (values[apart].astype(float), (rows[apart], columns[apart])), shape=(size, size)
    ).tocsr()


def _recurrent(space: StateSpace, matrix: csr_matrix) -> NDArray[np.int64]:
    """The states of the only class that is never left."""
    from scipy.sparse.csgraph import connected_components

    count, label = connected_components(matrix, directed=True, connection="strong")
    rows, columns = matrix.nonzero()
    crossing = label[rows] != label[columns]
    closed = sorted(set(range(count)) - set(label[rows[crossing]].tolist()))
    net = space.net
    for each in closed:
        members = np.flatnonzero(label == each)
        if len(members) == 1 and not space.steps[members[0]]:
            raise dead(space, int(members[0]))
    if len(closed) > 1:
        examples = " or ".join(
            f"({net.shown(space.states[int(np.flatnonzero(label == each)[0])])})"
            for each in closed[:2]
        )
        raise InvalidInput(
            f"net {net.name}: it ends in one of {len(closed)} parts for good, by chance: {examples}"
        )
    return np.flatnonzero(label == closed[0])


def dead(space: StateSpace, state: int) -> InvalidInput:
    """The error for a marking in which nothing is enabled."""
    net = space.net
    return InvalidInput(
        f"net {net.name}: a dead net: no transition is enabled "
        f"with {net.shown(space.states[state])}"
    )


def _gth(matrix: Vector) -> Vector:
    """Grassmann, Taksar, Heyman (1985): elimination without subtraction, exact for tiny values."""
    size = len(matrix)
    for k in range(size - 1, 0, -1):
        matrix[:k, k] /= matrix[k, :k].sum()
        matrix[:k, :k] += np.outer(matrix[:k, k], matrix[k, :k])
        # What the diagonal gathers is never looked at.
    found = np.zeros(size)
    found[0] = 1.0
    for k in range(1, size):
        found[k] = found[:k] @ matrix[:k, k]
    scaled: Vector = found / found.sum()
    return scaled


def _sparse(matrix: csr_matrix, nearby: Nearby) -> Vector:
    """The same by sparse LU, with the first state's value fixed: an M-matrix, no cancellation."""
    from scipy.sparse import diags
    from scipy.sparse.linalg import splu

    out = np.asarray(matrix.sum(axis=1)).ravel()
    balance = (diags(out) - matrix).T.tocsc()
    right = -balance[1:, 0].toarray().ravel()
    inner = balance[1:, 1:].tocsc()
    rest = _refined(nearby.factors, inner, right)
    if rest is None:
        nearby.factors = _incomplete(inner)
        rest = _refined(nearby.factors, inner, right)
    if rest is None:
        nearby.factors = splu(
            inner,
            permc_spec="MMD_AT_PLUS_A",
            diag_pivot_thresh=0.0,
            options={"SymmetricMode": True},
        )
        rest = nearby.factors.solve(right)
    found = np.concatenate(([1.0], np.maximum(rest, 0.0)))
    scaled: Vector = found / found.sum()
    return scaled


def _incomplete(matrix: Any) -> Any:
    """Factors of nearly ``matrix``, in a tenth of the time; None where there are none.

    What they lead to is as right as by the whole factors: `_refined` sees to that.
    """
    from scipy.sparse.linalg import spilu

    try:
        return spilu(matrix, drop_tol=_DROPPED, fill_factor=_FILL, diag_pivot_thresh=0.0)
    except RuntimeError:  # a zero on the diagonal, of what was dropped
        return None


def _refined(factors: Any, matrix: Any, right: Vector) -> Vector | None:
    """The solution by the ``factors`` of a matrix nearby; None where they don't lead to it.

    Each pass solves for what the last one has left, until that is rounding in every row, seen
    against what the row adds up: what is rare gets its digits there.
    """
    if factors is None or factors.shape != matrix.shape:
        return None
    from scipy.sparse.linalg import LinearOperator, gmres

    known = LinearOperator(matrix.shape, factors.solve)
    word = "rtol" if "rtol" in signature(gmres).parameters else "tol"  # of scipy below 1.12
    options: dict[str, Any] = {word: _CLOSE, "atol": 0.0, "restart": _STEPS, "maxiter": 2}
    found: Vector = np.zeros_like(right)
    left, sizes = right, abs(matrix)
    for _ in range(_PASSES):
        found = found + gmres(matrix, left, M=known, **options)[0]
        left = right - matrix @ found
        if not np.linalg.norm(left) <= _CLOSE_ENOUGH * np.linalg.norm(right):
            return None
        if np.all(np.abs(left) <= _ROUNDING * (sizes @ np.abs(found) + np.abs(right))):
            return found
    return None
