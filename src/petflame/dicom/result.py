"""What comes of the SUV rules: the factor with its audit, and the findings on the way."""

from __future__ import annotations

from dataclasses import dataclass, field

from petflame.dicom.decay import Reference
from petflame.dicom.uptake import Frames, Injection
from petflame.errors import Fault


@dataclass(frozen=True)
class Times:
    """The three times of a PET series, and the two intervals between them.

    Attributes
    ----------
    reference : Reference
        What the activity was decay corrected to; SUV depends on it.
    injection : Injection
    frames : Frames
        When each slice was acquired.
    uptake_min : float or None
        Injection to the start of the earliest frame, or the operator's value.
    decay_min : float or None
        Injection to the decay reference; below zero where a list-mode scan began before the injection.
    uptake_overridden : bool
    """

    reference: Reference = field(default_factory=lambda: Reference(None, "", {}))
    injection: Injection = field(default_factory=lambda: Injection(None))
    frames: Frames = field(default_factory=Frames)
    uptake_min: float | None = None
    decay_min: float | None = None
    uptake_overridden: bool = False

    @property
    def bed_uptake_min(self) -> tuple[float, ...]:
        """Injection to the start of each frame, by the clock, earliest first; empty where it is not known."""
        injected = self.injection.moment_s
        if injected is None:
            return ()
        return tuple(sorted({round((s - injected) / 60.0, 4) for s in self.frames.starts_s}))


@dataclass(frozen=True)
class SuvResult:
    """The SUV factor of a series and how it came about.

    Attributes
    ----------
    factor : float or None
        SUVbw in g/mL for one unit of the stored values (after slope); None when SUV is refused.
    meaning : str
        What `factor` is multiplied by.
    activity_factor : float or None
        Bq/mL for one unit of the stored values; None where they are no activity concentration.
    slice_factors : tuple of float
        Decay factors of each slice, for DecayCorrection NONE; empty otherwise.
    suv_type : str
        Normalisation of the values written (``bw``).
    dose_bq, weight_kg, height_m, sex, half_life_s
        What was used, after corrections and overrides.
    times : Times
        Decay reference, injection and acquisition, and where they come from.
    philips : dict
        Factor by each of the two Philips routes.
    other_normalisations : dict of str to float
        What SUVbw is multiplied by to give the other SUVs.
    reasons : tuple of Fault
        Why SUV is refused.
    warnings : tuple of str
    """

    factor: float | None
    meaning: str
    activity_factor: float | None
    slice_factors: tuple[float, ...] = ()
    suv_type: str = "bw"
    dose_bq: float | None = None
    weight_kg: float | None = None
    height_m: float | None = None
    sex: str = ""
    half_life_s: float | None = None
    times: Times = field(default_factory=Times)
    philips: dict[str, float] = field(default_factory=dict)
    other_normalisations: dict[str, float] = field(default_factory=dict)
    reasons: tuple[Fault, ...] = ()
    warnings: tuple[str, ...] = ()

    @property
    def uptake_min(self) -> float | None:
        """Minutes from the injection to the earliest frame."""
        return self.times.uptake_min


class Findings:
    """Reasons and warnings gathered on the way."""

    def __init__(self) -> None:
        self.reasons: list[Fault] = []
        self.warnings: list[str] = []

    def refuse(self, what: str, where: str, key: str) -> None:
        """Note a reason; `key` is the override that answers it, empty where none does."""
        remedy = f"give `{key}` in the visit's overrides table, with the reason" if key else "export the series again"
        self.reasons.append(Fault(what, where, remedy))
