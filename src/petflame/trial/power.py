"""Designing a trial: closed forms, and simulation with the index vessel chosen anew in every trial."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any

import numpy as np
from scipy import stats

from petflame import __version__
from petflame.errors import FaultList, InputRefused
from petflame.files import read_json, write_json
from petflame.trial.batch import batch_ancova, batch_mean_difference
from petflame.trial.estimates import LEVEL, Matrix, Vector

SEED = 4241601


@dataclass(frozen=True)
class Design:
    """A two-arm trial of three target vessels, two visits.

    Attributes
    ----------
    patients_per_arm : int
    dropout : float
        Share without follow-up, lost at random.
    effect_percent : float
        True change of TBRmax by the drug, of every vessel, in percent.
    vessel_means : tuple of float
        Mean TBRmax (ratio) of ascending aorta, right and left carotid.
    between_patient_sd, between_vessel_sd : float
        SD of true TBRmax between patients, and of vessels within a patient (ratio).
    visit_cv : float
        Biological and technical variation of a whole visit (fraction).
    measurement_cv : float
        Variation of one vessel's measurement (fraction): the reliability study's within-subject CV.

    Notes
    -----
    The defaults give an index vessel of about the published baseline (mean 2.3, SD 0.28) and residual SD (0.257).
    """

    patients_per_arm: int = 30
    dropout: float = 0.0
    effect_percent: float = -7.7
    vessel_means: tuple[float, ...] = (2.26, 2.08, 2.08)
    between_patient_sd: float = 0.17
    between_vessel_sd: float = 0.09
    visit_cv: float = 0.083
    measurement_cv: float = 0.05

    def check(self) -> None:
        """Raise `InputRefused` with every value out of range."""
        faults = FaultList()
        if self.patients_per_arm < 3:
            faults.add(f"{self.patients_per_arm} is fewer than 3", "patients_per_arm", "give at least 3")
        if not 0 <= self.dropout < 1 or round(self.patients_per_arm * (1 - self.dropout)) < 3:
            faults.add(f"dropout {self.dropout} leaves fewer than 3 patients an arm", "dropout", "give a share below 1")
        if not -90 <= self.effect_percent <= 200:
            faults.add(f"{self.effect_percent} is out of range", "effect_percent", "give percent from -90 to 200")
        if not self.vessel_means or min(self.vessel_means) <= 0:
            faults.add("a vessel mean is not positive", "vessel_means", "give ratios above 0")
        for field in ("between_patient_sd", "between_vessel_sd", "visit_cv", "measurement_cv"):
            value = getattr(self, field)
            if not (math.isfinite(value) and value >= 0):
                faults.add(f"{value} is negative or not finite", field, "give 0 or more")
        if not faults and self.visit_cv + self.measurement_cv + self.between_patient_sd == 0:
            faults.add("nothing varies", "design", "give a variation above 0")
        faults.raise_if_any()


def sample_size_per_arm(difference: float, sd: float, power: float = 0.8, alpha: float = 0.05) -> float:
    """Return patients in each arm for a two-sample t test.

    Parameters
    ----------
    difference : float
        True difference between arms, in the units of `sd`.
    sd : float
        Within-arm SD; for an ANCOVA the residual SD, SD x sqrt(1 - correlation^2).

    >>> round(sample_size_per_arm(0.2, 0.265), 3)
    28.552
    """
    from statsmodels.stats.power import TTestIndPower

    return float(TTestIndPower().solve_power(abs(difference) / sd, power=power, alpha=alpha))


def two_sample_power(difference: float, sd: float, per_arm: float, alpha: float = 0.05) -> float:
    """Return the power of a two-sample t test.

    >>> round(two_sample_power(0.171, 0.265, 30), 6)
    0.690639
    """
    df, shift = 2 * per_arm - 2, abs(difference) / sd * math.sqrt(per_arm / 2)
    critical = float(stats.t.ppf(1 - alpha / 2, df))
    return float(stats.nct.sf(critical, df, shift) + stats.nct.cdf(-critical, df, shift))


def simulate_trials(design: Design, trials: int, rng: np.random.Generator) -> tuple[Matrix, Matrix, Vector]:
    """Simulate measured TBRmax of every vessel at both visits.

    Returns
    -------
    baseline, followup : ndarray, shape (trials, n, vessels)
    active : ndarray, shape (n,)
    """
    per_arm = round(design.patients_per_arm * (1 - design.dropout))
    active = np.repeat([1.0, 0.0], per_arm)
    shape = (trials, active.size, len(design.vessel_means))
    true = np.asarray(design.vessel_means) + rng.normal(0, design.between_patient_sd, (*shape[:2], 1))
    true = np.maximum(true + rng.normal(0, design.between_vessel_sd, shape), 1.0)
    visits = [
        true * np.exp(rng.normal(0, design.visit_cv, (*shape[:2], 1)) + rng.normal(0, design.measurement_cv, shape))
        for _ in range(2)
    ]
    effect = 1 + design.effect_percent / 100 * active
    return visits[0], visits[1] * effect[None, :, None], active


def take_index(baseline: Matrix, followup: Matrix) -> tuple[Matrix, Matrix]:
    """Return both visits of the vessel that is highest at baseline, shapes (trials, n)."""
    index = baseline.argmax(axis=2)[:, :, None]
    return np.take_along_axis(baseline, index, 2)[:, :, 0], np.take_along_axis(followup, index, 2)[:, :, 0]


def run_trials(design: Design, trials: int, seed: int) -> dict[str, dict[str, float]]:
    """Simulate trials and apply every endpoint's test.

    Returns
    -------
    dict
        Of each endpoint: rejection (share with p < 0.05 two-sided), mean estimate, its SD, mean standard error,
        coverage of the 95 % interval and Monte Carlo error of the rejection; and ``index``, what the design implies.
    """
    rng = np.random.default_rng(seed)
    parts: list[dict[str, Vector]] = []
    left = trials
    while left > 0:
        count = min(left, 1000)
        parts.append(_one_batch(*simulate_trials(design, count, rng), design.effect_percent))
        left -= count
    joined = {key: np.concatenate([p[key] for p in parts]) for key in parts[0]}
    found: dict[str, dict[str, float]] = {}
    for name in dict.fromkeys(key.split("|")[0] for key in joined):
        columns = {key.split("|")[1]: v for key, v in joined.items() if key.startswith(f"{name}|")}
        if name == "index":
            found[name] = {key: float(v.mean()) for key, v in columns.items()}
            continue
        rejection = float((columns["p"] < 1 - LEVEL).mean())
        found[name] = {
            "rejection": rejection,
            "monte_carlo_se": math.sqrt(rejection * (1 - rejection) / trials),
            "estimate_mean": float(columns["estimate"].mean()),
            "estimate_sd": float(columns["estimate"].std(ddof=1)),
            "se_mean": float(columns["se"].mean()),
            "coverage": float(((columns["low"] <= columns["truth"]) & (columns["truth"] <= columns["high"])).mean()),
        }
    return found


def _one_batch(baseline: Matrix, followup: Matrix, active: Vector, effect_percent: float) -> dict[str, Vector]:
    base, follow = take_index(baseline, followup)
    primary = batch_ancova(base, follow, active)
    means = batch_ancova(baseline.mean(axis=2), followup.mean(axis=2), active)
    fraction = effect_percent / 100
    ones = np.ones(base.shape[0])
    tests = {
        "index_ancova": primary.difference() | {"truth": fraction * follow[:, active == 0].mean() * ones},
        "index_adjusted_percent": primary.percent() | {"truth": effect_percent * ones},
        "index_log_ratio": batch_ancova(np.log(base), np.log(follow), active).difference()
        | {"truth": math.log1p(fraction) * ones},
        "vessel_mean_ancova": means.difference()
        | {"truth": fraction * followup.mean(axis=2)[:, active == 0].mean() * ones},
        "mean_percent_change_difference": _percent_change(base, follow, active, fraction),
        "followup_only": batch_mean_difference(follow, active)
        | {"truth": fraction * follow[:, active == 0].mean() * ones},
    }
    out = {f"{name}|{key}": value for name, test in tests.items() for key, value in test.items()}
    control = active == 0
    out["index|baseline_mean"] = base.mean(axis=1)
    out["index|baseline_sd"] = base[:, control].std(axis=1, ddof=1)
    out["index|residual_sd"] = primary.sigma
    out["index|slope"] = primary.coef[:, 2]
    out["index|control_change_without_drug"] = (follow - base)[:, control].mean(axis=1)
    return out


def _percent_change(base: Matrix, follow: Matrix, active: Vector, fraction: float) -> dict[str, Vector]:
    change = 100 * (follow / base - 1)
    control = 100 + change[:, active == 0].mean()
    return batch_mean_difference(change, active) | {"truth": fraction * control * np.ones(base.shape[0])}


def power(
    out: Path | None = None,
    *,
    patients_per_arm: int = Design.patients_per_arm,
    effect_percent: float = Design.effect_percent,
    dropout: float = Design.dropout,
    reliability: Path | None = None,
    trials: int = 2000,
    seed: int = SEED,
    target_power: float = 0.8,
    **design: Any,
) -> dict[str, Any]:
    """Return power, type I error and sample size of a design; with `out`, write ``power.json``.

    Parameters
    ----------
    patients_per_arm, effect_percent, dropout
        See `Design`; further fields of it may be given by name.
    reliability : Path, optional
        A ``reliability.json``; its within-subject CV becomes the measurement CV.
    trials : int
        Simulated trials, with the effect and as many without.
    target_power : float
        For the sample size.

    Raises
    ------
    InputRefused
        On values out of range or unknown design fields.
    """
    unknown = sorted(set(design) - {f.name for f in fields(Design)})
    if unknown:
        raise InputRefused.of(f"unknown design values {', '.join(unknown)}", "design", "see the fields of the design")
    if trials < 100 or not 0.05 < target_power < 1:
        raise InputRefused.of(
            "trials is below 100 or the target power not within 0.05 to 1", "power", "mend the values"
        )
    if reliability is not None:
        cv = read_json(reliability).get("within_subject_cv")
        if not isinstance(cv, (int, float)) or not 0 < cv < 1:
            raise InputRefused.of("it holds no within_subject_cv between 0 and 1", str(reliability), "run it again")
        design["measurement_cv"] = float(cv)
    chosen = Design(patients_per_arm=patients_per_arm, effect_percent=effect_percent, dropout=dropout, **design)
    chosen.check()
    with_effect = run_trials(chosen, trials, seed)
    without = run_trials(replace(chosen, effect_percent=0.0), trials, seed + 1)
    implied = with_effect.pop("index")
    null = without.pop("index")
    difference = abs(with_effect["index_ancova"]["estimate_mean"])
    document = {
        "design": asdict(chosen),
        "trials": trials,
        "seed": seed,
        "implied": {**implied, "control_change_without_drug": null["control_change_without_drug"]},
        "power": with_effect,
        "type_i_error": without,
        "sample_size": {
            "target_power": target_power,
            "per_arm": _per_arm(difference, implied["residual_sd"], target_power, chosen.dropout),
            "definition": "Patients to randomise to each arm for the primary model: two-sample t test on the residual "
            "SD, divided by the share that is followed up.",
        },
        "definitions": {
            "power": "Share of simulated trials with two-sided p < 0.05, index vessel chosen anew in each trial.",
            "coverage": "Share of 95 % intervals that hold the truth.",
            "control_change_without_drug": "Mean change of the index vessel without any drug: regression to the "
            "mean from choosing the highest vessel.",
        },
        "provenance": {"petflame": __version__},
    }
    if out is not None:
        write_json(out / "power.json", document)
    return document


def _per_arm(difference: float, sd: float, target: float, dropout: float) -> int | None:
    if difference < 1e-9 * sd or difference / sd < 0.01:
        return None
    return math.ceil(sample_size_per_arm(difference, sd, target) / (1 - dropout))
