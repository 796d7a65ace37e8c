"""The design of a trial: sizes, effect and what varies, as one value."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from petflame.anatomy import TARGET_VESSELS
from petflame.errors import FaultList, InputRefused
from petflame.published import EFFECT_PERCENT, PATIENTS_PER_ARM


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
    visit_cv, measurement_cv : float
        The two parts of the within-subject variation, as SDs of ln TBRmax (fraction): what all vessels of a visit
        share (biology, uptake time, blood pool), and what is one vessel's own (positioning, noise, reading).
    sections, segment_sections : int
        Sections of a vessel, and of its most diseased segment (15 mm).
    section_sd, section_noise_sd : float
        SD along a vessel of its sections' true TBRmax, and of what differs between visits (ratio).
    active_threshold : float
        TBRmax of an active section.
    blood_pool_suv, blood_pool_cv, blood_pool_visit_cv : float
        Blood pool's mean SUV (g/mL), and its variation between patients and between visits of one (fraction), drawn
        apart from TBR.

    Notes
    -----
    The defaults give an index vessel of about the published baseline (mean 2.3, SD 0.28) and residual SD (0.257); those
    of sections make the locked most diseased segment fall without a drug by 3.1 points more than the index vessel, as
    in simulated null trials (3.9 % against 0.8 %). Blood pool differs between two visits by an SD of 0.42 on a mean of
    1.55 (measurement definitions, section 8); its variation between patients is assumed.
    """

    patients_per_arm: int = PATIENTS_PER_ARM
    dropout: float = 0.0
    effect_percent: float = EFFECT_PERCENT
    vessel_means: tuple[float, ...] = (2.26, 2.08, 2.08)
    between_patient_sd: float = 0.17
    between_vessel_sd: float = 0.09
    visit_cv: float = 0.083
    measurement_cv: float = 0.05
    sections: int = 20
    segment_sections: int = 5
    section_sd: float = 0.16
    section_noise_sd: float = 0.13
    active_threshold: float = 2.0
    blood_pool_suv: float = 1.55
    blood_pool_cv: float = 0.15
    blood_pool_visit_cv: float = 0.19

    @property
    def within_subject_cv(self) -> float:
        """SD of ln TBRmax of one vessel between two visits of an unchanged patient: both parts together (fraction).

        >>> round(Design().within_subject_cv, 4)
        0.0969
        """
        return math.hypot(self.visit_cv, self.measurement_cv)

    def with_within_subject_cv(self, total: float) -> Design:
        """Return the design with another total, its parts in the proportion they had.

        >>> wider = Design(visit_cv=0.04, measurement_cv=0.03).with_within_subject_cv(0.1)
        >>> round(wider.visit_cv, 4), round(wider.measurement_cv, 4)
        (0.08, 0.06)
        """
        had = self.within_subject_cv
        if had == 0:
            raise InputRefused.of(
                "a design without within-subject variation has no parts to keep in proportion",
                "design",
                "give visit_cv or measurement_cv above 0",
            )
        factor = total / had
        return replace(self, visit_cv=self.visit_cv * factor, measurement_cv=self.measurement_cv * factor)

    @property
    def vessel_names(self) -> tuple[str, ...]:
        """Names of the vessels: the target vessels where there are as many, else numbers."""
        count = len(self.vessel_means)
        return TARGET_VESSELS if count == len(TARGET_VESSELS) else tuple(f"vessel_{k + 1}" for k in range(count))

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
        if not 1 <= self.segment_sections <= self.sections:
            what = f"a segment of {self.segment_sections} in {self.sections} sections is impossible"
            faults.add(what, "segment_sections", "give whole numbers from 1, the segment no longer than the vessel")
        if not self.active_threshold > 0:
            faults.add(f"{self.active_threshold} is not positive", "active_threshold", "give a ratio above 0")
        if not (math.isfinite(self.blood_pool_suv) and self.blood_pool_suv > 0):
            faults.add(f"{self.blood_pool_suv} is not positive", "blood_pool_suv", "give an SUV above 0, g/mL")
        variations = ("between_patient_sd", "between_vessel_sd", "visit_cv", "measurement_cv")
        for field in (*variations, "section_sd", "section_noise_sd", "blood_pool_cv", "blood_pool_visit_cv"):
            value = getattr(self, field)
            if not (math.isfinite(value) and value >= 0):
                faults.add(f"{value} is negative or not finite", field, "give 0 or more")
        if not faults and self.visit_cv + self.measurement_cv + self.between_patient_sd == 0:
            faults.add("nothing varies", "design", "give a variation above 0")
        faults.raise_if_any()
