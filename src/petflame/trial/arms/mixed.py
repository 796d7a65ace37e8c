"""Linear mixed model with a random intercept for each patient: REML and Kenward-Roger inference.

Own code: the mixed models of statsmodels give only z tests, and no permissively licensed package gives Kenward and
Roger's degrees of freedom. Checked against R's lme4 and pbkrtest.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from scipy import optimize, stats

from petflame.trial.arms.ancova import check_design
from petflame.trial.estimates import Matrix, NotEstimable, Vector, t_record


@dataclass(frozen=True)
class MixedFit:
    """A fitted random-intercept model.

    Attributes
    ----------
    coef : ndarray, shape (p,)
    cov : ndarray, shape (p, p)
        Model-based covariance of the coefficients.
    cov_adjusted : ndarray, shape (p, p)
        Kenward and Roger's small-sample covariance.
    tau2, sigma2 : float
        Variance between patients and residual variance.
    reml : float
        Restricted log-likelihood up to a constant.
    """

    coef: Vector
    cov: Matrix
    cov_adjusted: Matrix
    tau2: float
    sigma2: float
    reml: float
    _p: Matrix
    _w: Matrix

    def test(self, contrast: Matrix) -> dict[str, float]:
        """Kenward-Roger F test of ``contrast @ coef = 0``, contrast of shape (l, p) and full row rank.

        Returns
        -------
        dict
            f, ndf, ddf, scaling, p.
        """
        rank = contrast.shape[0]
        projection = contrast.T @ np.linalg.solve(contrast @ self.cov @ contrast.T, contrast)
        inner = np.array([projection @ self.cov @ p @ self.cov for p in self._p])
        traces = np.trace(inner, axis1=1, axis2=2)
        a1 = float(traces @ self._w @ traces)
        a2 = float(np.einsum("ij,iab,jba->", self._w, inner, inner))
        b = (a1 + 6 * a2) / (2 * rank)
        g = ((rank + 1) * a1 - (rank + 4) * a2) / ((rank + 2) * a2)
        base = 3 * rank + 2 * (1 - g)
        c1, c2, c3 = g / base, (rank - g) / base, (rank + 2 - g) / base
        mean = 1 / (1 - a2 / rank)
        variance = 2 / rank * (1 + c1 * b) / ((1 - c2 * b) ** 2 * (1 - c3 * b))
        ratio = variance / (2 * mean**2)
        ddf = 4 + (rank + 2) / (rank * ratio - 1)
        scaling = ddf / (mean * (ddf - 2))
        value = contrast @ self.coef
        wald = float(value @ np.linalg.solve(contrast @ self.cov_adjusted @ contrast.T, value)) / rank
        f = scaling * wald
        return {"f": f, "ndf": rank, "ddf": ddf, "scaling": scaling, "p": float(stats.f.sf(f, rank, ddf))}

    def coefficient(self, k: int) -> dict[str, float]:
        """Return one coefficient with Kenward-Roger standard error, degrees of freedom, interval and p."""
        return self.combination(np.eye(self.coef.size)[k])

    def combination(self, weights: Vector) -> dict[str, float]:
        """Return ``weights @ coef`` with Kenward-Roger standard error, degrees of freedom, interval and p."""
        se = float(np.sqrt(weights @ self.cov_adjusted @ weights))
        return t_record(float(weights @ self.coef), se, self.test(weights[None, :])["ddf"])


def _reml(ratio: float, y: Vector, x: Matrix, groups: Matrix, sizes: Vector) -> tuple[float, Vector, Matrix, float]:
    """Return REML log-likelihood, coefficients, X'R^-1X inverse and residual variance at ratio = tau2 / sigma2."""
    shrink = ratio / (1 + ratio * sizes)
    sums_x, sums_y = groups.T @ x, groups.T @ y
    normal = x.T @ x - sums_x.T @ (shrink[:, None] * sums_x)
    moment = x.T @ y - sums_x.T @ (shrink * sums_y)
    inverse = np.linalg.inv(normal)
    coef = inverse @ moment
    residual = y - x @ coef
    sums_r = groups.T @ residual
    square = float(residual @ residual - sums_r @ (shrink * sums_r))
    df = y.size - x.shape[1]
    sigma2 = square / df
    loglik = -0.5 * (df * np.log(sigma2) + np.log1p(ratio * sizes).sum() + np.linalg.slogdet(normal)[1])
    return float(loglik), coef, inverse, sigma2


