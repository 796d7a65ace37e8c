"""The trial on paper."""

from __future__ import annotations

from dataclasses import FrozenInstanceError

import numpy as np
import pytest

from petflame.errors import InputRefused
from petflame.simulate.outcomes import draw_outcomes
from petflame.simulate.plan import DEFAULT_SEED, plan_trial

TABLES = ("participants", "visits", "allocation", "outcomes")


@pytest.fixture(scope="module")
def plan():
    return plan_trial()


def test_default_trial_has_the_shape_of_the_published_one(plan):
    assert len(plan.participants) == 60
    assert len(plan.visits) == 120
    assert len(plan.outcomes) == 55
    assert set(plan.allocation["arm"]) == {"active", "control"}
    assert 27 <= (plan.allocation["arm"] == "active").sum() <= 33
    assert set(plan.participants["site"]) == {"north", "east", "west"}


def test_same_seed_same_plan(plan):
    again, other = plan_trial(60, DEFAULT_SEED), plan_trial(60, 5)
    for name in TABLES:
        assert getattr(plan, name).equals(getattr(again, name))
    assert plan.visit_plans == again.visit_plans
    assert plan.blinding_key == again.blinding_key
    assert len(plan.blinding_key) == 64
    assert not plan.visits.equals(other.visits)


def test_plan_is_frozen(plan):
    with pytest.raises(FrozenInstanceError):
        plan.seed = 3


def test_paths_are_relative_and_unique(plan):
    for column in ("dicom_dir", "labels", "seeds"):
        assert plan.visits_with_labels[column].is_unique
        assert not plan.visits_with_labels[column].str.startswith("/").any()


def test_exactly_one_followup_lacks_a_slice_and_small_trials_none(plan):
    missing = [v for v in plan.visit_plans if v.missing_slice]
    assert [v.visit for v in missing] == ["followup"]
    assert not any(v.missing_slice for v in plan_trial(9, 1).visit_plans)


def test_visits_of_a_participant_share_scanner_and_anatomy_but_not_the_pose(plan):
    for before, after in zip(plan.visit_plans[::2], plan.visit_plans[1::2], strict=True):
        assert before.participant_id == after.participant_id
        assert before.scanner == after.scanner
        assert before.bmi == after.bmi
        assert before.ct_pose != after.ct_pose
        assert 60 <= (after.injection.date() - before.injection.date()).days <= 72


def test_treatment_touches_the_active_arm_at_followup_alone(plan):
    arm = dict(zip(plan.allocation["participant_id"], plan.allocation["arm"], strict=True))
    for visit in plan.visit_plans:
        treated = arm[visit.participant_id] == "active" and visit.visit == "followup"
        assert (visit.excess_factor < 1.0) == treated


def test_every_vendor_and_habit_occurs(plan):
    scanners = {v.scanner for v in plan.visit_plans}
    assert {s.vendor for s in scanners} == {"siemens", "ge", "philips"}
    assert {(s.vendor, s.units) for s in scanners} >= {("philips", "CNTS"), ("philips", "BQML")}
    assert {(s.vendor, s.decay_correction) for s in scanners} >= {("ge", "ADMIN"), ("ge", "START")}
    assert any(s.late_series_time for s in scanners)


def test_scans_lie_within_the_limits_of_a_usable_study(plan):
    for visit in plan.visit_plans:
        assert 45 <= visit.uptake_min <= 150
        assert 3.5 < visit.glucose_mmol_l < 11
        assert 1.3 <= visit.tissue_suv["liver"] <= 3.2
        assert 0.7 < visit.blood_suv < 2.6
        assert 40 < visit.weight_kg < 160


def test_outcomes_follow_the_model():
    rates, active = [], 0
    for seed in range(40):
        plan = plan_trial(60, seed)
        table = plan.outcomes.merge(plan.allocation)
        early = table[(table["event"] == 1) & (table["time_years"] <= 2)]
        rates.append((early["arm"] == "control").sum() / (table["arm"] == "control").sum())
        active += int((early["arm"] == "active").sum())
    assert np.mean(rates) == pytest.approx(0.11, abs=0.015)
    assert active == 0


def test_hotter_arteries_fail_earlier():
    rng = np.random.default_rng(3)
    inflammation = rng.normal(size=4000)
    followed, _, event = draw_outcomes(["control"] * 4000, inflammation, rng)
    assert inflammation[followed & event].mean() > inflammation[followed & ~event].mean() + 0.2


@pytest.mark.parametrize(("patients", "seed"), [(1, 1), (0, 1), (10**6, 1), (10, -1)])
def test_nonsense_is_refused(patients, seed):
    with pytest.raises(InputRefused):
        plan_trial(patients, seed)
