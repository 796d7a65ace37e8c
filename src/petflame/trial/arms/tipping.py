"""How far what is imputed must be wrong before p reaches alpha: deltas added in either arm, and in both."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import optimize, stats

from petflame.trial.arms.imputation import combined_variance
from petflame.trial.arms.missing import Imputer
from petflame.trial.estimates import LEVEL, Vector

# In residual standard deviations.
FARTHEST, STEP = 5.0, 0.25
DELTAS = (-2.0, -1.0, -0.5, 0.0, 0.5, 1.0, 2.0)
ANGLES = 46


@dataclass(frozen=True)
class Pooled:
    """Pooled results over deltas, each array of the deltas' shape."""

    difference: Vector
    se: Vector
    df: Vector

    @property
    def p(self) -> Vector:
        """Two-sided p."""
        return np.asarray(2 * stats.t.sf(np.abs(self.difference) / self.se, self.df))

    @property
    def half_width(self) -> Vector:
        """Half the 95 % interval."""
        return np.asarray(stats.t.ppf(0.5 + LEVEL / 2, self.df) * self.se)


class Surface:
    """The pooled difference as a function of both deltas (TBR), in closed form.

    A delta moves every completed-data estimate alike and its residual sum of squares as a quadratic, so that no
    model is fitted again: `at` gives what `Imputer.estimate` gives.
    """

    def __init__(self, imputer: Imputer) -> None:
        coef, residuals, self._unscaled = imputer.fit(imputer.completed)
        shifts = np.array([imputer.lost["active"], imputer.lost["control"]], dtype=float)
        moved, left, _ = imputer.fit(shifts)
        self._m, self._df = len(coef), imputer.df
        self._difference, self._between = float(coef[:, 1].mean()), float(coef[:, 1].var(ddof=1))
        self._moved = moved[:, 1]
        self._square = float((residuals**2).sum(axis=1).mean())
        self._cross = 2 * left @ residuals.mean(axis=0)
        self._products = left @ left.T

    def at(self, active: Vector | float, control: Vector | float) -> Pooled:
        """Return the pooled result with `active` and `control` added to what is imputed in these arms."""
        a, c = np.asarray(active, dtype=float), np.asarray(control, dtype=float)
        square = self._square + a * self._cross[0] + c * self._cross[1]
        square = square + a**2 * self._products[0, 0] + c**2 * self._products[1, 1] + 2 * a * c * self._products[0, 1]
        total, df, _ = combined_variance(square / self._df * self._unscaled, self._between, self._m, self._df)
        return Pooled(self._difference + a * self._moved[0] + c * self._moved[1], np.sqrt(total), df)


def tipping_point(imputer: Imputer, alpha: float = 1 - LEVEL) -> dict[str, Any]:
    """Return the smallest deltas that take p to `alpha`: in the active arm, in the control arm, and in both together.

    Deltas work against the effect: where active is lower, what is imputed rises in the active arm and falls in the
    control arm. Of both together, the combination nearest to the imputed values is sought, distance in residual SD.
    """
    surface, sd = Surface(imputer), imputer.residual_sd
    start = surface.at(0.0, 0.0)
    sign = 1.0 if float(start.difference) <= 0 else -1.0
    early = f"p is not below {alpha:g} even without a delta" if float(start.p) >= alpha else None
    record: dict[str, Any] = {"reason": "no follow-up is missing in the active arm", "grid": None}
    if imputer.imputed["active"]:
        deltas = sign * sd * np.arange(0, FARTHEST + STEP / 2, STEP)
        found = surface.at(deltas, 0.0)
        rows = zip(deltas, found.difference, found.p, strict=True)
        record["grid"] = [{"delta": float(d), "difference": float(e), "p": float(p)} for d, e, p in rows]
    radius: dict[str, float | None] = {}
    for arm, way in (("active", (1.0, 0.0)), ("control", (0.0, -1.0))):
        radius[arm] = None if early or not imputer.imputed[arm] else _radius(surface, sign * sd, way, alpha)
    record |= _one_way(imputer, "active", early, radius["active"], sign, alpha)
    return record | {
        "control": _one_way(imputer, "control", early, radius["control"], -sign, alpha),
        "nearest": _nearest(imputer, surface, early, sign, alpha),
    }


