"""Sections across a bent tube whose cross-section is known everywhere."""

import numpy as np
import pytest

import phantoms
from petflame.errors import InputRefused
from petflame.labelmap import LabelMap
from petflame.measure.images import VisitImages
from petflame.measure.perpendicular import cut_across, smooth_line
from petflame.measure.visit import measure
from petflame.protocol import Protocol
from petflame.segment.product import VesselFinding
from petflame.space.grid import Grid, Volume, ras_to_lps

BEND, TUBE = 38.0, 12.0
CENTRE = np.array([3.0, -2.0, 41.0])
AREA = np.pi * TUBE**2


def grid(spacing, low=(-25.0, -62.0, 0.0), high=(31.0, 58.0, 100.0)):
    return phantoms.grid(spacing, low, high)


CT, PET = grid((0.8, 0.8, 2.0)), grid((4.0, 4.0, 3.0))


def off_axis(at):
    """Distance from the half circle of radius BEND over the centre, in the plane x = centre, and the angle along it."""
    x, y, z = np.moveaxis(at - CENTRE, -1, 0)
    return np.hypot(x, np.hypot(y, z) - BEND), np.arctan2(z, y)


def arch(on, from_deg=0.0, to_deg=180.0):
    away, angle = off_axis(phantoms.points(on))
    angle = np.degrees(angle)
    return Volume((away <= TUBE) & (angle >= from_deg) & (angle <= to_deg), on)


def true_line(count=60, from_deg=0.0, to_deg=180.0):
    # From the front (RAS y positive) over the top to the back.
    angle = np.radians(np.linspace(from_deg, to_deg, count))
    return ras_to_lps(CENTRE + BEND * np.column_stack([np.zeros(count), np.cos(angle), np.sin(angle)]))


def middle(sections, spacing):
    """Sections well away from the ends."""
    length = np.pi * BEND
    return [s for s in sections if 1.5 * spacing < s.arc_mm < length - 1.5 * spacing]


@pytest.mark.parametrize("spacing", [3.0, 5.0])
def test_every_section_has_the_area_of_the_tube(spacing):
    sections = middle(cut_across(arch(CT), PET, true_line(), 0.0, spacing, on_pet=False), spacing)
    assert len(sections) == pytest.approx(np.pi * BEND / spacing - 3, abs=1)
    np.testing.assert_allclose([s.area_mm2 for s in sections], AREA, rtol=0.02)
    assert np.mean([s.area_mm2 for s in sections]) == pytest.approx(AREA, rel=0.01)


def drawn_aorta():
    """The arch as a reader labels it: what lies above a plane, between an ascending and a longer descending limb."""
    at = phantoms.points(CT)
    x, y, z = np.moveaxis(at - CENTRE, -1, 0)
    limb = (np.hypot(x, y + BEND) <= TUBE) & (z <= 0) & (z > -36)
    labels = np.where(limb, 3, 0).astype(np.uint8)
    labels[arch(CT).data] = 2
    labels[(labels == 2) & (z <= 12)] = np.where(y[(labels == 2) & (z <= 12)] > 0, 1, 3)
    return phantoms.segmentation(Volume(labels, CT))


def test_with_the_centreline_that_segmentation_finds_the_area_holds_too():
    images = VisitImages(Volume(np.ones(PET.shape), PET), drawn_aorta())
    sections = images.sections("aorta_arch", 0.0, 3.0, "perpendicular")
    # The ends of the label are cut slantwise by the plane; whole cross-sections begin a tube's radius further in.
    whole = [s for s in sections if s.centre_lps_mm[2] > CENTRE[2] + 12 + TUBE]
    assert len(whole) >= 10
    np.testing.assert_allclose([s.area_mm2 for s in whole], AREA, rtol=0.02)


def test_axial_planes_cut_the_arch_lengthwise_and_planes_across_do_not():
    images = VisitImages(Volume(np.ones(PET.shape), PET), drawn_aorta())
    axial = max(s.area_mm2 for s in images.sections("aorta_arch"))
    across = max(s.area_mm2 for s in images.sections("aorta_arch", plane="perpendicular"))
    assert axial > 2.5 * AREA
    assert across < 1.1 * AREA


def test_every_voxel_belongs_to_the_one_section_whose_plane_is_nearest():
    spacing = 5.0
    sections = cut_across(arch(CT), PET, true_line(), 0.0, spacing, on_pet=False)
    every = np.concatenate([s.ijk for s in sections]).astype(int)
    assert len(np.unique(every, axis=0)) == len(every)
    away, angle = off_axis(phantoms.points(PET))
    inside = (away <= TUBE) & (angle >= 0)
    assert abs(len(every) - inside.sum()) <= 0.02 * inside.sum()
    for section in middle(sections, spacing):
        arcs = angle[tuple(section.ijk.astype(int).T)] * BEND
        # Within half a spacing of the plane along the centreline; the sampled line is out by a few tenths.
        assert np.abs(arcs - section.arc_mm).max() <= spacing / 2 + 0.5


