"""The blocks of a result as types, and how one is made.

Every key is always present: null, with a ``reason``, where the data cannot give a number. TBR and its differences are
ratios without unit, percentages are percent, differences are active minus control, intervals are 95 %.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from typing_extensions import TypedDict

from petflame.trial.estimates import NotEstimable, Vector

Figure = float | None
Kind = TypeVar("Kind")


def complete(kind: type[Kind], found: Mapping[str, Any]) -> Kind:
    """Return a block with the keys of `kind`, in its order.

    Raises
    ------
    TypeError
        When a key is missing or unknown.
    """
    keys = kind.__annotations__
    if found.keys() != keys.keys():
        raise TypeError(f"{kind.__name__}: {', '.join(sorted(found.keys() ^ keys.keys()))} missing or unknown")
    return {key: found[key] for key in keys}  # type: ignore[return-value]


def without(kind: type[Kind], reason: str, **words: Any) -> Kind:
    """Return a block without numbers, with the reason and the fixed words."""
    return complete(kind, {**dict.fromkeys(kind.__annotations__), **words, "reason": reason})


def block(kind: type[Kind], make: Callable[[], Mapping[str, Any]], **words: Any) -> Kind:
    """Return what `make` returns with the fixed words; where the data cannot give it, nulls and the reason.

    >>> def never(): raise NotEstimable("one arm only")
    >>> block(Said, never, definition="by exchange of arms")
    {'definition': 'by exchange of arms', 'reason': 'one arm only'}
    """
    try:
        return complete(kind, {"reason": None, **words, **make()})
    except NotEstimable as why:
        return without(kind, str(why), **words)


class ByArm(TypedDict):
    """Patients in each arm."""

    active: int
    control: int


class Total(TypedDict):
    """A count where no arm is known."""

    total: int


class TotalByArm(Total, ByArm):
    """A count, and its parts by arm."""


class Description(TypedDict):
    """Number, mean and standard deviation (n - 1)."""

    n: int
    mean: Figure
    sd: Figure


def describe(values: Vector) -> Description:
    """Return n, mean and SD (n - 1) of the values; null where they do not exist."""
    n = int(values.size)
    return {
        "n": n,
        "mean": float(values.mean()) if n else None,
        "sd": float(values.std(ddof=1)) if n > 1 else None,
    }


class TwoVisits(TypedDict):
    """TBRmax of an arm at the two visits."""

    baseline: Description
    followup: Description


class DescribedArms(TypedDict):
    """Each arm's visits; a difference within an arm is no effect."""

    active: TwoVisits
    control: TwoVisits


class BaselineRow(TypedDict):
    """One characteristic: numbers by arm, or counts of each level by arm; `known` says in how many it is known."""

    name: str
    unit: str
    known: ByArm
    active: Description | None
    control: Description | None
    levels: dict[str, ByArm] | None


class BaselineCharacteristics(TypedDict):
    """Characteristics of the randomised by arm; columns that are lists of names are not shown."""

    rows: list[BaselineRow]
    not_shown: list[str]
    definition: str


class Pooled(TypedDict):
    """Both arms together."""

    n: int
    baseline: Description
    followup: Description
    change: Description
    percent_change: Description
    correlation: Figure


class Said(TypedDict):
    """What a block is, and why it has no numbers."""

    definition: str
    reason: str | None


Verdicts = TypedDict("Verdicts", {"fall": int, "rise": int, "within noise": int})


class Patients(TypedDict):
    """Single patients' changes and the repeatability behind their bands (percent)."""

    within_subject_cv: float
    within_subject_df: Figure
    within_subject_cv_low: Figure
    within_subject_cv_high: Figure
    assumed: bool
    source: str
    no_change_band_percent: list[float]
    published_bands_percent: list[float]
    definition: str
    verdicts: Verdicts


class BandCheck(TypedDict):
    """How many of the control arm lie outside the band of an unchanged artery, and the CV that its spread implies."""

    outside: int | None
    n: int | None
    low: Figure
    high: Figure
    implied_within_subject_cv: Figure
    too_narrow: bool | None
    sentence: str | None
    definition: str
    reason: str | None


class Responded(TypedDict):
    """Patients of an arm who fell beyond a limit."""

    responders: int
    n: int


class Responders(TypedDict):
    """Patients who fell beyond a limit, by arm; the difference is one of shares."""

    active: Responded
    control: Responded
    difference: Figure
    low: Figure
    high: Figure
    fisher_p: Figure
    boschloo_p: Figure
    reason: str | None


class RespondersByLimit(TypedDict, extra_items=Responders):  # type: ignore[call-arg]
    """Responders by the configured band and by every published limit (``published_<limit>_percent``)."""

    within_subject_cv: float
    definition: str
    configured: Responders


class LeftOut(TypedDict):
    """Who is not analysed, and why."""

    participant_id: str
    reason: str


class LeftOutOfArm(LeftOut):
    """The same, with the arm; null where the allocation does not name one."""

    arm: str | None


class InSet(TypedDict):
    """Who stands where."""

    name: str
    definition: str
    randomised: TotalByArm | None
    randomised_not_scanned: TotalByArm | None
    measured_baseline: TotalByArm | Total
    measured_followup: TotalByArm | Total
    measured_both: TotalByArm | Total
    analysed: TotalByArm | Total
    comparability: dict[str, int] | None
    left_out: list[LeftOutOfArm | LeftOut]


class Lost(Total):
    """Those lost before a station, for one reason."""

    reason: str


class LostByArm(Lost, ByArm):
    """The same, with the arms."""


class Station(TypedDict):
    """A station of the flow of participants; a null count has a reason."""

    station: str
    definition: str
    total: int | None
    lost: list[LostByArm | Lost]
    reason: str | None


class StationByArm(Station, ByArm):
    """The same, with the arms."""


class Consort(TypedDict):
    """The flow of participants, stations in order."""

    stations: list[StationByArm | Station]


class SetAside(TypedDict):
    """A part of the analysis that failed."""

    part: str
    reason: str


class InputFile(TypedDict):
    """A table that was read."""

    file: str
    sha256: str


class Provenance(TypedDict, extra_items=str):  # type: ignore[call-arg]
    """What the analysis was made from, beside what the caller knows of the run."""

    petflame: str
    seed: int
    inputs: dict[str, InputFile]
