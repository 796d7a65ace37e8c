"""Clinical events by arm: few events, so exact and penalised methods, and everything labelled exploratory."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from petflame import __version__
from petflame.errors import Fault, FaultList
from petflame.files import sha256, write_json
from petflame.outside import calling
from petflame.trial.blocks import block, complete
from petflame.trial.estimates import clopper_pearson
from petflame.trial.events import comparisons as ev
from petflame.trial.events import firth
from petflame.trial.events.association import change_and_events, read_change
from petflame.trial.events.blocks import Fisher, HazardRatio, LogRank, OddsRatio, OutcomesDocument, RateRatio
from petflame.trial.events.competing import CAUSE_SPECIFIC, competing_events
from petflame.trial.events.incidence import COMPETING, EVENT
from petflame.trial.events.risk import EXACT, risk_difference
from petflame.trial.events.sample import sample_needed
from petflame.trial.plan.deviations import HORIZON, LANDMARK, from_plan
from petflame.trial.plan.model import Events, Resampling
from petflame.trial.plan.sealing import read_plan
from petflame.trial.tables import ARMS, LONGEST_YEARS, few, read_allocation, read_outcomes
from petflame.trial.words import in_years

YEARS: tuple[float, ...] = (1.0, 2.0, 5.0)
LABEL = (
    "Exploratory: few events, no adjustment for multiplicity. The difference of the risks at the horizon, with its "
    "exact or permutation p, is the main comparison of this panel; the other tests stand beside it."
)


def outcomes(
    outcomes: Path,
    allocation: Path,
    out: Path,
    *,
    horizon_years: float | None = None,
    landmark_years: float | None = None,
    patients: Path | None = None,
    plan: Path | None = None,
    seed: int | None = None,
    permutations: int | None = None,
    provenance: dict[str, Any] | None = None,
) -> OutcomesDocument:
    """Analyse follow-up events and write ``outcomes.json``.

    Parameters
    ----------
    outcomes : Path
        Table of participant_id, time_years (from 0, to the event or the end of follow-up), event (0 none, 1 event, 2
        competing event).
    allocation : Path
        Table of participant_id and arm.
    out : Path
        Folder for the result.
    horizon_years : float, optional
        Time of the comparison of risks, in years; by default the plan's, else that of `Events`.
    landmark_years : float, optional
        Start of the association of the change with events, in years since randomisation: the second scan or later; by
        default as for the horizon.
    patients : Path, optional
        PATIENTS table; adds the association of the percent change in TBRmax with events, ``change_and_events``.
    plan : Path, optional
        The sealed analysis plan.
    seed, permutations : int, optional
        Of the random exchanges of the arms.

    Raises
    ------
    InputRefused
        On every fault of the tables: other event codes, participants without an arm, one arm only, no identifier in
        common (with PATIENTS too), a horizon that is not positive, a negative landmark.
    """
    sealed = None if plan is None else read_plan(plan)
    planned = Events() if sealed is None else sealed.plan.events
    resampling = Resampling() if sealed is None else sealed.plan.resampling
    seed = resampling.seed if seed is None else seed
    permutations = resampling.permutations if permutations is None else permutations
    horizon_years = planned.horizon_years if horizon_years is None else horizon_years
    landmark_years = planned.landmark_years if landmark_years is None else landmark_years
    table, not_followed = _load(outcomes, allocation, horizon_years, landmark_years)
    change = None if patients is None else read_change(patients, table["participant_id"])
    time, code = table["time_years"].to_numpy(float), table["event"].to_numpy(int)
    event, active = code == EVENT, (table["arm"] == "active").to_numpy()
    counts = ev.horizon_counts(time, code, active, horizon_years)
    specific = CAUSE_SPECIFIC if (code == COMPETING).any() else ""
    rank = block(
        LogRank,
        lambda: ev.log_rank(time, event, active, seed, permutations),
        definition=ev.DEFINITIONS["log_rank"] + specific,
    )
    difference = risk_difference(time, code, active, counts, horizon_years, seed, permutations)
    fisher = block(Fisher, lambda: ev.fisher(counts), definition=ev.DEFINITIONS["fisher"])
    by_arm = {arm: _events(table[table["arm"] == arm]) for arm in ARMS}
    inputs = {"outcomes": outcomes, "allocation": allocation, "patients": patients, "plan": plan}
    done = {HORIZON: horizon_years, "seed": seed, "permutations": permutations}
    # Without the patients' changes nothing starts at the landmark.
    done |= {} if patients is None else {LANDMARK: landmark_years}
    document = {
        "label": f"{LABEL} {_about_cox({arm: row['events'] for arm, row in by_arm.items()})}",
        "horizon_years": horizon_years,
        "events": by_arm,
        "not_followed": not_followed,
        "risk_difference": difference,
        "at_horizon": ev.at_horizon(counts),
        "kaplan_meier": {arm: ev.kaplan_meier(*_arm(table, arm), (*YEARS, horizon_years)) for arm in ARMS},
        "kaplan_meier_curves": {arm: ev.curve(*_arm(table, arm)) for arm in ARMS},
        "competing_events": competing_events(time, code, active, (*YEARS, horizon_years)),
        "log_rank_p": rank["p"],
        "log_rank": rank,
        "fisher_p": fisher["p"],
        "fisher": fisher,
        "rate_ratio": block(
            RateRatio, lambda: ev.rate_ratio(time, event, active), definition=ev.DEFINITIONS["rate_ratio"] + specific
        ),
        "firth_cox": block(
            HazardRatio,
            lambda: firth.firth_cox(active.astype(float), time, event),
            definition=firth.DEFINITIONS["firth_cox"] + specific,
        ),
        "firth_logistic": block(
            OddsRatio, lambda: firth.firth_logistic(counts), definition=firth.DEFINITIONS["firth_logistic"]
        ),
        "sample_needed": sample_needed(difference["control"], horizon_years),
        "change_and_events": None if change is None else change_and_events(table, change, landmark_years),
        "plan_seal": None if sealed is None else sealed.seal,
        "deviations": [] if sealed is None else from_plan(sealed, done),
        "provenance": {
            **(provenance or {}),
            "petflame": __version__,
            "seed": seed,
            "inputs": {k: {"file": p.name, "sha256": sha256(p)} for k, p in inputs.items() if p is not None},
        },
    }
    whole = complete(OutcomesDocument, document)
    write_json(out / "outcomes.json", whole)
    return whole


def _load(
    outcomes: Path, allocation: Path, horizon_years: float, landmark_years: float
) -> tuple[pd.DataFrame, dict[str, Any]]:
    faults = FaultList()
    if not (np.isfinite(horizon_years) and 0 < horizon_years <= LONGEST_YEARS):
        what = f"the horizon {horizon_years} is not positive, or beyond {LONGEST_YEARS:g} years"
        faults.add(what, "horizon_years", "give years")
    if not (np.isfinite(landmark_years) and 0 <= landmark_years <= LONGEST_YEARS):
        what = f"the landmark {landmark_years} is negative, or beyond {LONGEST_YEARS:g} years"
        faults.add(what, "landmark_years", "give years since randomisation")
    joined = load_events(outcomes, allocation, faults)
    alone = one_arm_fault(joined, outcomes) if joined is not None else None
    faults.extend([alone] if alone is not None else [])
    faults.raise_if_any()
    arms = read_allocation(allocation, faults)
    if joined is None or arms is None:
        raise AssertionError("a table that cannot be read leaves a fault")
    rest = arms[~arms["participant_id"].isin(joined["participant_id"])]
    missing = {arm: int((rest["arm"] == arm).sum()) for arm in ARMS}
    return joined, {**missing, "definition": "in the allocation, but not in the outcome table"}


def load_events(outcomes: Path, allocation: Path, faults: FaultList) -> pd.DataFrame | None:
    """Return the outcome table with each participant's arm; note every fault of both tables and their agreement.

    Parameters
    ----------
    outcomes, allocation : Path
    faults : FaultList
        Takes what is found; None is returned only where a table cannot be read.
    """
    table, arms = read_outcomes(outcomes, faults), read_allocation(allocation, faults)
    if table is None or arms is None:
        return None
    known = table[table["participant_id"].notna() & (table["participant_id"] != "")]
    joined = known.merge(arms.drop_duplicates("participant_id"), on="participant_id", how="left")
    orphans = joined.loc[joined["arm"].isna(), "participant_id"].astype(str).tolist()
    where = calling(outcomes)
    if len(joined) and len(orphans) == len(joined):
        what = f"no participant_id in common with {calling(allocation)}"
        faults.add(what, where, "use the same identifiers in both")
    elif orphans:
        faults.add(f"no arm for {few(orphans)}", calling(allocation), "add the arm to the allocation table")
    return joined


def one_arm_fault(joined: pd.DataFrame, outcomes: Path) -> Fault | None:
    """Return why participants of one arm alone, as may be early in a trial, cannot be compared."""
    arms = joined["arm"].dropna().unique()
    if len(arms) != 1:
        return None
    what = f"every followed participant is in the {arms[0]} arm"
    return Fault(what, calling(outcomes), "give both arms, or wait until both are followed")


def _about_cox(events: Mapping[str, int]) -> str:
    """Say which Cox model is shown, and why, from the events of each arm over the whole follow-up."""
    none = [arm for arm in ARMS if not events[arm]]
    if len(none) == len(ARMS):
        return "Without an event no Cox model can be fitted."
    if none:
        why = f"the {none[0]} arm has no event: the estimate of the ordinary one then diverges"
    else:
        why = "events are few: the estimate of the ordinary one is then biased"
    return f"The Cox model is shown with Firth's penalty, because {why}."


def events_line(document: Mapping[str, Any]) -> str:
    """Say the main comparison and the whole follow-up in a line."""
    found, whole = document["risk_difference"], document["events"]
    counts = ", ".join(f"{arm} {whole[arm]['events']} of {whole[arm]['n']}" for arm in ARMS)
    counts = f"whole follow-up: {counts}"
    if found["difference"] is None:
        return f"no difference of risks at {in_years(document['horizon_years'])} ({found['reason']}); {counts}"
    risks = ", ".join(f"{arm} {100 * found[arm]['risk']:.1f} %" for arm in ARMS)
    if found["p"] is None:
        p = f"no p: {found['reason']}"
    else:
        p = f"{'exact' if found['p_method'] == EXACT else 'permutation'} p {found['p']:.3g}"
    return (
        f"risk in {in_years(document['horizon_years'])} {risks}; difference {100 * found['difference']:+.1f} points "
        f"({100 * found['low']:+.1f} to {100 * found['high']:+.1f}), {p}; {counts}"
    )


def _arm(table: pd.DataFrame, arm: str) -> tuple[Any, Any]:
    rows = table[table["arm"] == arm]
    return rows["time_years"].to_numpy(float), rows["event"].to_numpy() == EVENT


def _events(rows: pd.DataFrame) -> dict[str, Any]:
    n, events = len(rows), int((rows["event"] == EVENT).sum())
    low, high = clopper_pearson(events, n)
    return {
        "n": n,
        "events": events,
        "competing": int((rows["event"] == COMPETING).sum()),
        "proportion": events / n,
        "proportion_low": low,
        "proportion_high": high,
        "person_years": float(rows["time_years"].sum()),
        "definition": "events over the whole follow-up; exact (Clopper-Pearson) interval of the proportion, which is "
        "no risk where follow-up differs in length",
    }