def _one_way(
    imputer: Imputer, arm: str, early: str | None, radius: float | None, sign: float, alpha: float
) -> dict[str, Any]:
    found: dict[str, Any] = dict.fromkeys(("delta", "delta_in_residual_sd"))
    if not imputer.imputed[arm]:
        return found | {"reason": f"no follow-up is missing in the {arm} arm"}
    if early:
        return found | {"reason": early}
    if radius is None:
        return found | {
            "reason": f"p stays below {alpha:g} up to a delta of {sign * FARTHEST * imputer.residual_sd:.2f}"
        }
    return {"delta": sign * radius * imputer.residual_sd, "delta_in_residual_sd": sign * radius, "reason": None}


def _radius(surface: Surface, scale: float, way: tuple[float, float], alpha: float) -> float | None:
    """Return how far to go in one way, in residual SD, until p first reaches `alpha`; None where it does not."""

    def excess(radius: Vector | float) -> Vector:
        return surface.at(way[0] * scale * radius, way[1] * scale * radius).p - alpha

    steps = np.arange(0, FARTHEST + STEP / 2, STEP)
    beyond = np.flatnonzero(excess(steps) >= 0)
    if not beyond.size:
        return None
    return float(optimize.brentq(excess, steps[beyond[0] - 1], steps[beyond[0]], xtol=1e-12))


def _nearest(imputer: Imputer, surface: Surface, early: str | None, sign: float, alpha: float) -> dict[str, Any]:
    keys = ("active_delta", "control_delta", "active_in_residual_sd", "control_in_residual_sd")
    record: dict[str, Any] = dict.fromkeys((*keys, "distance_in_residual_sd"))
    if early:
        return record | {"reason": early}
    sd = imputer.residual_sd

    def distance(angle: float) -> float:
        found = _radius(surface, sign * sd, (math.cos(angle), -math.sin(angle)), alpha)
        return math.inf if found is None else found

    if all(imputer.imputed.values()):
        angles = np.linspace(0, math.pi / 2, ANGLES)
        best = int(np.argmin([distance(a) for a in angles]))
        around = (angles[max(best - 1, 0)], angles[min(best + 1, ANGLES - 1)])
        refined = float(optimize.minimize_scalar(distance, bounds=around, method="bounded").x)
        angle = min((refined, float(angles[best])), key=distance)
    else:
        angle = 0.0 if imputer.imputed["active"] else math.pi / 2
    length = distance(angle)
    if math.isinf(length):
        return record | {"reason": f"p stays below {alpha:g} up to {FARTHEST:g} residual SD"}
    active, control = sign * length * math.cos(angle), -sign * length * math.sin(angle)
    # An arm without missing follow-up has no delta, not one of rounding.
    active, control = (
        value if imputer.imputed[arm] else 0.0 for arm, value in (("active", active), ("control", control))
    )
    values = (active * sd, control * sd, active, control, length)
    return {**dict(zip(record, values, strict=True)), "reason": None}


def delta_grid(imputer: Imputer) -> dict[str, Any]:
    """Return the result over a grid of deltas in the active and the control arm."""
    sd = imputer.residual_sd
    steps = {arm: np.array(DELTAS if n else (0.0,)) for arm, n in imputer.imputed.items()}
    active, control = (grid.ravel() for grid in np.meshgrid(steps["active"], steps["control"], indexing="ij"))
    found = Surface(imputer).at(active * sd, control * sd)
    half, p = found.half_width, found.p
    cells = [
        {
            "active_delta": float(active[k] * sd),
            "control_delta": float(control[k] * sd),
            "active_in_residual_sd": float(active[k]),
            "control_in_residual_sd": float(control[k]),
            "difference": float(found.difference[k]),
            "ci_low": float(found.difference[k] - half[k]),
            "ci_high": float(found.difference[k] + half[k]),
            "p": float(p[k]),
        }
        for k in range(active.size)
    ]
    return {"residual_sd": sd, "imputed": imputer.imputed, "cells": cells}