def fit_random_intercept(y: Vector, x: Matrix, patient: np.ndarray[Any, Any]) -> MixedFit:
    """Fit y = x b + u[patient] + e by restricted maximum likelihood.

    Parameters
    ----------
    y : ndarray, shape (n,)
    x : ndarray, shape (n, p)
        Fixed effects, of full rank.
    patient : ndarray, shape (n,)
        Grouping labels.

    Raises
    ------
    NotEstimable
        When no patient has more than one row, the columns depend on one another, or the fit is exact.

    References
    ----------
    Kenward MG, Roger JH. Small sample inference for fixed effects from restricted maximum likelihood.
    Biometrics 1997;53:983-997.
    """
    check_design(x)
    codes, labels = pd.factorize(patient)
    groups = np.zeros((y.size, len(labels)))
    groups[np.arange(y.size), codes] = 1
    sizes = groups.sum(axis=0)
    if sizes.max() < 2:
        raise NotEstimable("no patient has more than one vessel, so variation within patients cannot be seen")
    if len(labels) <= x.shape[1]:
        raise NotEstimable(f"{len(labels)} patients are too few for {x.shape[1]} fixed effects")

    def loss(log_ratio: float) -> float:
        return -_reml(float(np.exp(log_ratio)), y, x, groups, sizes)[0]

    zero = _reml(0.0, y, x, groups, sizes)
    if zero[3] <= 1e-20 * float(y @ y) / y.size:
        raise NotEstimable("the model fits every value exactly")
    grid = np.linspace(-12, 8, 41)
    best = int(np.argmin([loss(v) for v in grid]))
    bounds = (grid[max(best - 1, 0)], grid[min(best + 1, grid.size - 1)])
    found = optimize.minimize_scalar(loss, bounds=bounds, method="bounded", options={"xatol": 1e-11})
    ratio = float(np.exp(found.x)) if -found.fun > zero[0] else 0.0
    loglik, coef, inverse, sigma2 = _reml(ratio, y, x, groups, sizes)
    return _kenward_roger(coef, inverse * sigma2, ratio * sigma2, sigma2, loglik, x, groups)


def _kenward_roger(
    coef: Vector, cov: Matrix, tau2: float, sigma2: float, loglik: float, x: Matrix, groups: Matrix
) -> MixedFit:
    between = groups @ groups.T
    weight = np.linalg.inv(tau2 * between + sigma2 * np.eye(x.shape[0]))
    parts = [weight @ between, weight]
    left = [part @ weight @ x for part in parts]
    p = np.array([-(x.T @ part) for part in left])
    q = np.array([[x.T @ parts[i] @ left[j] for j in range(2)] for i in range(2)])
    information = np.empty((2, 2))
    for i in range(2):
        for j in range(2):
            fixed = np.trace(2 * cov @ q[i, j] - cov @ p[i] @ cov @ p[j])
            information[i, j] = 0.5 * (float(np.sum(parts[i] * parts[j].T)) - fixed)
    w = np.linalg.inv(information)
    middle = sum(w[i, j] * (q[i, j] - p[i] @ cov @ p[j]) for i in range(2) for j in range(2))
    return MixedFit(coef, cov, cov + 2 * cov @ middle @ cov, tau2, sigma2, loglik, p, w)


def sum_contrasts(labels: pd.Series, levels: tuple[str, ...]) -> Matrix:
    """Return sum-to-zero columns, shape (n, levels - 1); the last level is -1 throughout."""
    columns = [(labels == level).to_numpy(float) - (labels == levels[-1]).to_numpy(float) for level in levels[:-1]]
    return np.column_stack(columns) if columns else np.empty((len(labels), 0))


def _model(rows: pd.DataFrame, strata: tuple[str, ...]) -> tuple[Vector, Matrix, Matrix, Matrix]:
    if rows.empty or rows["arm"].nunique() < 2:
        raise NotEstimable("both arms need measured vessels")
    levels = tuple(v for v in dict.fromkeys(rows["vessel"]))
    if len(levels) < 2:
        raise NotEstimable("fewer than two target vessels were measured")
    base = rows["tbr_max_baseline"].to_numpy(float)
    base = base - base.mean()
    extra = [pd.get_dummies(rows[s].astype(str), drop_first=True, dtype=float).to_numpy() for s in strata]
    nuisance = np.column_stack([np.ones(base.size), base, *extra])
    arm = (rows["arm"] == "active").to_numpy(float)
    return rows["tbr_max_followup"].to_numpy(float), nuisance, sum_contrasts(rows["vessel"], levels), arm[:, None]


def mixed_record(rows: pd.DataFrame, strata: tuple[str, ...] = ()) -> dict[str, Any]:
    """Return the arm difference of the mixed model over vessels, its variances and what it rests on.

    Parameters
    ----------
    rows : DataFrame
        A row a patient and vessel, complete: participant_id, arm, vessel, tbr_max_baseline, tbr_max_followup.
    """
    y, nuisance, vessel, arm = _model(rows, strata)
    x = np.column_stack([nuisance, vessel, arm])
    fit = fit_random_intercept(y, x, rows["participant_id"].to_numpy())
    record = fit.coefficient(x.shape[1] - 1)
    return {
        "difference": record.pop("estimate"),
        **record,
        "variance_between_patients": fit.tau2,
        "variance_residual": fit.sigma2,
        "on_boundary": fit.tau2 == 0,
        "patients": int(rows["participant_id"].nunique()),
        "rows": len(rows),
    }


def arm_by_vessel(rows: pd.DataFrame, strata: tuple[str, ...] = ()) -> dict[str, Any]:
    """Return Kenward-Roger F tests of baseline, vessel, arm and arm x vessel."""
    y, nuisance, vessel, arm = _model(rows, strata)
    x = np.column_stack([nuisance, vessel, arm, vessel * arm])
    fit = fit_random_intercept(y, x, rows["participant_id"].to_numpy())
    eye = np.eye(x.shape[1])
    first, width = nuisance.shape[1], vessel.shape[1]
    terms = {
        "baseline": slice(1, 2),
        "vessel": slice(first, first + width),
        "arm": slice(first + width, first + width + 1),
        "arm_by_vessel": slice(first + width + 1, x.shape[1]),
    }
    tests = {name: fit.test(eye[rows_]) for name, rows_ in terms.items()}
    return {**tests["arm_by_vessel"], "terms": tests}
