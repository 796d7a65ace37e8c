"""Blood pools: fallbacks, standard errors under correlated noise, and pools that cannot both be right."""

from dataclasses import replace

import numpy as np
import pytest
from scipy import ndimage

import phantoms
from petflame.files import write_json, write_tsv
from petflame.folders import StudyOut
from petflame.measure.columns import VESSEL_COLUMNS
from petflame.measure.visit import measure
from petflame.pair.collect import STEPS, _visit_faults
from petflame.protocol import Protocol
from petflame.recovery import (
    FWHM_PER_SIGMA,
    blurred_disc,
    core_recovery,
    effective_voxels,
    standard_error,
    wall_recovery,
)
from petflame.segment.product import Check
from petflame.space.grid import Grid, Volume
from petflame.study import Study
from phantoms import CT, PEAKS, PET


def without(labels, *numbers):
    return Volume(np.where(np.isin(labels.data, numbers), 0, labels.data).astype(np.uint8), CT)


def scaled(name, factor):
    pet = phantoms.pet_image(PET, PEAKS)
    pet.data[phantoms.inside(name, phantoms.points(PET), beyond_mm=1.5)] *= factor
    return pet


def test_the_standard_error_is_the_scatter_of_the_mean_under_correlated_noise():
    rng, fwhm = np.random.default_rng(3), 6.0
    spacing = np.array([3.0, 3.0, 3.0])
    i, j, k = np.indices((24, 24, 24))
    core = np.argwhere((np.hypot(i - 12, j - 12) <= 2.2) & (np.abs(k - 12) <= 5))
    effective = effective_voxels(core, Grid((24, 24, 24), np.diag([*spacing, 1.0])), fwhm)
    assert effective < 0.5 * len(core)
    means, errors = [], []
    for _ in range(300):
        noise = ndimage.gaussian_filter(rng.standard_normal((24, 24, 24)), fwhm / FWHM_PER_SIGMA / spacing, mode="wrap")
        values = 1.5 + 3.0 * noise[tuple(core.T)]
        means.append(values.mean())
        errors.append(standard_error(values.std(ddof=1), len(values), effective))
    assert np.sqrt(np.mean(np.square(errors))) == pytest.approx(np.std(means), rel=0.12)


def test_the_columns_carry_the_error_into_tbr(labels):
    pet = phantoms.pet_image(PET, PEAKS)
    noisy = Volume(pet.data * (1 + 0.05 * np.random.default_rng(1).standard_normal(PET.shape)), PET)
    row = measure(noisy, phantoms.segmentation(labels), Protocol()).vessels.set_index("vessel").loc["carotid_left"]
    assert row["background_effective_voxels"] < row["background_voxels"]
    assert row["background_se_suv"] > row["background_sd_suv"] / np.sqrt(row["background_voxels"])
    assert row["mean_tbr_max_se_background"] == pytest.approx(
        row["mean_tbr_max"] * row["background_se_suv"] / row["background_suv"]
    )
    assert row["background_choice"] == "declared"


def test_sections_of_each_vein_are_listed(labels):
    details = measure(phantoms.pet_image(PET, PEAKS), phantoms.segmentation(labels), Protocol()).details
    svc = details["blood_pools"]["svc"]
    assert sum(s["voxels"] for s in svc["sections"]) == svc["voxels"]
    assert [s["z_mm"] for s in svc["sections"]] == sorted(s["z_mm"] for s in svc["sections"])
    assert all(s["suv_mean"] == pytest.approx(1.0) for s in svc["sections"])


def test_fallbacks_are_taken_in_the_declared_order_and_said(labels):
    rules = {"fallback": {"carotid_left": [["jugular_left"], ["svc"]], "aorta_ascending": [["jugular_right"]]}}
    pet = phantoms.pet_image(PET, PEAKS)

    def run(*missing):
        result = measure(pet, phantoms.segmentation(without(labels, *missing)), Protocol(background=rules))
        rows = result.vessels.set_index("vessel")[["background_region", "background_choice"]]
        return rows, result.details["warnings"]

    rows, warnings = run(7)
    assert rows.loc["carotid_left"].tolist() == ["jugular_left", "fallback 1"]
    assert any("carotid_left" in w and "fallback 1" in w for w in warnings)
    rows, _ = run(7, 8)
    assert rows.loc["carotid_left"].tolist() == ["svc", "fallback 2"]
    rows, _ = run(6)
    assert rows.loc["aorta_ascending"].tolist() == ["jugular_right", "fallback 1"]
    assert rows.loc["carotid_left", "background_choice"] == "declared"


def test_an_unknown_vein_in_a_fallback_is_refused():
    with pytest.raises(ValueError, match="jugular"):
        Protocol(background={"fallback": {"carotid_left": [["jugular"]]}})


@pytest.mark.parametrize(("factor", "warned"), [(1.0, False), (0.95, False), (0.5, True), (1.6, True)])
def test_veins_that_cannot_both_be_right_are_warned_of(labels, factor, warned):
    result = measure(scaled("jugular_left", factor), phantoms.segmentation(labels), Protocol())
    found = [w for w in result.details["warnings"] if "disagree" in w]
    assert bool(found) == warned
    assert all("jugular_left" in w for w in found)
    # Nobody knows which of the two is wrong: every artery that rests on either says so, whoever made the veins.
    rows = result.vessels.set_index("vessel")["background_doubt"].fillna("")
    for name in phantoms.PEAKS:
        assert ("blood pools disagree: jugular_left" in rows[name]) == warned
    assert not result.vessels.set_index("vessel").loc[list(phantoms.PEAKS), "withheld"].any()


