"""Which stretch of a vessel each visit holds: worked out by hand on sections of known place."""

import numpy as np
import pandas as pd
import pytest

from petflame.pair.alignment import body_shifts, vessel_shifts
from petflame.pair.comparability import with_not_measured
from petflame.pair.correspondence import Correspondence
from petflame.pair.coverage import FOUND_ENDS_MM, coverage, coverage_items
from petflame.protocol import ComparabilityRules, Limits
from petflame.segment.product import BodyShift, Segmentation
from petflame.space.grid import Grid

LIMITS = Limits(passes=1, warns=2)
STEP_MM = 3.0
TALL = Grid((10, 10, 400), np.array([[1.0, 0, 0, 0], [0, 1, 0, 0], [0, 0, 3, -600], [0, 0, 0, 1]]))


def sections(first, last, outside=(), from_z=0.0):
    """Sections numbered `first` to `last`, 3 mm apart along a vessel that runs upwards."""
    numbers = np.arange(first, last + 1)
    reason = ["outside_field_of_view" if n in outside else "" for n in numbers]
    table = pd.DataFrame({"z_mm": from_z + STEP_MM * numbers, "arc_mm": STEP_MM * numbers, "reason": reason})
    return table.assign(valid=table["reason"] == "")


def held(a, b, grids=(TALL, TALL), by_anatomy=True):
    positions = [t["arc_mm"].to_numpy() for t in (a, b)]
    found = Correspondence("landmark: x", *positions, np.zeros(len(a), int), by_anatomy)
    return coverage(found, (a, b), grids, STEP_MM)


@pytest.mark.parametrize(("missing", "grade"), [(0, "pass"), (1, "pass"), (2, "warn"), (3, "fail"), (30, "fail")])
@pytest.mark.parametrize("low", [True, False])
def test_slices_that_one_scan_lacks_are_graded_by_the_sections_they_are(missing, grade, low):
    outside = range(missing) if low else range(40 - missing, 40)
    for flipped in (False, True):
        pair = sections(0, 39), sections(0, 39, outside)
        found = held(*(pair[::-1] if flipped else pair))
        assert found.sections == pytest.approx(missing)
        assert found.grade(LIMITS) == grade
        if missing:
            visit, end = "baseline" if flipped else "follow-up", "nearer the heart" if low else "far end"
            assert f"the {visit} lacks {missing * 3} mm" in found.words
            assert end in found.words
            assert "where its scan ends" in found.words


def test_a_region_that_the_image_of_its_labels_cuts_counts_as_cut():
    short = Grid((10, 10, 31), np.array([[1.0, 0, 0, 0], [0, 1, 0, 0], [0, 0, 3, 0], [0, 0, 0, 1]]))
    found = held(sections(0, 39), sections(0, 29), (TALL, short))
    assert found.grade(LIMITS) == "fail"
    assert found.ends[1].cut
    assert not found.ends[0].cut


def test_an_end_that_was_found_within_the_scan_fails_only_beyond_what_finding_it_can_miss():
    within = int((2 * STEP_MM + FOUND_ENDS_MM) // STEP_MM)
    assert held(sections(0, 39), sections(within, 39)).grade(LIMITS) == "warn"
    assert held(sections(0, 39), sections(within + 1, 39)).grade(LIMITS) == "fail"


def test_where_the_patient_lies_on_the_bed_changes_nothing():
    moved = held(sections(0, 39), sections(5, 39, from_z=250.0))
    assert moved.words == held(sections(0, 39), sections(5, 39)).words


def test_without_a_landmark_the_lengths_are_compared():
    found = held(sections(0, 39), sections(10, 39), by_anatomy=False)
    assert found.sections == pytest.approx(10)
    assert "the follow-up lacks 30 mm of its length" in found.words


def test_a_vessel_without_a_section_that_counts_is_not_measured_and_one_outside_the_primary_warns_at_most():
    assert held(sections(0, 3), sections(0, 3, range(4))) is None
    lost = held(sections(0, 39), sections(0, 39, range(30)))
    items = coverage_items(
        {"carotid_left": lost, "aorta_descending": lost, "aorta_arch": None}, ("carotid_left",), LIMITS
    )
    assert [i.grade for i in with_not_measured(items, "warn")] == ["fail", "warn", "warn"]
    assert [i.grade for i in with_not_measured(items, "ignore")] == ["fail", "warn", "unknown"]
    assert coverage_items({"carotid_left": lost}, ("carotid_left",), None) == []


def segmentation(reference="ct", body=None):
    return Segmentation(None, reference, {}, body_shift=body)


def test_a_shift_along_the_bed_fails_beyond_4_mm_by_more_than_its_sd_and_is_not_passed_where_unknown():
    rules = ComparabilityRules()
    known = [BodyShift((0.0, 0.0, z), (1.0, 1.0, 1.0)) for z in (-1.0, 3.0, 4.5, -12.0)]
    unknown = BodyShift((0.0, 0.0, 0.0), (1.0, 1.0, 1.0), "no lung")
    grades = [
        body_shifts((segmentation(body=b),) * 2, rules.pet_ct_shift_z_mm)[0].grade for b in (*known, unknown, None)
    ]
    assert grades == ["pass", "warn", "warn", "fail", "unknown", "unknown"]
    on_pet = body_shifts((segmentation("pet"),) * 2, rules.pet_ct_shift_z_mm)
    assert [i.grade for i in on_pet] == ["pass", "pass"]


def test_a_vessels_shift_is_graded_in_mm_whatever_the_voxel_and_in_voxels_on_request():
    rows = [{"pet_ct_shift_mm": v, "pet_ct_shift_sd_mm": 0.9} for v in (1.9, 3.0, 4.6, 5.1, None)]
    for voxel in (2.0, 5.5):
        graded = vessel_shifts(
            {str(n): (r, r) for n, r in enumerate(rows)}, ("ct", "ct"), (voxel, voxel), ComparabilityRules()
        )
        assert [i.grade for i in graded[::2]] == ["pass", "warn", "warn", "fail", "unknown"]
    older = ComparabilityRules(pet_ct_shift_voxels=Limits(passes=0.5, warns=1.0))
    graded = vessel_shifts({"a": (rows[3], rows[3])}, ("ct", "ct"), (5.5, 4.0), older)
    assert [i.grade for i in graded] == ["warn", "fail"]
    drawn = vessel_shifts({"a": (rows[4], rows[4])}, ("pet", "ct"), (4.0, 4.0), ComparabilityRules())
    assert [i.grade for i in drawn] == ["pass", "unknown"]
