"""Trials of numbers: measured TBRmax of every vessel drawn from a design, and every endpoint's test applied to them."""

from __future__ import annotations

import math

import numpy as np

from petflame.trial.design.batch import batch_ancova, batch_mean_difference, holm
from petflame.trial.design.plan import Design
from petflame.trial.design.simulated_sections import section_endpoints
from petflame.trial.estimates import LEVEL, Matrix, Vector

# One test in every trial: estimate, se, p, low, high, truth, and where they exist sigma, share and p_holm.
Test = dict[str, Vector]
# Where fewer trials than this share can be fitted, the test's figures would be those of a selection.
_LEAST_FITTED = 0.5
_FIGURES = (
    "rejection",
    "monte_carlo_se",
    "estimate_mean",
    "estimate_sd",
    "se_mean",
    "coverage",
    "true_difference",
    "residual_sd",
    "share",
)


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


def run_trials(design: Design, trials: int, seed: int) -> dict[str, dict[str, float | None]]:
    """Simulate trials and apply every endpoint's test.

    Returns
    -------
    dict
        Of each test, over the trials that the model could be fitted to (`estimable`, a share): rejection (share of all
        trials with p < 0.05 two-sided; one that cannot be fitted does not reject) with its Monte Carlo error, mean
        estimate, its SD, mean standard error, coverage of the 95 % interval, true difference, residual SD (root mean
        square over trials, units of the estimate), share of patients with a value; of vessels also the rejection after
        Holm's correction. None where it does not exist. And ``index``, what the design implies.
    """
    # Sections and blood pool have draws of their own, so that the other endpoints do not depend on them.
    rng, sections, pool = (np.random.default_rng(s) for s in (seed, [seed, 1], [seed, 2]))
    batches: list[dict[str, Test]] = []
    implied: list[dict[str, Vector]] = []
    left = trials
    while left > 0:
        count = min(left, 500)
        drawn = simulate_trials(design, count, rng)
        selected, fallen = _selections(design, *drawn, sections)
        means, known = _means(design, *drawn)
        batches.append(means | _vessels(design, *drawn) | selected | _less_blood_pool(design, *drawn, pool))
        implied.append(known | fallen)
        left -= count
    found = {name: _summary(_joined([batch[name] for batch in batches])) for name in batches[0]}
    index = {key: _mean(v) for key, v in _joined(implied).items()}
    known_index = {key: value if math.isfinite(value) else None for key, value in index.items()}
    return found | {"index": known_index | {"residual_sd": found["index_ancova"]["residual_sd"]}}


def _joined(parts: list[dict[str, Vector]]) -> dict[str, Vector]:
    return {key: np.concatenate([part[key] for part in parts]) for key in parts[0]}


def _summary(test: Test) -> dict[str, float | None]:
    fitted = np.isfinite(test["p"])
    trials = fitted.size
    used = {key: values[fitted] for key, values in test.items()}
    found: dict[str, float | None] = {"estimable": float(fitted.mean())}
    if fitted.mean() < _LEAST_FITTED:
        return found | dict.fromkeys(_FIGURES) | ({"rejection_holm": None} if "p_holm" in test else {})
    rejection = float((used["p"] < 1 - LEVEL).sum() / trials)
    known = bool(np.isfinite(used["truth"]).all())
    held = (used["low"] <= used["truth"]) & (used["truth"] <= used["high"])
    figures = (
        rejection,
        math.sqrt(rejection * (1 - rejection) / trials),
        float(used["estimate"].mean()),
        float(used["estimate"].std(ddof=1)),
        float(used["se"].mean()),
        float(held.mean()) if known else None,
        float(used["truth"].mean()) if known else None,
        math.sqrt(float((used["sigma"] ** 2).mean())) if "sigma" in test else None,
        float(test["share"].mean()) if "share" in test else 1.0,
    )
    found |= dict(zip(_FIGURES, figures, strict=True))
    if "p_holm" in test:
        found["rejection_holm"] = float((used["p_holm"] < 1 - LEVEL).sum() / trials)
    return found


