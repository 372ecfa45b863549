"""L2-penalised logistic regression on embeddings, its penalty chosen by cross-validation, and how sure it is of each.

Embeddings have more dimensions than there are decisions as a rule; so all is done in the span of the pictures, which
an L2 penalty never leaves.
"""

import warnings
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import log_expit
from sklearn.decomposition import PCA
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedGroupKFold
from sklearn.preprocessing import StandardScaler

Matrix = NDArray[np.float64]
Labels = NDArray[np.bool_]
Places = NDArray[np.int64]

PENALTIES = tuple(10.0**power for power in (4, 3.5, 3, 2.5, 2, 1.5, 1, 0))  # strong to weak; of a sum over pictures
FOLDS = 5
SETTLED, STEPS = 1e-6, 1000  # of L-BFGS, on the mean over pictures


@dataclass(frozen=True)
class Span:
    """Where the pictures of a fit lie, once every dimension has mean 0 and deviation 1."""

    scaler: StandardScaler
    pca: PCA

    @classmethod
    def of(cls, x: Matrix) -> "Span":
        """Of pictures (n,d)."""
        scaler = StandardScaler().fit(x)
        return cls(scaler, PCA().fit(scaler.transform(x)))

    def __call__(self, x: Matrix) -> Matrix:
        """(n,d) -> (n,r)."""
        inside: Matrix = self.pca.transform(self.scaler.transform(x))
        return inside

    def beyond(self, x: Matrix) -> Matrix:
        """(n,d) -> (n,), the squared length of what the span does not reach."""
        left: Matrix = np.maximum((self.scaler.transform(x) ** 2).sum(1) - (self(x) ** 2).sum(1), 0)
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


def fit(x: Matrix, y: Labels, groups: Places) -> Logistic:
    """(n,d), (n,) -> with the penalty that has the least log loss on held-out folds of `groups`."""
    span = Span.of(x)
    z = span(x)
    penalty = _best_penalty(z, y, groups)
    found = LogisticRegression(C=1 / penalty, tol=SETTLED, max_iter=STEPS).fit(z, y)
    weight = found.coef_[0] @ span.pca.components_ / span.scaler.scale_
    bias = float(found.intercept_[0] - weight @ span.scaler.mean_)
    return Logistic(weight, bias, span, _covariance(z, found.predict_proba(z)[:, 1], penalty), penalty)


def folds(groups: Places, y: Labels) -> list[tuple[Places, Places]]:
    """At most FOLDS times (the places of the rest, those held out); no picture is held out twice.

    A group lies on one side, and the rest has decisions of both kinds.
    """
    number = min(FOLDS, len(np.unique(groups)))
    if number < 2:
        return []
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "The least populated class", UserWarning)  # such folds are left out below
        made = list(StratifiedGroupKFold(number, shuffle=True, random_state=0).split(y, y, groups))
    return [(rest, held) for rest, held in made if len(held) and len(np.unique(y[rest])) == 2]


def _best_penalty(z: Matrix, y: Labels, groups: Places) -> float:
    losses = np.zeros(len(PENALTIES))
    for rest, held in folds(groups, y):
        model = LogisticRegression(warm_start=True, tol=SETTLED, max_iter=STEPS)
        for number, penalty in enumerate(PENALTIES):
            odds = model.set_params(C=1 / penalty).fit(z[rest], y[rest]).decision_function(z[held])
            losses[number] -= log_expit(np.where(y[held], odds, -odds)).sum()
    return PENALTIES[int(losses.argmin())]


def _covariance(z: Matrix, p: Matrix, penalty: float) -> Matrix:
    known = np.column_stack([z, np.ones(len(z))])
    hessian = (known * (p * (1 - p))[:, None]).T @ known
    hessian[np.diag_indices(z.shape[1])] += penalty  # the bias is free
    return np.asarray(np.linalg.inv(hessian), dtype=np.float64)
