"""The trial on paper: who takes part, on which scanner, with what biology; drawn from a seed, nothing rendered."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

import numpy as np

from petflame.errors import InputRefused
from petflame.published import PATIENTS
from petflame.simulate.outcomes import draw_outcomes
from petflame.simulate.pose import Pose
from petflame.simulate.scanners import SITES, Scanner, scanner_of_site
from petflame.simulate.streams import hex_key, stream

if TYPE_CHECKING:
    import pandas as pd

DEFAULT_SEED = 20260108
VISITS = ("baseline", "followup")

# Set with benchmarks/calibrate_simulation.py (200 trials of 60): level, spread and effect as measured, not as painted.
# Adjusted percent -7.50 (SE 0.20), paired effect -7.75 (SE 0.03), baseline 2.315 SD 0.280, residual SD 0.249.
EXCESS = {"aorta": 2.95, "carotid": 4.9, "other": 2.0}
PATIENT_SD = 0.06
VESSEL_SD = 0.05
VISIT_SD = 0.135
VISIT_VESSEL_SD = 0.05
EXCESS_PER_MIN = 0.006
EXCESS_PER_MMOL = -0.04
EFFECT_ON_EXCESS = 0.870
EFFECT_SD = 0.04
_GROUPS = ("aorta", "carotid_right", "carotid_left", "other")


@dataclass(frozen=True)
class VisitPlan:
    """Everything that the rendering of one visit needs.

    Attributes
    ----------
    seed : int
        The trial's.
    participant_id, visit : str
    dicom_dir, labels, seeds : str
        Paths relative to the study.
    male, age_years, birth_year, height_m, bmi
        For header and anatomy; the body-mass index is that at recruitment.
    weight_kg : float
        On the day of the scan.
    scanner : Scanner
        The same at both visits.
    dose_mbq, uptake_min, glucose_mmol_l : float
    injection : datetime
        A shifted date.
    blood_suv : float
        SUVbw.
    excess : mapping of artery group to float
        Mean of (wall - blood) / blood at this visit, treatment included.
    excess_factor : float
        What treatment multiplied the excess by (1: none).
    tissue_suv : mapping of tissue to float
    noise_cv : float
        Coefficient of variation of a PET voxel.
    ct_pose, pet_pose : Pose
    missing_slice : bool
        One PET slice is left out, so that the visit must be refused.
    """

    seed: int
    participant_id: str
    visit: str
    dicom_dir: str
    labels: str
    seeds: str
    male: bool
    age_years: int
    birth_year: int
    height_m: float
    bmi: float
    weight_kg: float
    scanner: Scanner
    dose_mbq: float
    uptake_min: float
    glucose_mmol_l: float
    injection: datetime
    blood_suv: float
    excess: Mapping[str, float]
    excess_factor: float
    tissue_suv: Mapping[str, float]
    noise_cv: float
    ct_pose: Pose
    pet_pose: Pose
    missing_slice: bool = False


@dataclass(frozen=True, eq=False)
class TrialPlan:
    """A whole trial before it is written.

    Attributes
    ----------
    seed : int
    participants, visits, visits_with_labels, allocation, outcomes : DataFrame
        The study's tables; paths in `visits` are relative to the table. `visits_with_labels` also names label maps:
        put in the place of `visits`, it makes the trial run on a reader's regions.
    visit_plans : tuple of VisitPlan
        In the order of `visits`.
    blinding_key : str
        64 hexadecimal characters.
    """

    seed: int
    participants: pd.DataFrame
    visits: pd.DataFrame
    visits_with_labels: pd.DataFrame
    allocation: pd.DataFrame
    outcomes: pd.DataFrame
    visit_plans: tuple[VisitPlan, ...]
    blinding_key: str

    def visit(self, participant_id: str, visit: str) -> VisitPlan:
        """Return the plan of one visit."""
        return next(v for v in self.visit_plans if (v.participant_id, v.visit) == (participant_id, visit))


@dataclass(frozen=True)
class _Person:
    participant_id: str
    arm: str
    scanner: Scanner
    male: bool
    age_years: int
    height_m: float
    bmi: float
    diabetes: bool
    log_excess: Mapping[str, float]
    effect: float


def plan_trial(patients: int = PATIENTS, seed: int = DEFAULT_SEED) -> TrialPlan:
    """Draw a two-arm, two-visit trial of arterial FDG PET/CT; nothing is rendered or written.

    Parameters
    ----------
    patients : int
        Randomised participants, at least 2. From 10 on, one follow-up visit lacks a PET slice.
    seed : int
        The same seed gives the same trial.

    Raises
    ------
    InputRefused
        When the number of patients is not between 2 and 9999, or the seed is negative.
    """
    import pandas as pd

    if not 2 <= patients <= 9999:
        raise InputRefused.of(f"{patients} patients cannot be simulated", "--patients", "give 2 to 9999")
    if seed < 0:
        raise InputRefused.of(f"the seed {seed} is negative", "--seed", "give a whole number from 0")
    people = _people(patients, seed)
    incomplete = people[int(stream(seed, "incomplete").integers(patients))].participant_id if patients >= 10 else None
    plans = []
    for person in people:
        for number, visit in enumerate(VISITS):
            missing = visit == "followup" and person.participant_id == incomplete
            plans.append(_visit(seed, person, visit, number, missing))
    ids = [p.participant_id for p in people]
    residual = np.array([p.log_excess["aorta"] + (np.log(p.effect) if p.arm == "active" else 0.0) for p in people])
    followed, years, event = draw_outcomes([p.arm for p in people], residual, stream(seed, "outcomes"))
    participants = pd.DataFrame(
        {
            "participant_id": ids,
            "site": [p.scanner.site for p in people],
            "sex": ["M" if p.male else "F" for p in people],
            "age_years": [p.age_years for p in people],
            "diabetes": ["yes" if p.diabetes else "no" for p in people],
        }
    )
    columns = ("participant_id", "visit", "dicom_dir", "labels", "seeds", "glucose_mmol_l")
    with_labels = pd.DataFrame({column: [getattr(plan, column) for plan in plans] for column in columns})
    visits = with_labels.drop(columns="labels")
    outcomes = pd.DataFrame({"participant_id": ids, "time_years": years.round(3), "event": event.astype(int)})[followed]
    allocation = pd.DataFrame({"participant_id": ids, "arm": [p.arm for p in people]})
    key = hex_key(seed, "blinding")
    return TrialPlan(
        seed, participants, visits, with_labels, allocation, outcomes.reset_index(drop=True), tuple(plans), key
    )


def _people(patients: int, seed: int) -> list[_Person]:
    rng = stream(seed, "recruitment")
    sites = [SITES[i] for i in rng.choice(len(SITES), size=patients, p=(0.4, 0.35, 0.25))]
    arms = _allocate(sites, rng)
    people = []
    for number, (site, arm) in enumerate(zip(sites, arms, strict=True), start=1):
        name = f"SIM{number:04d}"
        own = stream(seed, name, "person")
        male = bool(own.random() < 0.83)
        patient = own.normal(0.0, PATIENT_SD)
        log_excess = {}
        for group in _GROUPS:
            level = EXCESS["carotid" if group.startswith("carotid") else group]
            log_excess[group] = float(np.log(level) + patient + own.normal(0.0, VESSEL_SD))
        people.append(
            _Person(
                participant_id=name,
                arm=arm,
                scanner=scanner_of_site(site, own),
                male=male,
                age_years=int(np.clip(own.normal(57, 9), 35, 80)),
                height_m=round(float(own.normal(1.76 if male else 1.63, 0.065)), 2),
                bmi=float(np.clip(own.normal(28.5, 4.0), 20.0, 40.0)),
                diabetes=bool(own.random() < 0.18),
                log_excess=log_excess,
                effect=float(np.clip(own.normal(EFFECT_ON_EXCESS, EFFECT_SD), 0.5, 1.0)),
            )
        )
    return people


def _allocate(sites: list[str], rng: np.random.Generator) -> list[str]:
    """Allocate in permuted blocks of four within each site."""
    waiting: dict[str, list[str]] = {}
    arms = []
    for site in sites:
        if not waiting.get(site):
            block = ["active", "active", "control", "control"]
            waiting[site] = [block[i] for i in rng.permutation(4)]
        arms.append(waiting[site].pop())
    return arms


def _visit(seed: int, person: _Person, visit: str, number: int, missing: bool) -> VisitPlan:
    both = stream(seed, person.participant_id, "both visits")
    rng = stream(seed, person.participant_id, visit, "visit")
    recruited = datetime(2021, 3, 1) + timedelta(days=int(both.integers(0, 900)))
    start = recruited + timedelta(days=int(both.integers(60, 73)) * number)
    injection = start + timedelta(hours=8, seconds=int(rng.integers(0, 5 * 3600)))
    glucose_usual = both.normal(6.3 if person.diabetes else 5.5, 0.4)
    glucose = float(np.clip(glucose_usual + rng.normal(0.0, 0.4), 3.9, 10.8).round(1))
    uptake = float(np.clip(rng.normal(91.0, 3.2), 80.0, 104.0))
    weight = float(round(person.bmi * person.height_m**2 * (1 + 0.01 * rng.normal() * number), 1))
    shared = both.normal(size=6)
    own = rng.normal(size=8)
    blood = 1.40 * np.exp(0.10 * shared[0] + 0.08 * own[0] - 0.004 * (uptake - 90)) * (1 + 0.03 * (glucose - 5.6))
    factor = person.effect if person.arm == "active" and visit == "followup" else 1.0
    common = VISIT_SD * own[1] + EXCESS_PER_MIN * (uptake - 90) + EXCESS_PER_MMOL * (glucose - 5.6)
    excess = {
        group: float(np.exp(level + common + VISIT_VESSEL_SD * rng.normal()) * factor)
        for group, level in person.log_excess.items()
    }
    tissue = {
        "myocardium": float(np.clip(4.0 * np.exp(0.35 * shared[1] + 0.35 * own[2]), 1.4, 12.0)),
        "liver": float(np.clip(2.1 * np.exp(0.09 * shared[2] + 0.05 * own[3]), 1.45, 3.0)),
        "marrow": float(1.45 * np.exp(0.15 * shared[3] + 0.08 * own[4])),
        "thyroid": float(1.6 * np.exp(0.25 * shared[4])),
        "lymph_node": float(np.clip(2.2 * np.exp(0.3 * shared[5] + 0.1 * own[5]), 1.0, 4.5)),
        "muscle": float(0.65 * np.exp(0.08 * own[6])),
    }
    dose = float(np.clip(3.6 * weight * np.exp(0.05 * own[7]), 150.0, 420.0).round(1))
    noise = person.scanner.noise_cv * np.sqrt(3.6 * weight / dose) * (weight / 85.0) ** 0.3
    ct_pose = _pose(rng)
    name = f"{person.participant_id}_{visit}"
    return VisitPlan(
        seed=seed,
        participant_id=person.participant_id,
        visit=visit,
        dicom_dir=f"dicom/{person.participant_id}/{visit}",
        labels=f"labels/{name}.nii.gz",
        seeds=f"seeds/{name}.json",
        male=person.male,
        age_years=person.age_years,
        birth_year=recruited.year - person.age_years,
        height_m=person.height_m,
        bmi=person.bmi,
        weight_kg=weight,
        scanner=person.scanner,
        dose_mbq=dose,
        uptake_min=round(uptake, 2),
        glucose_mmol_l=glucose,
        injection=injection,
        blood_suv=float(blood),
        excess=excess,
        excess_factor=factor,
        tissue_suv=tissue,
        noise_cv=float(noise),
        ct_pose=ct_pose,
        pet_pose=ct_pose.moved(rng.normal(0.0, (0.7, 0.7, 0.8)), *rng.normal(0.0, (0.7, 0.4, 1.5))),
        missing_slice=missing,
    )


def _pose(rng: np.random.Generator) -> Pose:
    x, y, z = rng.normal(0.0, (4.0, 3.0, 5.0))
    return Pose(
        shift_mm=(float(x), float(y), float(z)),
        roll_deg=float(rng.normal(0.0, 1.2)),
        yaw_deg=float(rng.normal(0.0, 0.8)),
        tilt_deg=float(rng.normal(0.0, 0.8)),
        flexion_deg=float(rng.normal(0.0, 4.0)),
        turn_deg=float(rng.normal(0.0, 5.0)),
        breathing_mm=float(rng.normal(0.0, 3.0)),
    )
