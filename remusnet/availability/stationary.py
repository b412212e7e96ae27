"""Stationary distributions of finite chains, with small probabilities as exact as large ones."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from remusnet.availability.states import StateSpace
from remusnet.errors import InvalidInput
from remusnet.extras import lacking

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix

_DENSE = 600

Vector = NDArray[np.float64]
Entries = tuple[Sequence[int], Sequence[int], Sequence[float]]


def stationary(space: StateSpace, entries: Entries) -> Vector:
    """The stationary vector of the chain with ``entries`` (from, to, rate or probability).

    States that are left for good get 0. Raises InvalidInput where the net dies, or may end in
    several ways; MissingDependency without scipy.
    """
    matrix = matrix_of(entries, len(space.states))
    members = _recurrent(space, matrix)
    inner = matrix[members][:, members]
    found = np.zeros(len(space.states))
    found[members] = _gth(inner.toarray()) if len(members) <= _DENSE else _sparse(inner)
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


def _sparse(matrix: csr_matrix) -> Vector:
    """The same by sparse LU, with the first state's value fixed: an M-matrix, no cancellation."""
    from scipy.sparse import diags
    from scipy.sparse.linalg import splu

    out = np.asarray(matrix.sum(axis=1)).ravel()
    balance = (diags(out) - matrix).T.tocsc()
    right = -balance[1:, 0].toarray().ravel()
    solver = splu(
        balance[1:, 1:].tocsc(),
        permc_spec="MMD_AT_PLUS_A",
        diag_pivot_thresh=0.0,
        options={"SymmetricMode": True},
    )
    rest = np.maximum(solver.solve(right), 0.0)
    found = np.concatenate(([1.0], rest))
    scaled: Vector = found / found.sum()
    return scaled
