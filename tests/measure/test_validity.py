"""Metal, PET-CT mismatch and a reader's exclusions."""

from dataclasses import replace

import numpy as np
import pytest

import phantoms
from petflame.anatomy import BY_NAME
from petflame.errors import InputRefused
from petflame.fingerprint import hash_file
from petflame.folders import VisitFolder
from petflame.measure.left_out import READ, TABLE, left_out_of, read_left_out, read_left_out_of
from petflame.measure.visit import measure
from petflame.protocol import Protocol
from petflame.requests import measure_request
from petflame.segment.product import BodyShift, PetCtShift
from petflame.segment.stretches import Stretch
from petflame.space.grid import Grid, Volume
from phantoms import CT


def rows_with(slices, code):
    return slices[slices["reason"].str.contains(code)]


def test_metal_on_ct_invalidates_the_sections_within_reach(labels, pet):
    hu = np.zeros(CT.shape, np.int16)
    clip = np.round(CT.to_ijk([-34.0, 10.0, 110.0])).astype(int)
    hu[tuple(clip)] = 2900
    found = measure(pet, phantoms.segmentation(labels), Protocol(), ct=Volume(hu, CT))
    hit = rows_with(found.slices, "metal")
    assert set(hit["vessel"]) == {"carotid_left"}
    assert set(hit["z_mm"]) == {z for z in np.arange(0, 160, 3.0) if abs(z - 110) <= np.sqrt(5**2 - 20)}
    assert not hit["valid"].any()
    flagged = measure(pet, phantoms.segmentation(labels), Protocol(region={"metal": "flag"}), ct=Volume(hu, CT))
    assert rows_with(flagged.slices, "metal")["valid"].all()
    calcium = Volume(np.minimum(hu, 1200).astype(np.int16), CT)
    assert rows_with(measure(pet, phantoms.segmentation(labels), Protocol(), ct=calcium).slices, "metal").empty


def test_labelled_metal_counts_without_a_ct(labels, pet):
    data = labels.data.copy()
    data[tuple(np.round(CT.to_ijk([-34.0, 10.0, 110.0])).astype(int))] = BY_NAME["metal"].label
    hit = rows_with(measure(pet, phantoms.segmentation(Volume(data, CT)), Protocol()).slices, "metal")
    assert set(hit["vessel"]) == {"carotid_left"}


def shifted(labels, *shift_mm):
    found = phantoms.segmentation(labels)
    shift = PetCtShift(shift_mm, (0.3, 0.3))
    one = replace(found.vessels["carotid_left"], pet_ct_shift=shift, pet_ct_shift_local=shift)
    return replace(found, vessels=found.vessels | {"carotid_left": one})


@pytest.mark.parametrize(("shift", "expected"), [(4.2, False), (4.4, True)])
def test_a_shift_beyond_its_limit_is_a_mismatch(labels, pet, shift, expected):
    found = measure(pet, shifted(labels, shift, 0.0), Protocol())
    hit = rows_with(found.slices, "pet_ct_mismatch")
    assert (len(hit) > 0) == expected
    row = found.vessels.set_index("vessel").loc["carotid_left"]
    assert row["pet_ct_shift_mm"] == shift
    if expected:
        assert set(hit["vessel"]) == {"carotid_left"}
        assert row["valid_sections"] == 0


@pytest.mark.parametrize(("rules", "limit_mm"), [({}, 4.0), ({"pet_ct_mismatch_voxels": 1.0}, 4.0 * 1.5)])
def test_the_limit_is_in_mm_whatever_the_voxel_unless_asked_in_voxels(labels, rules, limit_mm):
    coarse = phantoms.pet_image(phantoms.grid((6.0, 6.0, 3.0)), phantoms.PEAKS)
    for shift, expected in ((limit_mm + 0.2, False), (limit_mm + 0.4, True)):
        found = measure(coarse, shifted(labels, shift, 0.0), Protocol(region=rules))
        assert (len(rows_with(found.slices, "pet_ct_mismatch")) > 0) == expected


