"""Missing follow-up of the active arm imputed as if it had behaved like the control arm."""

from __future__ import annotations

from typing import Any

import numpy as np

from petflame.trial.arms.imputation import draw_coefficients
from petflame.trial.arms.missing import Imputer, imputation_record
from petflame.trial.estimates import Matrix, NotEstimable


def jump_to_reference(imputer: Imputer) -> dict[str, Any]:
    """Return the difference where whoever is missing keeps the deviation from the own arm's baseline mean.

    Raises
    ------
    NotEstimable
        When no follow-up is missing in the active arm.

    References
    ----------
    Carpenter JR, Roger JH, Kenward MG. J Biopharm Stat 2013;23:1352-1371.
    """
    return imputation_record(imputer, imputer.pooled(reference_sets(imputer, keeps_deviation=True)))


def copy_reference(imputer: Imputer) -> dict[str, Any]:
    """Return the difference where whoever is missing counts as one of the control arm at both visits.

    See `jump_to_reference` for what it raises and its source.
    """
    return imputation_record(imputer, imputer.pooled(reference_sets(imputer, keeps_deviation=False)))


def reference_sets(imputer: Imputer, keeps_deviation: bool) -> Matrix:
    """Return completed sets, shape (m, n), the active arm's missing follow-up redrawn from the control arm's.

    Controls stay as imputed under missing at random. Slope and residual variance are common to the arms, and are
    drawn with the arms' means given each completed set: auxiliaries speak through those sets, and not in the redrawn
    values, for what the other vessels of an active patient did is no reference.
    """
    lost = imputer.lost["active"]
    if not lost.any():
        raise NotEstimable(
            "no follow-up is missing in the active arm, so this is the imputation under missing at random"
        )
    design, completed = imputer.design, imputer.completed
    # Both rules share their draws, so that they differ by the rule alone.
    rng = np.random.default_rng([imputer.seed, 1])
    coef, sigma = draw_coefficients(design, completed, rng)
    noise = sigma[:, None] * rng.standard_normal((len(completed), int(lost.sum())))
    others = np.delete(design, 2, axis=1)
    baselines = np.tile(design[:, 2], (len(completed), 1))
    apart = draw_coefficients(others, baselines, rng)[0][:, 1]
    as_control = design[lost].copy()
    as_control[:, 1] = 0
    drawn = coef @ as_control.T + noise
    if keeps_deviation:
        # By how much the arms' baseline means differ, carried to follow-up by the slope.
        drawn -= (coef[:, 2] * apart)[:, None]
    redrawn = completed.copy()
    redrawn[:, lost] = drawn
    return redrawn
