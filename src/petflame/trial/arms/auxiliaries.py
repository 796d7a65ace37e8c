"""What else was measured of a participant and helps to impute the index vessel's follow-up: the other target vessels.

An auxiliary stands in the imputation model and not in the analysis model, so that whoever lost the follow-up for a
reason that the auxiliary tells is imputed without bias (Collins, Schafer and Kam 2001, doi 10.1037/1082-989X.6.4.330).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from petflame.trial.arms.ancova import Arms
from petflame.trial.arms.missing_blocks import Auxiliary
from petflame.trial.cohort import Cohort
from petflame.trial.endpoints import BASELINE, FOLLOWUP
from petflame.trial.estimates import Matrix, Vector, is_constant

# The follow-up first: it tells most of a follow-up that is missing.
MEANINGS: dict[str, str] = {
    "other_vessels_followup": "mean TBRmax of the other target vessels at follow-up",
    "other_vessels_baseline": "mean TBRmax of the other target vessels at baseline",
}
# Fewer residual degrees of freedom than this, and an auxiliary costs more than it tells.
LEAST_DF = 10
# A column that the others predict but for a millionth of its variance repeats them.
SMALLEST_EIGENVALUE = 1e-6


@dataclass(frozen=True)
class Chosen:
    """Auxiliaries of an imputation model.

    Attributes
    ----------
    values : ndarray, shape (n, k)
        Those used; NaN where not measured.
    records : list of Auxiliary
        Every candidate, whether it is used and, where not, why.
    """

    values: Matrix
    records: list[Auxiliary] = field(default_factory=list)


def other_vessels(cohort: Cohort, ids: Vector, target_vessels: tuple[str, ...]) -> dict[str, Vector] | str:
    """Return for each participant the mean over the target vessels that are not the index vessel, at each visit.

    Where any of them has both visits, both means run over those that have; vessels withheld for a reader are left
    out, and so are the follow-ups of pairs that the analysis set leaves out.

    Parameters
    ----------
    ids : ndarray of str, shape (n,)
        Participants, the order of the values.

    Returns
    -------
    dict or str
        Name to values, shape (n,), NaN where there are none; or why there are none at all.
    """
    if cohort.vessels is None:
        return "no vessel table was given"
    index = index_vessels(cohort)
    rows = cohort.vessels[cohort.vessels["vessel"].isin(target_vessels)]
    if "withheld" in rows.columns:
        rows = rows[rows["withheld"].astype(str).str.lower() != "true"]
    own = rows["participant_id"].map(index)
    rows = rows[own.notna() & (rows["vessel"] != own)].copy()
    if cohort.analysis_set == "comparable":
        apart = cohort.table.loc[cohort.table["comparability"] == "fail", "participant_id"]
        rows.loc[rows["participant_id"].isin(apart), FOLLOWUP] = np.nan
    whole = rows[BASELINE].notna() & rows[FOLLOWUP].notna()
    rows = rows[whole | ~whole.groupby(rows["participant_id"]).transform("any")]
    means = rows.groupby("participant_id")[[BASELINE, FOLLOWUP]].mean().reindex(ids)
    return {
        "other_vessels_followup": means[FOLLOWUP].to_numpy(dtype=float),
        "other_vessels_baseline": means[BASELINE].to_numpy(dtype=float),
    }


def index_vessels(cohort: Cohort) -> dict[str, str]:
    """Return each participant's index vessel: as the tables name it, else the one with the patient's baseline."""
    found: dict[str, str] = {}
    if cohort.vessels is not None:
        rows = cohort.vessels.merge(
            cohort.table[["participant_id", BASELINE]], on="participant_id", suffixes=("", "_index")
        )
        same = (rows[BASELINE] - rows[f"{BASELINE}_index"]).abs() <= 1e-9 * rows[f"{BASELINE}_index"]
        found |= dict(rows.loc[same, ["participant_id", "vessel"]].to_numpy())
        if "index" in rows.columns:
            named = rows["index"].astype(str).str.lower() == "true"
            found |= dict(rows.loc[named, ["participant_id", "vessel"]].to_numpy())
    if "index_vessel" in cohort.table.columns:
        given = cohort.table.dropna(subset=["index_vessel"])
        found |= dict(given[["participant_id", "index_vessel"]].to_numpy())
    return found


def choose(arms: Arms, candidates: Mapping[str, Vector] | str) -> Chosen:
    """Take the auxiliaries that the data can bear, one after the other.

    Parameters
    ----------
    arms : Arms
        Participants with a baseline; `followup` is NaN where missing.
    candidates : mapping or str
        Values by name, NaN where missing; or why there are none.
    """
    missing = np.isnan(arms.followup)
    fixed = np.column_stack([arms.active, arms.baseline, arms.covariates])
    kept: list[Vector] = []
    records: list[Auxiliary] = []
    for name, meaning in MEANINGS.items():
        values = np.full(missing.size, np.nan) if isinstance(candidates, str) else candidates[name]
        has = ~np.isnan(values)
        reason = candidates if isinstance(candidates, str) else _unfit(arms, fixed, kept, values)
        if reason is None:
            kept.append(values)
        records.append(
            {
                "name": name,
                "meaning": meaning,
                "n": int(has.sum()),
                "n_of_imputed": int((has & missing).sum()),
                "used": reason is None,
                "reason": reason,
            }
        )
    return Chosen(np.column_stack(kept) if kept else np.empty((missing.size, 0)), records)


def _unfit(arms: Arms, fixed: Matrix, kept: list[Vector], values: Vector) -> str | None:
    """Say why an auxiliary cannot stand in the model; None where it can."""
    missing, has = np.isnan(arms.followup), ~np.isnan(values)
    if not (has & missing).any():
        return "no participant whose follow-up is imputed has it"
    columns = np.column_stack([fixed, *kept, values, arms.followup])
    whole = columns[~np.isnan(columns).any(axis=1)]
    # An intercept stands beside the columns, and the follow-up is one of them.
    if len(whole) - columns.shape[1] < LEAST_DF:
        return f"{len(whole)} participants with it and a follow-up are too few"
    if min(whole[:, 0].sum(), len(whole) - whole[:, 0].sum()) < 2:
        return "an arm has fewer than two participants with it and a follow-up"
    if any(is_constant(column) for column in whole.T) or _smallest_eigenvalue(whole) < SMALLEST_EIGENVALUE:
        return "it repeats other columns of the model, or one of them is constant among those who have it"
    return None


def _smallest_eigenvalue(columns: Matrix) -> float:
    """Return that of the columns' correlations; its inverse bounds every variance inflation factor."""
    return float(np.linalg.eigvalsh(np.corrcoef(columns, rowvar=False))[0])
