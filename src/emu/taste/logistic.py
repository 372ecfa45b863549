"""L2-penalised logistic regression on embeddings, its penalty chosen by cross-validation, and how sure it is of each.

Embeddings have more dimensions than there are decisions as a rule; so all is done in the span of the pictures, which
an L2 penalty never leaves, and is the same to rounding.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, log_expit

Matrix = NDArray[np.float64]
Labels = NDArray[np.bool_]

PENALTIES = tuple(10.0**power for power in (4, 3.5, 3, 2.5, 2, 1.5, 1, 0))  # strong to weak; of a sum over pictures
FOLDS = 5
STEPS, SETTLED, NOTHING = 50, 1e-6, 1e-9  # of Newton's method, whose error falls to its square with every step


@dataclass(frozen=True)
class Span:
    """Where the pictures of a fit lie: `basis` (r,d) of what is left after `mean` and `scale`, by dimension (d,)."""

    mean: Matrix
    scale: Matrix
    basis: Matrix

    @classmethod
    def of(cls, x: Matrix) -> "Span":
        """Of pictures (n,d)."""
        spread = x.std(0)
        scale = np.where(spread > 1e-9, spread, 1.0)
        _, s, basis = np.linalg.svd((x - x.mean(0)) / scale, full_matrices=False)
        return cls(x.mean(0), scale, basis[s > 1e-9 * max(s[0], 1e-30)])

    def __call__(self, x: Matrix) -> Matrix:
        """(n,d) -> (n,r)."""
        inside: Matrix = ((x - self.mean) / self.scale) @ self.basis.T
        return inside

    def beyond(self, x: Matrix) -> Matrix:
        """(n,d) -> (n,), the squared length of what the span does not reach."""
        left: Matrix = np.maximum((((x - self.mean) / self.scale) ** 2).sum(1) - (self(x) ** 2).sum(1), 0)
        return left


@dataclass(frozen=True)
class Logistic:
    """log odds = weight . x + bias, for x (d,) as the embedder gave it.

    Args:
        span: of the pictures it was fitted on.
        covariance: (r+1,r+1) of coefficients and bias in it, Laplace's approximation (MacKay 1992).
        penalty: the one chosen.
    """

    weight: Matrix
    bias: float
    span: Span
    covariance: Matrix
    penalty: float

    def log_odds(self, x: Matrix) -> Matrix:
        """(n,d) -> (n,)."""
        found: Matrix = x @ self.weight + self.bias
        return found

    def spread(self, x: Matrix) -> Matrix:
        """(n,d) -> standard deviation (n,) of the log odds: large where nothing alike was decided yet."""
        known = np.column_stack([self.span(x), np.ones(len(x))])
        inside = np.einsum("ij,jk,ik->i", known, self.covariance, known, optimize=True)
        found: Matrix = np.sqrt(np.maximum(inside, 0) + self.span.beyond(x) / self.penalty)
        return found


def fit(x: Matrix, y: Labels, groups: NDArray[np.int64]) -> Logistic:
    """(n,d), (n,) -> with the penalty that has the least log loss on held-out folds of `groups`."""
    losses = np.zeros(len(PENALTIES))
    for held in folds(groups, y):
        span = Span.of(x[~held])
        z = span(x[held])
        for number, at in enumerate(path(span(x[~held]), y[~held], PENALTIES)):
            losses[number] -= log_expit(np.where(y[held], 1, -1) * (z @ at[:-1] + at[-1])).sum()
    best = int(losses.argmin())
    span = Span.of(x)
    z = span(x)
    at = path(z, y, PENALTIES[: best + 1])[-1]
    weight = at[:-1] @ span.basis / span.scale
    covariance = _covariance(at, z, PENALTIES[best])
    return Logistic(weight, float(at[-1] - weight @ span.mean), span, covariance, PENALTIES[best])


def folds(groups: NDArray[np.int64], y: Labels) -> list[Labels]:
    """At most FOLDS masks (n,), each group in exactly one: large groups first, to where there are fewest of their kind.

    Folds whose rest has decisions of one kind only are left out.
    """
    names, place = np.unique(groups, return_inverse=True)
    sizes = np.stack([np.bincount(place, y == kind, minlength=len(names)) for kind in (False, True)], axis=1)
    order = np.random.default_rng(0).permutation(len(names))
    order = order[np.argsort(-sizes[order].sum(1), kind="stable")]
    filled, fold = np.zeros((FOLDS, 2)), np.zeros(len(names), dtype=np.int64)
    for group in order:
        fold[group] = np.argmin((filled / np.maximum(sizes.sum(0), 1)) @ sizes[group])
        filled[fold[group]] += sizes[group]
    masks = [fold[place] == number for number in range(FOLDS)]
    return [held for held in masks if held.any() and len(np.unique(y[~held])) == 2]


def path(z: Matrix, y: Labels, penalties: Sequence[float]) -> list[Matrix]:
    """Coefficients and bias (r+1,) by falling penalties, each found from the one before by Newton's method."""
    found, at = list[Matrix](), np.zeros(z.shape[1] + 1)
    known = np.column_stack([z, np.ones(len(z))])
    for penalty in penalties:
        ridge = np.append(np.full(z.shape[1], penalty), 0.0)  # the bias is free
        for _ in range(STEPS):
            p = expit(known @ at)
            step = np.linalg.solve(_hessian(known, p, ridge), known.T @ (p - y) + ridge * at)
            now = _loss(at, known, y, ridge)
            while _loss(at - step, known, y, ridge) > now + NOTHING:
                step = step / 2
            at = at - step
            if np.abs(step).max() < SETTLED:
                break
        found.append(at)
    return found


def _loss(at: Matrix, known: Matrix, y: Labels, ridge: Matrix) -> float:
    """Negative log likelihood plus half of ridge . at^2."""
    odds = known @ at
    return float(-log_expit(np.where(y, odds, -odds)).sum() + (ridge * at**2).sum() / 2)


def _hessian(known: Matrix, p: Matrix, ridge: Matrix) -> Matrix:
    found: Matrix = (known * (p * (1 - p) + NOTHING)[:, None]).T @ known
    found[np.diag_indices(len(found))] += ridge
    return found


def _covariance(at: Matrix, z: Matrix, penalty: float) -> Matrix:
    known = np.column_stack([z, np.ones(len(z))])
    ridge = np.append(np.full(z.shape[1], penalty), 0.0)
    return np.asarray(np.linalg.inv(_hessian(known, expit(known @ at), ridge)), dtype=np.float64)
