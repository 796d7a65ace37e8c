"""Designing a trial: closed forms, and simulation with the index vessel chosen anew in every trial."""

from __future__ import annotations

import math
from dataclasses import asdict, fields, replace
from pathlib import Path
from typing import Any

from scipy import stats

from petflame import __version__
from petflame.errors import InputRefused
from petflame.files import write_json
from petflame.repeatability import read_within_subject
from petflame.trial.choices import SEED
from petflame.trial.design.simulated_trials import Design, run_trials


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
        design["measurement_cv"] = read_within_subject(reliability).cv
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
        "implied": {**implied, **{key: value for key, value in null.items() if key.endswith("without_drug")}},
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
            "mds_locked_percent_without_drug": "The same of the segment found at baseline, percent of its mean.",
            "active_locked_percent_without_drug": "The same of the sections active at baseline.",
            "active_locked_ancova": "Among participants with an active section at baseline.",
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