def test_uptake_that_depends_on_the_position_along_the_vessel_is_read_there():
    labels = LabelMap(2 * arch(CT).data.astype(np.uint8), CT)
    x, y, _ = np.moveaxis(phantoms.points(CT), -1, 0)
    labels.data[(np.hypot(x - 20, y - 40) <= 9) & (labels.data == 0)] = 6
    away, angle = off_axis(phantoms.points(PET))
    pet = 2.0 + np.degrees(angle) / 180
    px, py, _ = np.moveaxis(phantoms.points(PET), -1, 0)
    pet[(np.hypot(px - 20, py - 40) <= 11) & (away > TUBE + 1)] = 1.0
    found = phantoms.segmentation(labels)
    line = VesselFinding("labels", None, (), true_line())
    found = type(found)(labels, "ct", {**found.vessels, "aorta_arch": line})
    protocol = Protocol(region={"section_plane": "perpendicular", "slice_spacing_mm": 5.0})
    rows = measure(Volume(pet, PET), found, protocol).slices
    rows = rows[(rows["vessel"] == "aorta_arch") & rows["arc_mm"].between(10, np.pi * BEND - 10)]
    expected = 2.0 + rows["arc_mm"] / (np.pi * BEND)
    # A section spans its spacing: its mean is the value at the plane, its maximum at most half a spacing further on.
    np.testing.assert_allclose(rows["tbr_mean"], expected, atol=0.012)
    assert (rows["tbr_max"] - expected).between(0, 3.2 / (np.pi * BEND) * 1.5).all()
    assert rows["plane"].diff().dropna().eq(1).all()


def test_labels_on_the_pet_grid_are_used_voxel_by_voxel():
    sections = cut_across(arch(PET), PET, true_line(), 0.0, 4.0, on_pet=True)
    every = np.concatenate([s.ijk for s in sections]).astype(int)
    mask = np.zeros(PET.shape, bool)
    mask[tuple(every.T)] = True
    np.testing.assert_array_equal(mask, arch(PET).data)


def test_a_margin_moves_the_contour_outwards_all_round():
    sections = middle(cut_across(arch(CT), PET, true_line(), 2.0, 5.0, on_pet=False), 5.0)
    np.testing.assert_allclose([s.area_mm2 for s in sections], np.pi * (TUBE + 2) ** 2, rtol=0.035)


def test_what_lies_beyond_the_pet_is_out_of_view():
    short = Grid((*PET.shape[:2], 20), PET.affine)
    sections = cut_across(arch(CT), short, true_line(), 0.0, 5.0, on_pet=False)
    top = [s for s in sections if s.centre_lps_mm[2] > 65]
    assert top
    assert not any(s.in_view for s in top)
    assert sections[0].in_view


def test_a_straight_tube_gives_the_same_sections_as_axial_planes():
    labels = phantoms.label_map(phantoms.grid((1.0, 1.0, 2.5)))
    pet = phantoms.pet_image(phantoms.grid((4.0, 4.0, 3.0)), {"carotid_left": 1.9, "aorta_ascending": 2.4})
    images = VisitImages(pet, phantoms.segmentation(labels))
    axial = {round(s.z_mm, 3): s for s in images.sections("aorta_ascending")}
    across = images.sections("aorta_ascending", plane="perpendicular")
    for section in across[2:-2]:
        assert section.area_mm2 == pytest.approx(np.pi * 15**2, rel=0.02)
    counts = sum(len(s.ijk) for s in axial.values()), sum(len(s.ijk) for s in across)
    assert counts[0] == pytest.approx(counts[1], rel=0.02)


def test_a_line_keeps_its_ends_and_goes_straight_on():
    line = smooth_line(np.column_stack([np.zeros(30), np.zeros(30), np.arange(30) * 3.0]))
    np.testing.assert_allclose(line.tangents, [[0, 0, 1]] * len(line.tangents), atol=1e-9)
    assert line.arc_mm[0] == pytest.approx(-line.points_lps_mm[0, 2] * -1, abs=1e-6)


def test_without_a_centreline_it_is_refused():
    with pytest.raises(InputRefused, match="centreline"):
        cut_across(arch(CT), PET, np.zeros((0, 3)), 0.0, 5.0, on_pet=False)