def _means(
    design: Design, baseline: Matrix, followup: Matrix, active: Vector
) -> tuple[dict[str, Test], dict[str, Vector]]:
    """Tests of the index vessel and of the vessels' mean, and what the index vessel does by itself."""
    base, follow = take_index(baseline, followup)
    primary = batch_ancova(base, follow, active)
    means = batch_ancova(baseline.mean(axis=2), followup.mean(axis=2), active)
    fraction, control = design.effect_percent / 100, active == 0
    ones = np.ones(base.shape[0])
    tests = {
        "index_ancova": primary.difference() | {"truth": fraction * follow[:, control].mean() * ones},
        "index_adjusted_percent": primary.percent() | {"truth": design.effect_percent * ones},
        "index_log_ratio": batch_ancova(np.log(base), np.log(follow), active).difference()
        | {"truth": math.log1p(fraction) * ones},
        "vessel_mean_ancova": means.difference()
        | {"truth": fraction * followup.mean(axis=2)[:, control].mean() * ones},
        "mean_percent_change_difference": _percent_change(base, follow, active, fraction),
        "followup_only": batch_mean_difference(follow, active) | {"truth": fraction * follow[:, control].mean() * ones},
    }
    implied = {
        "baseline_mean": base.mean(axis=1),
        "baseline_sd": base[:, control].std(axis=1, ddof=1),
        "residual_sd": primary.sigma,
        "slope": primary.coef[:, 2],
        "control_change_without_drug": (follow - base)[:, control].mean(axis=1),
    }
    return tests, implied


def _vessels(design: Design, baseline: Matrix, followup: Matrix, active: Vector) -> dict[str, Test]:
    """Tests of each vessel by itself, with and without Holm's correction over them."""
    tests = {}
    for k, name in enumerate(design.vessel_names):
        follow = followup[:, :, k]
        truth = np.full(len(follow), design.effect_percent / 100 * follow[:, active == 0].mean())
        tests[f"{name}_ancova"] = batch_ancova(baseline[:, :, k], follow, active).difference() | {"truth": truth}
    corrected = holm(np.stack([test["p"] for test in tests.values()], axis=1))
    return {name: test | {"p_holm": corrected[:, k]} for k, (name, test) in enumerate(tests.items())}


def _selections(
    design: Design, baseline: Matrix, followup: Matrix, active: Vector, rng: np.random.Generator
) -> tuple[dict[str, Test], dict[str, Vector]]:
    """Tests of the endpoints that select sections, and how far the locked ones fall without a drug."""
    fraction = design.effect_percent / 100
    found = section_endpoints(
        (baseline, followup),
        1 + fraction * active,
        sections=design.sections,
        segment=design.segment_sections,
        profile_sd=design.section_sd,
        noise_sd=design.section_noise_sd,
        threshold=design.active_threshold,
        rng=rng,
    )
    treated, control = active == 1, active == 0
    tests: dict[str, Test] = {}
    fallen = {}
    for name in ("mds_locked", "mds_refound", "active_locked", "active_refound", "active_fraction"):
        base, follow = getattr(found, name)
        known = np.isfinite(base) & np.isfinite(follow)
        if name == "active_fraction":
            truth = (follow - found.untreated_fraction)[:, treated].mean()
        elif name == "active_refound":
            # Who has an active section at follow-up depends on the drug: no one number is its effect on their mean.
            truth = 0.0 if fraction == 0 else math.nan
        else:
            truth = fraction * _mean(follow[:, control])
        tests[f"{name}_ancova"] = batch_ancova(base, follow, active, known).difference() | {
            "truth": np.full(len(base), truth),
            "share": known.mean(axis=1),
        }
        if name in ("mds_locked", "active_locked"):
            fall = 100 * (_mean(follow[:, control]) / _mean(base[:, control]) - 1)
            fallen[f"{name}_percent_without_drug"] = np.full(len(base), fall)
    return tests, fallen


def _less_blood_pool(
    design: Design, baseline: Matrix, followup: Matrix, active: Vector, rng: np.random.Generator
) -> dict[str, Test]:
    """Test of the index vessel's SUVmax less blood pool, blood pool x (TBRmax - 1), blood pool drawn apart from TBR."""
    base, follow = take_index(baseline, followup)
    between, within = design.blood_pool_cv, design.blood_pool_visit_cv
    own = rng.normal(0, between, base.shape)
    mean = math.log(design.blood_pool_suv) - (between**2 + within**2) / 2
    pool = [np.exp(mean + own + rng.normal(0, within, base.shape)) for _ in range(2)]
    untreated = follow / (1 + design.effect_percent / 100 * active)
    truth = (pool[1] * (follow - untreated))[:, active == 1].mean()
    test = batch_ancova(pool[0] * (base - 1), pool[1] * (follow - 1), active).difference()
    return {"csuv_max_ancova": test | {"truth": np.full(len(base), truth)}}


def _percent_change(base: Matrix, follow: Matrix, active: Vector, fraction: float) -> Test:
    change = 100 * (follow / base - 1)
    control = 100 + change[:, active == 0].mean()
    return batch_mean_difference(change, active) | {"truth": fraction * control * np.ones(base.shape[0])}


def _mean(values: Matrix) -> float:
    """Mean of the values that there are; NaN of none."""
    there = values[np.isfinite(values)]
    return float(there.mean()) if there.size else math.nan
