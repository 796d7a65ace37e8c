"""Designing a trial: closed forms, and simulation with the index vessel chosen anew in every trial."""

from __future__ import annotations

from dataclasses import asdict, fields, replace
from pathlib import Path
from typing import Any

from petflame import __version__
from petflame.errors import InputRefused
from petflame.files import write_json
from petflame.trial.choices import SEED
from petflame.trial.design.endpoint_power import Simulated, endpoint_powers, vessel_powers
from petflame.trial.design.plan import Design
from petflame.trial.design.reestimation import Interim, Planned, no_reestimation, reestimate, refuse_arms
from petflame.trial.design.sample_size import to_randomise
from petflame.trial.design.simulated_trials import run_trials
from petflame.trial.design.within_subject import ASSUMED, Total, read_scan_rescan, within_subject_block


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
    interim: Interim | None = None,
    **design: Any,
) -> dict[str, Any]:
    """Return power, type I error and sample size of a design; with `out`, write ``power.json``.

    Parameters
    ----------
    patients_per_arm, effect_percent, dropout
        See `Design`; further fields of it may be given by name.
    reliability : Path, optional
        A ``reliability.json`` of repeated scans; its within-subject CV becomes the total of a vessel between visits,
        the parts in proportion.
    trials : int
        Simulated trials, with the effect and as many without.
    target_power : float
        For the sample sizes.
    interim : Interim, optional
        Tables of a running trial, without the arms, to estimate the sample size again.

    Raises
    ------
    InputRefused
        On values out of range, unknown design fields, a reliability study of anything but repeated scans, or interim
        tables that name the arms.
    """
    unknown = sorted(set(design) - {f.name for f in fields(Design)})
    if unknown:
        raise InputRefused.of(f"unknown design values {', '.join(unknown)}", "design", "see the fields of the design")
    if trials < 100 or not 0.05 < target_power < 1:
        raise InputRefused.of(
            "trials is below 100 or the target power not within 0.05 to 1", "power", "mend the values"
        )
    chosen = Design(patients_per_arm=patients_per_arm, effect_percent=effect_percent, dropout=dropout, **design)
    chosen.check()
    given = {"visit_cv", "measurement_cv"} & set(design)
    total = Total(chosen.within_subject_cv, "given with the design" if given else ASSUMED)
    if reliability is not None:
        total = read_scan_rescan(reliability)
        chosen = chosen.with_within_subject_cv(total.cv)
    if interim is not None:
        # Before the simulation: nobody should wait for a refusal.
        refuse_arms(interim)
    with_effect = run_trials(chosen, trials, seed)
    without = run_trials(replace(chosen, effect_percent=0.0), trials, seed + 1)
    implied = with_effect.pop("index")
    null = without.pop("index")
    found = Simulated(with_effect, without, chosen, target_power)
    difference, residual_sd = with_effect["index_ancova"]["true_difference"], implied["residual_sd"]
    planned, per_arm = None, None
    if difference is not None and residual_sd is not None:
        planned = Planned(difference, residual_sd, patients_per_arm, target_power, dropout)
        per_arm = to_randomise(difference, residual_sd, target_power, 1 - dropout)
    again = no_reestimation()
    if interim is not None:
        again = reestimate(interim, planned) if planned else no_reestimation("the design leaves no residual variation")
    document = {
        "design": asdict(chosen),
        "trials": trials,
        "seed": seed,
        "implied": {**implied, **{key: value for key, value in null.items() if key.endswith("without_drug")}},
        "power": with_effect,
        "type_i_error": without,
        "within_subject": within_subject_block(chosen, total, with_effect["index_ancova"], target_power, trials, seed),
        "endpoints": endpoint_powers(found),
        "vessels": vessel_powers(found),
        "reestimation": again,
        "sample_size": {
            "target_power": target_power,
            "difference": difference,
            "residual_sd": residual_sd,
            "per_arm": per_arm,
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
            "active_refound_ancova": "Among participants with an active section at both visits; no true difference.",
            "residual_sd": "Root mean square over the trials of the model's residual SD, in the unit of the estimate.",
            "share": "Participants with the endpoint at both visits, among those followed up.",
            "estimable": "Share of the trials that the model could be fitted to; one that could not does not reject.",
            "per_arm": "Patients to randomise to each arm for the target power at residual_sd, two-sample t test on "
            "the true difference, divided by the share that is followed up and has the endpoint.",
        },
        "provenance": {"petflame": __version__},
    }
    if out is not None:
        write_json(out / "power.json", document)
    return document
