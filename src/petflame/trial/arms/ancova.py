"""Analysis of covariance of two arms, and the three published ways of calling its result a percentage.

All covariates are centred on the analysed patients, so the intercept is the control arm's adjusted mean and the arm
coefficient the adjusted difference, active minus control.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from scipy import stats

from petflame.trial.arms.blocks import Primary
from petflame.trial.blocks import complete
from petflame.trial.estimates import LEVEL, Matrix, NotEstimable, Vector, is_constant, percent_record, t_record

DEFINITIONS: dict[str, str] = {
    "difference": "Adjusted difference in follow-up mean TBRmax, active minus control, from the linear model "
    "Y_F ~ arm + Y_B (+ strata), t distribution on the residual degrees of freedom.",
    "adjusted_percent": "100 x adjusted difference / adjusted control mean at follow-up (covariates at their mean "
    "over the analysed patients); Fieller's interval (1954), which leaves zero out exactly where p < 0.05; the delta "
    "method's interval beside it as a check.",
}
# No scan and no table of TBR is exact to one part in ten million: less is rounding.
ROUNDING = 1e-7


@dataclass(frozen=True)
class Arms:
    """Complete cases of one endpoint.

    Attributes
    ----------
    ids : ndarray of str, shape (n,)
        Participants, sorted.
    active : ndarray, shape (n,)
        1 in the active arm, 0 in the control arm.
    baseline, followup : ndarray, shape (n,)
        The endpoint at the two visits (ratio, no unit).
    covariates : ndarray, shape (n, q)
        Indicator columns of the strata and other covariates, not centred.
    block : ndarray of int, shape (n,)
        Number of the patient's stratum (all strata columns together), for stratified resampling.
    names : tuple of str
        Names of the covariate columns.
    """

    ids: np.ndarray[Any, Any]
    active: Vector
    baseline: Vector
    followup: Vector
    covariates: Matrix
    block: np.ndarray[Any, np.dtype[np.int64]]
    names: tuple[str, ...] = ()

    @property
    def n(self) -> dict[str, int]:
        """Patients in each arm."""
        active = int(self.active.sum())
        return {"active": active, "control": self.active.size - active}

    def take(self, rows: np.ndarray[Any, Any]) -> Arms:
        """Return the chosen patients."""
        covariates = self.covariates[rows]
        keep = [k for k in range(covariates.shape[1]) if not is_constant(covariates[:, k])]
        return Arms(
            self.ids[rows],
            self.active[rows],
            self.baseline[rows],
            self.followup[rows],
            covariates[:, keep],
            self.block[rows],
            tuple(self.names[k] for k in keep),
        )


@dataclass(frozen=True)
class Fit:
    """A fitted linear model.

    Attributes
    ----------
    coef : ndarray, shape (p,)
        Intercept, arm, baseline, then covariates.
    cov : ndarray, shape (p, p)
        Covariance of the coefficients.
    df : float
        Residual degrees of freedom.
    sigma : float
        Residual standard deviation.
    residuals : ndarray, shape (n,)
    design : ndarray, shape (n, p)
    """

    coef: Vector
    cov: Matrix
    df: float
    sigma: float
    residuals: Vector
    design: Matrix

    def contrast(self, weights: Vector) -> dict[str, float]:
        """Return a linear combination of the coefficients with its t interval."""
        se = float(np.sqrt(weights @ self.cov @ weights))
        return t_record(float(weights @ self.coef), se, self.df)


def make_arms(
    table: pd.DataFrame, baseline: str, followup: str, strata: tuple[str, ...] = (), covariates: tuple[str, ...] = ()
) -> Arms:
    """Build the complete cases of one endpoint from a table with participant_id and arm.

    Parameters
    ----------
    table : DataFrame
        One row a patient; rows with a missing value in any used column are left out.
    strata, covariates : tuple of str
        Columns taken as categories; numeric columns.
    """
    used = table.dropna(subset=["arm", baseline, followup, *strata, *covariates])
    parts = [pd.get_dummies(used[s].astype(str), prefix=s, drop_first=True, dtype=float) for s in strata]
    parts += [used[[c]].astype(float) for c in covariates]
    wide = pd.concat(parts, axis=1) if parts else pd.DataFrame(index=used.index)
    labels = np.array(["/".join(map(str, row)) for row in used[list(strata)].to_numpy()], dtype=object)
    return Arms(
        used["participant_id"].to_numpy(dtype=object),
        (used["arm"] == "active").to_numpy(dtype=float),
        used[baseline].to_numpy(dtype=float),
        used[followup].to_numpy(dtype=float),
        wide.to_numpy(dtype=float).reshape(len(used), wide.shape[1]),
        pd.factorize(labels, sort=True)[0].astype(np.int64),
        tuple(map(str, wide.columns)),
    )


def design_matrix(arms: Arms, baseline: Vector | None = None) -> Matrix:
    """Return columns intercept, arm, centred baseline, centred covariates.

    Raises
    ------
    NotEstimable
        When an arm has fewer than two patients, no residual degree of freedom is left, the baseline is constant, or
        the columns depend on one another.
    """
    n = arms.n
    if min(n.values()) < 2:
        raise NotEstimable(
            f"each arm needs at least two patients with both visits; there are {n['active']} active and "
            f"{n['control']} control"
        )
    base = arms.baseline if baseline is None else baseline
    if is_constant(base):
        raise NotEstimable("the baseline is the same in every patient, so the model cannot adjust for it")
    extra = np.column_stack([base[:, None], arms.covariates])
    design = np.column_stack([np.ones(base.size), arms.active, extra - extra.mean(axis=0)])
    check_design(design, arms.names)
    return design


def check_design(design: Matrix, names: tuple[str, ...] = ()) -> None:
    """Raise `NotEstimable` unless the columns are independent and leave a residual degree of freedom."""
    rows, columns = design.shape
    if rows <= columns:
        raise NotEstimable(f"{rows} patients leave no degree of freedom for {columns} coefficients")
    scale = np.linalg.norm(design, axis=0)
    if (scale == 0).any() or np.linalg.matrix_rank(design / scale, tol=1e-9) < columns:
        extra = f" with the covariates {', '.join(names)}" if names else ""
        raise NotEstimable(f"arm and covariates cannot be told apart{extra}: a column is constant or repeats others")


def fit_linear(response: Vector, design: Matrix) -> Fit:
    """Ordinary least squares.

    Raises
    ------
    NotEstimable
        When the residuals vanish, so that no standard error exists.
    """
    import statsmodels.api as sm

    result = sm.OLS(response, design).fit()
    residuals = np.asarray(result.resid)
    if float(np.abs(residuals).max()) <= ROUNDING * max(1.0, float(np.abs(response).max())):
        raise NotEstimable("no residual variation: the model fits every patient exactly, so nothing can be tested")
    return Fit(
        np.asarray(result.params),
        np.asarray(result.cov_params()),
        float(result.df_resid),
        float(np.sqrt(result.mse_resid)),
        residuals,
        design,
    )


def ancova(arms: Arms) -> Fit:
    """Fit the primary model Y_F ~ arm + Y_B (+ strata, covariates)."""
    return fit_linear(arms.followup, design_matrix(arms))


def difference_record(fit: Fit) -> dict[str, float]:
    """Return the adjusted difference with standard error, interval and p, under the names of ``arms.json``."""
    record = t_record(float(fit.coef[1]), float(np.sqrt(fit.cov[1, 1])), fit.df)
    return {"difference": record.pop("estimate"), **record}


def adjusted_percent(fit: Fit) -> dict[str, float | None]:
    """Return 100 x difference / control mean with Fieller's interval, and the delta method's beside it.

    Fieller's limits are null where the control mean itself cannot be told from zero, for then they do not exist.

    References
    ----------
    Fieller EC. J R Stat Soc B 1954;16:175-185.
    """
    control, difference = float(fit.coef[0]), float(fit.coef[1])
    gradient = 100 * np.array([-difference / control**2, 1 / control])
    se = float(np.sqrt(gradient @ fit.cov[:2, :2] @ gradient))
    t = float(stats.t.ppf(0.5 + LEVEL / 2, fit.df))
    value = 100 * difference / control
    low, high = fieller(fit.coef[:2], fit.cov[:2, :2], t)
    return {
        "adjusted_percent": value,
        "adjusted_percent_se": se,
        "adjusted_percent_low": None if low is None else 100 * low,
        "adjusted_percent_high": None if high is None else 100 * high,
        "adjusted_percent_delta_low": value - t * se,
        "adjusted_percent_delta_high": value + t * se,
    }


def fieller(means: Vector, cov: Matrix, t: float) -> tuple[float | None, float | None]:
    """Return Fieller's limits of means[1] / means[0]; null where the denominator cannot be told from zero.

    Parameters
    ----------
    means : ndarray, shape (2,)
        Denominator and numerator.
    cov : ndarray, shape (2, 2)
        Their covariance.
    t : float
        Quantile of the t distribution.

    Examples
    --------
    >>> low, high = fieller(np.array([4.0, 1.0]), np.diag([0.04, 0.01]), 2.0)
    >>> round(low, 4), round(high, 4)
    (0.1963, 0.3088)
    """
    square = float(means[0] ** 2 - t**2 * cov[0, 0])
    if square <= 0:
        return None, None
    middle = float(means[0] * means[1] - t**2 * cov[0, 1])
    rest = float(means[1] ** 2 - t**2 * cov[1, 1])
    root = float(np.sqrt(max(middle**2 - square * rest, 0.0)))
    return (middle - root) / square, (middle + root) / square


def primary_record(arms: Arms) -> Primary:
    """Return the primary block of ``arms.json``."""
    fit = ancova(arms)
    rank = fit.design.shape[1]
    weights = np.zeros((2, rank))
    weights[0, 0] = weights[1, :2] = 1
    control, active = fit.contrast(weights[0]), fit.contrast(weights[1])
    found = {
        "n": arms.n,
        **difference_record(fit),
        "control_mean": control["estimate"],
        "control_mean_se": control["se"],
        "active_mean": active["estimate"],
        "active_mean_se": active["se"],
        **adjusted_percent(fit),
        "slope": float(fit.coef[2]),
        "residual_sd": fit.sigma,
        "covariates": list(arms.names),
        "definition": DEFINITIONS["difference"],
        "adjusted_percent_definition": DEFINITIONS["adjusted_percent"],
    }
    return complete(Primary, found)


def log_ratio_percent(arms: Arms) -> dict[str, float]:
    """Return the percent difference from the log-scale model (as in Tawakol 2013)."""
    fit = fit_linear(np.log(arms.followup), design_matrix(arms, np.log(arms.baseline)))
    return percent_record(t_record(float(fit.coef[1]), float(np.sqrt(fit.cov[1, 1])), fit.df))


def percent_change(arms: Arms) -> Vector:
    """Return each patient's 100 (Y_F - Y_B) / Y_B."""
    return np.asarray(100 * (arms.followup / arms.baseline - 1))


def mean_percent_change_difference(arms: Arms) -> dict[str, float]:
    """Return the difference of the arms' mean percent changes, pooled t (as in the VIP-U trial)."""
    change = percent_change(arms)
    n = arms.n
    if min(n.values()) < 2:
        raise NotEstimable("each arm needs at least two patients with both visits")
    design = np.column_stack([np.ones(change.size), arms.active])
    fit = fit_linear(change, design)
    return _low_high(fit.contrast(np.array([0.0, 1.0])))


def percent_change_ancova(arms: Arms) -> dict[str, float]:
    """Return the arm coefficient of the percent change on arm and baseline."""
    fit = fit_linear(percent_change(arms), design_matrix(arms))
    record = t_record(float(fit.coef[1]), float(np.sqrt(fit.cov[1, 1])), fit.df)
    return _low_high(record)


def _low_high(record: Mapping[str, float]) -> dict[str, float]:
    renamed = {"ci_low": "low", "ci_high": "high"}
    return {renamed.get(key, key): value for key, value in record.items()}