def test_a_body_that_lies_far_along_the_bed_is_a_mismatch_of_every_vessel(labels, pet):
    def moved(z_mm, why=""):
        return replace(phantoms.segmentation(labels), body_shift=BodyShift((0.0, 0.0, z_mm), (1.0, 1.0, 1.0), why))

    near, far = (measure(pet, moved(z), Protocol()).slices for z in (10.9, -11.1))
    assert rows_with(near, "pet_ct_mismatch").empty
    assert not far["valid"].any()
    # What is not measured excludes nothing; the older rules know no limit head-foot.
    assert measure(pet, moved(50.0, "no lung"), Protocol()).slices["valid"].all()
    assert measure(pet, moved(50.0), Protocol(name="ivory_assumed_v0")).slices["valid"].all()


def test_a_shift_is_undone_on_request(labels, pet):
    # The CT's labels lie 8 mm (two voxels) to the right of where the PET shows the vessels.
    affine = CT.affine.copy()
    affine[0, 3] += 8.0
    away = Volume(labels.data, Grid(CT.shape, affine))
    rules = {"pet_ct_mismatch": "correct"}
    plain = measure(pet, phantoms.segmentation(labels), Protocol()).vessels.set_index("vessel")
    # LPS x is towards the left: the PET lies 8 mm to the left of the CT, more than the search reaches.
    near_only = Protocol(region={**rules, "pet_ct_search": "local"})
    beyond = measure(pet, shifted(away, 8.0, 0.0), near_only).vessels.set_index("vessel")
    assert beyond.loc["carotid_left", "valid_sections"] == 0
    assert not beyond.loc["carotid_left", "pet_ct_corrected"]
    farther = measure(pet, shifted(away, 15.0, 0.0), Protocol(region=rules)).vessels.set_index("vessel")
    assert farther.loc["carotid_left", "valid_sections"] == 0
    affine[0, 3] -= 4.0
    near = Volume(labels.data, Grid(CT.shape, affine))
    undone = measure(pet, shifted(near, 4.0, 0.0), Protocol(region=rules)).vessels.set_index("vessel")
    assert undone.loc["carotid_left", "pet_ct_corrected"]
    assert not undone.loc["carotid_right", "pet_ct_corrected"]
    for column in ("mean_suv_max", "mean_area_mm2", "valid_sections", "length_mm"):
        assert undone.loc["carotid_left", column] == pytest.approx(plain.loc["carotid_left", column], rel=1e-9)


def table(tmp_path, *rows):
    path = tmp_path / "exclusions.tsv"
    path.write_text("\n".join(["vessel\tsection\tz_min_mm\tz_max_mm\tcode\twords", *rows, ""]))
    return path


def test_a_reader_leaves_out_sections_by_number_and_by_height(tmp_path, labels, pet):
    path = table(
        tmp_path,
        "carotid_left\t3\t\t\t\tmuscle uptake",
        "carotid_right\t\t100\t106\tpet_ct_mismatch\thead moved",
    )
    found = measure(pet, phantoms.segmentation(labels), Protocol(), exclusions=read_left_out(path))
    left = rows_with(found.slices, "reader_exclusion")
    assert left[["vessel", "section", "reason"]].values.tolist() == [
        ["carotid_left", 3, "reader_exclusion: muscle uptake"]
    ]
    moved = rows_with(found.slices, "pet_ct_mismatch")
    assert moved["z_mm"].tolist() == [102.0, 105.0]
    assert not moved["valid"].any()
    assert not left["valid"].any()
    assert found.details["reader_exclusions"][0]["reason"] == "reader_exclusion: muscle uptake"


def test_every_faulty_row_is_named_at_once(tmp_path):
    path = table(
        tmp_path,
        "aorta\t1\t\t\t\twhy",
        "carotid_left\t1\t\t\t\t",
        "carotid_left\tfirst\t\t\t\twhy",
        "carotid_left\t\t5\t\t\twhy",
        "carotid_left\t\t9\t5\t\twhy",
        "carotid_left\t1\t5\t9\t\twhy",
        "carotid_left\t\t\t\t\twhy",
        "carotid_left\t2\t\t\tbad_code\twhy",
    )
    with pytest.raises(InputRefused) as caught:
        read_left_out(path)
    assert {f.where.rsplit(" ", 1)[1] for f in caught.value.faults} == {str(n) for n in range(2, 10)}


