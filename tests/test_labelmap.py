"""Regions of a label map against a comparison of every voxel."""

import numpy as np
import pytest

from petflame.anatomy import BY_NAME
from petflame.errors import InputRefused
from petflame.labelmap import LabelMap, read_as_labels
from petflame.space.grid import Grid, Volume
from petflame.space.orientation import to_canonical

AFFINE = np.array([[0, 0, 2.5, 9], [-0.8, 0, 0, 4], [0, 1.1, 0, -60], [0, 0, 0, 1]], float)
GRID = Grid((7, 5, 6), AFFINE)
REGIONS = ("aorta_arch", "carotid_left", "svc", "metal")


def drawn(seed=0):
    rng, data = np.random.default_rng(seed), np.zeros(GRID.shape, np.uint8)
    for name in REGIONS:
        data[tuple(rng.integers(0, GRID.shape, (4, 3)).T)] = BY_NAME[name].label
    return LabelMap(data, GRID)


def places(mask):
    return {tuple(p.round(6)) for p in mask.grid.to_ras(np.argwhere(mask.data))}


@pytest.mark.parametrize("seed", range(3))
def test_every_region_is_where_its_number_is(seed):
    labels = drawn(seed)
    for name, region in BY_NAME.items():
        there = labels.data == region.label
        assert labels.has(name) == there.any() == (name in labels.boxes)
        assert (labels.mask(name).data == there).all()
        assert {tuple(p.round(6)) for p in labels.places_mm(name)} == places(Volume(there, GRID))
        if there.any():
            ijk = np.argwhere(there)
            box = labels.boxes[name]
            assert [(s.start, s.stop) for s in box] == list(zip(ijk.min(axis=0), ijk.max(axis=0) + 1, strict=True))
            assert places(labels.cut(name)) == places(Volume(there, GRID))
            assert labels.cut(name).data.shape == there[box].shape
    some = (labels.data == BY_NAME["svc"].label) | (labels.data == BY_NAME["metal"].label)
    assert (labels.any_of(("svc", "metal", "liver")) == some).all()
    assert len(labels.places_mm("svc", "metal")) == some.sum()


def test_a_region_that_is_not_there_has_no_box():
    labels = drawn()
    assert not labels.has("liver")
    assert "liver" not in labels.boxes
    assert not labels.mask("liver").data.any()
    assert labels.places_mm("liver").shape == (0, 3)
    with pytest.raises(KeyError):
        labels.cut("liver")
    assert LabelMap(np.zeros(GRID.shape, np.uint8), GRID).boxes == {}


def test_boxes_follow_a_map_that_is_turned_cut_or_moved():
    labels = drawn()
    for other in (to_canonical(labels, copy=False), labels.padded((1, 0, 2))):
        assert isinstance(other, LabelMap)
        assert {n: places(other.cut(n)) for n in other.boxes} == {n: places(labels.cut(n)) for n in labels.boxes}
    part = labels.cropped((slice(0, 3), slice(None), slice(None)))
    assert all(places(part.cut(n)) <= places(labels.cut(n)) for n in part.boxes)
    step = np.array([1.0, -2.0, 3.0])
    moved = labels.moved(step)
    np.testing.assert_allclose(moved.places_mm("svc"), labels.places_mm("svc") + step)
    assert moved.boxes == labels.boxes


def test_numbers_of_another_type_are_refused_or_read_for_what_they_are():
    numbers = drawn().data
    with pytest.raises(ValueError, match="uint8"):
        LabelMap(numbers.astype(np.int16), GRID)
    for kind in (np.int16, np.float32, np.uint8):
        assert (read_as_labels(Volume(numbers.astype(kind), GRID), "map", "").data == numbers).all()
    for wrong in (numbers + 0.5, numbers.astype(np.int16) + 256, numbers - 1.0, np.where(numbers, np.nan, 0.0)):
        with pytest.raises(InputRefused, match="no labels"):
            read_as_labels(Volume(wrong, GRID), "map", "segment again")
