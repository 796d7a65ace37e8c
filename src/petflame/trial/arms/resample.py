"""Resampling of patients: the studentised permutation test and leave-one-out."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from petflame.files import write_tsv
from petflame.trial.arms.ancova import Arms, adjusted_percent, ancova, difference_record
from petflame.trial.choices import PERMUTATIONS
from petflame.trial.estimates import Matrix, NotEstimable, Vector, is_constant

CHUNK = 2000


def chunks(total: int) -> Iterator[int]:
    """Split a number of draws into parts that fit in memory."""
    while total > 0:
        yield min(CHUNK, total)
        total -= CHUNK


def permuted_arms(active: Vector, block: np.ndarray[Any, Any], count: int, rng: np.random.Generator) -> Matrix:
    """Return `count` rows of arms exchanged within blocks, shape (count, n).

    >>> rng = np.random.default_rng(0)
    >>> drawn = permuted_arms(np.array([1.0, 0, 1, 1]), np.array([0, 0, 1, 1]), 50, rng)
    >>> bool((drawn[:, :2].sum(axis=1) == 1).all()), bool((drawn[:, 2:] == 1).all())
    (True, True)
    """
    order = np.argsort(block, kind="stable")
    shuffled = np.argsort(rng.random((count, active.size)) + block[order], axis=1, kind="stable")
    drawn = np.empty((count, active.size))
    drawn[:, order] = active[order][shuffled]
    return drawn


def _t_statistics(drawn: Matrix, response: Vector, nuisance: Matrix, df: float) -> tuple[Vector, Vector]:
    """Return ordinary and HC3 t statistics of the arm for each row of `drawn` (Frisch-Waugh-Lovell)."""
    basis, _ = np.linalg.qr(nuisance)
    left = response - basis @ (basis.T @ response)
    arm = drawn - (drawn @ basis) @ basis.T
    square = np.einsum("ij,ij->i", arm, arm)
    # Exchanged arms that coincide with a covariate carry no information; they count as not extreme.
    usable = square > 1e-10
    square = np.where(usable, square, 1.0)
    slope = arm @ left / square
    residual = left[None, :] - slope[:, None] * arm
    variance = np.einsum("ij,ij->i", residual, residual) / df
    ordinary = slope / np.sqrt(np.maximum(variance, 1e-300) / square)
    leverage = np.einsum("ij,ij->i", basis, basis)[None, :] + arm**2 / square[:, None]
    weighted = arm * residual / np.maximum(1 - leverage, 1e-9)
    robust = slope * square / np.sqrt(np.maximum(np.einsum("ij,ij->i", weighted, weighted), 1e-300))
    return np.where(usable, ordinary, 0.0), np.where(usable, robust, 0.0)


def permutation_test(arms: Arms, permutations: int = PERMUTATIONS, seed: int = 0) -> dict[str, Any]:
    """Test that there is no effect by exchanging arms within strata.

    Parameters
    ----------
    permutations : int
        Number of random exchanges.
    seed : int
        Of numpy's default generator.

    Returns
    -------
    dict
        p (statistic studentised by HC3, which keeps it valid for unequal variances) and p_ordinary (by the pooled
        variance, valid only for the sharp null hypothesis of exchangeable patients).

    References
    ----------
    Chung E, Romano JP. Ann Stat 2013;41:484-507. DiCiccio CJ, Romano JP. J Am Stat Assoc 2017;112:1211-1220.
    """
    # An exact fit has no statistic: exchanged arms would be compared with rounding.
    design = ancova(arms).design
    nuisance = np.delete(design, 1, axis=1)
    df = float(design.shape[0] - design.shape[1])
    observed = [float(abs(t[0])) for t in _t_statistics(arms.active[None, :], arms.followup, nuisance, df)]
    rng = np.random.default_rng(seed)
    extreme = np.zeros(2, dtype=int)
    for count in chunks(permutations):
        drawn = permuted_arms(arms.active, arms.block, count, rng)
        for k, t in enumerate(_t_statistics(drawn, arms.followup, nuisance, df)):
            extreme[k] += int((np.abs(t) >= observed[k] * (1 - 1e-10)).sum())
    ordinary, robust = (float(p) for p in (1 + extreme) / (1 + permutations))
    return {
        "p": robust,
        "p_ordinary": ordinary,
        "monte_carlo_se": math.sqrt(robust * (1 - robust) / max(permutations, 1)),
        "permutations": permutations,
        "seed": seed,
        "strata": int(arms.block.max()) + 1,
    }


def leave_one_out(arms: Arms) -> tuple[dict[str, Any], pd.DataFrame]:
    """Refit the primary model without each patient.

    Returns
    -------
    summary : dict
        Range of the difference, of the percent and of p, and the patient whose absence moves the difference most.
    table : DataFrame
        participant_id, arm, difference, p, adjusted_percent of the fit without that patient.
    """
    whole = difference_record(ancova(arms))
    rows = []
    everyone = np.arange(arms.active.size)
    for k in everyone:
        rest = arms.take(everyone[everyone != k])
        try:
            fit = ancova(rest)
            record = {**difference_record(fit), **adjusted_percent(fit)}
        except NotEstimable:
            record = dict.fromkeys(("difference", "p", "adjusted_percent"), np.nan)
        rows.append(
            {
                "participant_id": arms.ids[k],
                "arm": "active" if arms.active[k] else "control",
                **{key: record[key] for key in ("difference", "p", "adjusted_percent")},
            }
        )
    table = pd.DataFrame(rows)
    fitted = table.dropna()
    if fitted.empty or is_constant(everyone.astype(float)):
        raise NotEstimable("the model cannot be fitted once a patient is left out")
    moved = int((fitted["difference"] - whole["difference"]).abs().to_numpy().argmax())
    return {
        "difference_low": float(fitted["difference"].min()),
        "difference_high": float(fitted["difference"].max()),
        "adjusted_percent_low": float(fitted["adjusted_percent"].min()),
        "adjusted_percent_high": float(fitted["adjusted_percent"].max()),
        "p_low": float(fitted["p"].min()),
        "p_high": float(fitted["p"].max()),
        "most_influential": str(fitted["participant_id"].iloc[moved]),
        "not_fitted": len(table) - len(fitted),
    }, table


def write_left_out(out: Path, table: pd.DataFrame) -> None:
    """Write ``leave_one_out.tsv``, the table of `leave_one_out`."""
    meanings = {
        "participant_id": ("participant left out", ""),
        "arm": ("arm of that participant", ""),
        "difference": ("adjusted difference without that participant, active minus control", "ratio"),
        "p": ("two-sided p of that difference", ""),
        "adjusted_percent": ("100 x difference / adjusted control mean without that participant", "percent"),
    }
    write_tsv(out / "leave_one_out.tsv", table, meanings)