def test_rows_that_meet_no_section_are_refused_together(tmp_path, labels, pet):
    path = table(
        tmp_path, "carotid_left\t99\t\t\t\twhy", "carotid_right\t\t500\t510\t\twhy", "aorta_arch\t0\t\t\t\twhy"
    )
    with pytest.raises(InputRefused) as caught:
        measure(pet, phantoms.segmentation(labels), Protocol(), exclusions=read_left_out(path))
    assert len(caught.value.faults) == 3


def test_a_readers_table_is_found_by_both_names_and_two_of_them_are_refused(tmp_path):
    visit = VisitFolder(tmp_path)
    assert read_left_out_of(visit) == ()
    row = "vessel\tsection\twords\ncarotid_left\t3\tmuscle\n"
    new, old = visit.left_out
    old.write_text(row)
    (found,) = read_left_out_of(visit)
    assert (found.vessel, found.section) == ("carotid_left", 3)
    new.write_text(row)
    with pytest.raises(InputRefused, match="both say"):
        read_left_out_of(visit)
    old.unlink()
    assert [r.section for r in read_left_out_of(visit)] == [3]


def test_a_readers_table_that_appears_changes_what_the_measurement_is_made_from(tmp_path):
    def made_from():
        return measure_request(tmp_path, Protocol()).made_from(hash_file)["sources"]

    before = made_from()
    for path in VisitFolder(tmp_path).left_out:
        path.write_text("vessel\tsection\twords\n")
        assert made_from() != before
        path.unlink()


def test_a_readers_table_that_leads_nowhere_is_refused(tmp_path):
    VisitFolder(tmp_path).left_out[0].symlink_to(tmp_path / "nowhere")
    with pytest.raises(InputRefused):
        read_left_out_of(VisitFolder(tmp_path))


def of_a_read(labels, *stretches):
    return replace(phantoms.segmentation(labels), left_out=stretches)


def test_what_a_finished_read_leaves_out_counts_beside_the_readers_table(tmp_path, labels, pet):
    read = of_a_read(
        labels,
        Stretch("carotid_right", 100.0, 106.0, "pet_ct_mismatch", "head moved"),
        Stretch("carotid_left", 90.0, 100.0, "reader_exclusion", "a node"),
        Stretch("carotid_left", 500.0, 510.0, "metal", "beyond the vessel"),
    )
    rows = ("carotid_right\t\t100\t106\tpet_ct_mismatch\thead moved", "carotid_left\t\t99\t102\t\tmuscle uptake")
    table(tmp_path, *rows)
    rows, told = left_out_of(VisitFolder(tmp_path), read)
    assert [(row.vessel, row.words) for row in rows] == [
        ("carotid_right", "head moved"),
        ("carotid_left", "muscle uptake"),
        ("carotid_left", "a node"),
        ("carotid_left", "beyond the vessel"),
    ]
    assert [line.split(";")[0] for line in told] == [
        "carotid_right: the table and the finished read leave out the same stretch",
        "carotid_left: the table and the finished read leave out stretches that overlap",
    ]
    found = measure(pet, read, Protocol(), exclusions=rows)
    own = found.slices[found.slices["vessel"] == "carotid_left"]
    left = own[~own["valid"] & own["reason"].str.contains("reader_exclusion")]
    assert left["z_mm"].tolist() == [90.0, 93.0, 96.0, 99.0, 102.0]
    both = left.set_index("z_mm").loc[99.0, "reason"]
    assert "a node" in both
    assert "muscle uptake" in both
    (missed,) = [w for w in found.details["warnings"] if "meets none" in w]
    assert missed == "carotid_left: z 500.0 to 510.0 mm, which the reader leaves out, meets none of its sections"
    assert [row["source"] for row in found.details["reader_exclusions"]] == [TABLE, TABLE, READ, READ]


def test_a_vessel_of_a_prefilled_read_is_marked(labels, pet):
    segmentation = phantoms.segmentation(labels)
    one = replace(segmentation.vessels["carotid_left"], prefilled=True)
    marked = replace(segmentation, vessels=segmentation.vessels | {"carotid_left": one})
    told = measure(pet, marked, Protocol()).vessels.set_index("vessel")["read_prefilled"]
    assert told[told].index.tolist() == ["carotid_left"]