def test_a_vein_that_needs_a_reader_speaks_against_no_other(labels):
    doubtful = with_withheld(phantoms.segmentation(labels), "svc")
    rows = measure(scaled("jugular_left", 0.5), doubtful, Protocol()).vessels.set_index("vessel")
    assert rows.loc["carotid_left", "background_doubt"] == ""
    assert "its blood pool svc needs a reader" in rows.loc["aorta_ascending", "reason"]


@pytest.mark.parametrize("reason", [("blood uptake", "SUV 5"), ("one blood along it", "above z 3 mm")])
def test_a_cava_in_doubt_that_a_reader_accepted_flags_the_aorta(labels, reason):
    doubtful = in_doubt(phantoms.segmentation(labels), "svc", *reason)
    rows = measure(phantoms.pet_image(PET, PEAKS), doubtful, Protocol()).vessels.set_index("vessel")
    assert rows.loc["aorta_ascending", "background_doubt"] == f"svc: {': '.join(reason)}"
    assert rows.loc["carotid_left", "background_doubt"] == ""


@pytest.mark.parametrize("radius", [2.0, 5.0, 12.0])
def test_the_blurred_disc_agrees_with_a_blurred_picture(radius):
    step, fwhm = 0.1, 6.0
    x, y = np.meshgrid(*[np.arange(-30, 30 + step / 2, step)] * 2, indexing="ij")
    disc = np.clip(0.5 - (np.hypot(x, y) - radius) / step, 0, 1)
    blurred = ndimage.gaussian_filter(disc, fwhm / FWHM_PER_SIGMA / step, truncate=6)
    middle = len(x) // 2
    at = x[middle:, 0]
    np.testing.assert_allclose(blurred_disc(radius, at, fwhm), blurred[middle:, middle], atol=2e-4)
    inside = np.hypot(x, y) <= 0.8 * radius
    assert core_recovery(radius, 0.8 * radius, fwhm) == pytest.approx(blurred[inside].mean(), abs=1e-3)
    ring = disc - np.clip(0.5 - (np.hypot(x, y) - (radius - 1.0)) / step, 0, 1)
    seen = ndimage.gaussian_filter(ring, fwhm / FWHM_PER_SIGMA / step, truncate=6)
    assert wall_recovery(radius, 1.0, fwhm) == pytest.approx(seen.max(), rel=2e-3)


def with_withheld(segmentation, *names):
    vessels = dict(segmentation.vessels)
    for name in names:
        vessels[name] = replace(vessels[name], withheld=True, reason="a proposal")
    return replace(segmentation, vessels=vessels)


def test_a_vein_that_needs_a_reader_gives_way_to_one_that_does_not(labels):
    doubtful = with_withheld(phantoms.segmentation(labels), "jugular_left")
    rows = measure(phantoms.pet_image(PET, PEAKS), doubtful, Protocol()).vessels.set_index("vessel")
    assert rows.loc["carotid_left", "background_region"] == "jugular_right"
    assert not rows.loc["carotid_left", "withheld"]


def test_an_artery_whose_only_blood_pool_needs_a_reader_needs_one_too(labels):
    doubtful = with_withheld(phantoms.segmentation(labels), "svc")
    rows = measure(phantoms.pet_image(PET, PEAKS), doubtful, Protocol()).vessels.set_index("vessel")
    assert rows.loc["aorta_ascending", "mean_tbr_max"] > 1
    assert rows.loc["aorta_ascending", "withheld"]
    assert "blood pool svc needs a reader: a proposal" in rows.loc["aorta_ascending", "reason"]
    assert not rows.loc["carotid_left", "withheld"]


def in_doubt(segmentation, name, check="even uptake", message="varies by 36 %"):
    check = Check(check, False, message)
    return replace(
        segmentation, vessels=segmentation.vessels | {name: replace(segmentation.vessels[name], checks=(check,))}
    )


def test_an_artery_whose_blood_pool_is_in_doubt_says_so_and_counts(labels):
    doubtful = in_doubt(phantoms.segmentation(labels), "jugular_left")
    rows = measure(phantoms.pet_image(PET, PEAKS), doubtful, Protocol()).vessels.set_index("vessel")
    for name in ("carotid_right", "carotid_left"):
        assert rows.loc[name, "background_doubt"] == "jugular_left: even uptake: varies by 36 %"
        assert not rows.loc[name, "withheld"]
    assert rows.loc["aorta_ascending", "background_doubt"] == ""


def test_a_blood_pool_in_doubt_is_listed_with_the_exclusions(tmp_path, labels):
    out = StudyOut(tmp_path)
    visit = out.visit("V1")
    for verb in STEPS:
        write_json(visit.step(verb), {"status": "ok", "reasons": []})
    write_json(visit.pet_json, {"suv_factor": 1.0})
    write_json(visit.labels_json, {})
    doubtful = in_doubt(phantoms.segmentation(labels), "jugular_left")
    measured = measure(phantoms.pet_image(PET, PEAKS), doubtful, Protocol())
    write_tsv(visit.vessels, measured.vessels, VESSEL_COLUMNS)
    flagged = [
        fault
        for step, kind, fault in _visit_faults(out, "V1", [], Study(tmp_path, (), b""))
        if (step, kind) == ("measure", "flagged")
    ]
    assert [fault["what"].split(" rests on ")[0] for fault in flagged] == ["carotid_right", "carotid_left"]
    assert all("jugular_left: even uptake" in fault["what"] for fault in flagged)
