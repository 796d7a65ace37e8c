import numpy as np
import pytest

from named_vessels import GRID, anatomy
from petflame.segment.totalsegmentator_regions import CAVA_END_MM, end_cava, finish
from petflame.space.grid import Grid, Volume
from petflame.space.orientation import to_canonical

VEINS = ("superior_vena_cava", "brachiocephalic_vein_left", "brachiocephalic_vein_right")
# The lowest level of the left brachiocephalic vein in the phantom, and how high a level is.
CONFLUENCE, LEVEL_MM = 22, 4.0


def veins(grid=GRID, **changed):
    masks = {**anatomy(), **changed}
    return [masks[name] for name in VEINS]


def levels(mask):
    found = np.flatnonzero(mask.any(axis=(0, 1)))
    return found[0], found[-1]


def test_a_cava_that_ends_at_the_confluence_stays_as_it_is():
    cava, left, right = veins()
    ended = end_cava(cava, left, right, GRID)
    assert (ended.mask == cava).all()
    assert not ended.doubt
    assert ended.confluence_lps_mm[2] == CONFLUENCE * LEVEL_MM


@pytest.mark.parametrize("moved", [-3, -1, 1, 3])
def test_where_the_labels_put_the_border_of_cava_and_right_vein_does_not_matter(moved):
    cava, left, right = veins()
    whole = cava | right
    high = np.arange(GRID.shape[2]) >= CONFLUENCE + moved
    # The two do not lie straight above each other; the phantom's cava goes on upwards where its label does.
    both = (whole & ~high, left, whole & high)
    ended = end_cava(*both, GRID)
    assert levels(ended.mask) == (3, CONFLUENCE - 1)
    assert (ended.mask == cava).all()
    assert not ended.doubt


@pytest.mark.parametrize("moved", [-6, 6])
def test_labels_that_put_its_beginning_far_from_the_confluence_need_a_reader(moved):
    cava, left, right = veins()
    whole = cava | right
    if moved > 0:
        whole[..., CONFLUENCE + 4 : CONFLUENCE + 8] |= whole[..., CONFLUENCE, None]
    high = np.arange(GRID.shape[2]) >= CONFLUENCE + moved
    ended = end_cava(whole & ~high, left, whole & high, GRID)
    assert abs(moved) * LEVEL_MM > CAVA_END_MM
    assert ("above" if moved > 0 else "below") in ended.doubt


def test_a_rim_of_the_left_veins_label_along_the_cava_is_not_its_mouth():
    cava, left, right = veins()
    rim = cava.copy()
    rim[1:-1] &= ~(cava[2:] & cava[:-2])
    ended = end_cava(cava & ~rim, left | rim, right, GRID)
    assert levels(ended.mask) == (3, CONFLUENCE - 1)
    assert not ended.doubt


def test_without_a_left_vein_the_end_is_in_doubt_unless_the_ct_ends_there():
    cava, left, right = veins()
    nothing = np.zeros_like(left)
    ended = end_cava(cava, nothing, right, GRID)
    assert "no left brachiocephalic vein joins it" in ended.doubt
    assert ended.confluence_lps_mm is None
    low = Grid((70, 70, CONFLUENCE - 2), GRID.affine)
    cut = [mask[..., : CONFLUENCE - 2] for mask in (cava, nothing, nothing)]
    assert not end_cava(*cut, low).doubt


def test_a_label_that_lies_above_the_confluence_is_no_cava():
    _, left, right = veins()
    ended = end_cava(right, left, np.zeros_like(right), GRID)
    assert not ended.mask.any()
    assert "above the confluence" in ended.doubt


@pytest.mark.parametrize("axes", [(0, 1, 2), (2, 0, 1), (1, 2, 0)])
@pytest.mark.parametrize("flips", [(1, 1, 1), (-1, 1, -1), (1, -1, 1)])
def test_how_the_ct_is_stored_changes_nothing(axes, flips):
    masks = veins()
    whole = masks[0] | masks[2]
    high = np.arange(GRID.shape[2]) >= CONFLUENCE + 2
    volumes = [Volume(mask, GRID) for mask in (whole & ~high, masks[1], whole & high)]
    step = np.zeros((4, 4))
    step[3, 3] = 1
    for new, (old, way) in enumerate(zip(axes, flips, strict=True)):
        step[old, new] = way
        step[old, 3] = GRID.shape[old] - 1 if way < 0 else 0
    stored = []
    for volume in volumes:
        data = np.transpose(volume.data, axes)[tuple(slice(None, None, way) for way in flips)]
        stored.append(np.ascontiguousarray(data))
    grid = Grid(stored[0].shape, GRID.affine @ step)
    ended = end_cava(*stored, grid)
    usual = end_cava(*(v.data for v in volumes), GRID)
    back = to_canonical(Volume(ended.mask, grid))
    assert (back.data == to_canonical(Volume(usual.mask, GRID)).data).all()
    assert ended.confluence_lps_mm == pytest.approx(usual.confluence_lps_mm)


@pytest.mark.parametrize("step", [2, 3])
def test_thick_slices_end_it_within_a_slice(step):
    cava, left, right = veins()
    grid = Grid((70, 70, len(range(0, 50, step))), GRID.affine @ np.diag([1.0, 1, step, 1]))
    ended = end_cava(*(mask[..., ::step] for mask in (cava, left, right)), grid)
    top_mm = (levels(ended.mask)[1] + 0.5) * step * LEVEL_MM
    assert abs(top_mm - (CONFLUENCE - 0.5) * LEVEL_MM) <= step * LEVEL_MM
    assert not ended.doubt


def test_in_the_segmentation_a_doubtful_end_withholds_the_cava_and_a_found_one_is_a_landmark():
    masks = anatomy()
    sure = finish(masks, GRID, {}, [])
    assert not sure.vessels["svc"].withheld
    assert sure.landmarks_lps_mm["brachiocephalic_confluence"][2] == CONFLUENCE * LEVEL_MM
    masks["brachiocephalic_vein_left"] = np.zeros(GRID.shape, bool)
    doubtful = finish(masks, GRID, {}, [])
    assert doubtful.vessels["svc"].withheld
    assert "not known" in doubtful.vessels["svc"].reason
    assert (doubtful.labels.data == 6).any()


def test_the_arch_is_what_lies_above_the_highest_level_with_two_sections_even_where_stumps_of_branches_are_labelled():
    masks = anatomy()
    stump = np.zeros(GRID.shape, bool)
    # Beginnings of the brachiocephalic trunk and the left subclavian artery on top of the arch.
    stump[31:36, 20:25, 27:30] = True
    stump[31:36, 42:47, 27:30] = True
    masks["aorta"] |= stump
    labels = finish(masks, GRID, {}, []).labels.data
    assert levels(labels == 1)[1] == levels(labels == 3)[1] == CONFLUENCE - 1
    assert levels(labels == 2) == (CONFLUENCE, 29)
    assert (labels[stump] == 2).all()
