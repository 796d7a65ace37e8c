"""The files of an item, and the number of the CT's image that each slice shown is."""

from types import SimpleNamespace

import numpy as np
import pytest

import phantoms
from desks import CODE, STORED, make_visit, stored
from petflame.dicom.sidecar import image_numbers
from petflame.errors import InputRefused
from petflame.files import read_json, write_json
from petflame.review.canvas import Canvas
from petflame.review.visit import _image_numbers, read_visit_files
from petflame.space.boxes import box_between
from petflame.space.grid import Volume

GRID = phantoms.grid((2.0, 2.0, 3.0), low=(-10.0, -10.0, 0.0), high=(10.0, 10.0, 39.0))


def stack(*numbers):
    headers = [SimpleNamespace(values=SimpleNamespace(integer=lambda _, n=n: n)) for n in numbers]
    return SimpleNamespace(headers=headers)


def test_images_keep_their_own_numbers_or_none():
    assert image_numbers(stack(5, 4, 3)) == [5, 4, 3]
    assert image_numbers(stack(101, 103, 105)) == [101, 103, 105]
    assert image_numbers(stack(1, None, 3)) is None
    assert image_numbers(stack(1, 1, 2)) is None


@pytest.mark.parametrize("how", STORED)
def test_each_slice_shown_has_the_number_of_its_image(how):
    level = np.broadcast_to(np.arange(GRID.shape[2]), GRID.shape).copy()
    whole = stored(Volume(level, GRID), how)
    canvas = Canvas(whole.grid, box_between([1, 1, 3], [8, 8, 9]))
    shown = canvas.cut(whole).data[0, 0]
    # The first image lies at the head, as scanners of supine patients count; kept along the slices of the file.
    along = whole.data[tuple(0 if n != GRID.shape[2] else slice(None) for n in whole.data.shape)]
    kept = (GRID.shape[2] - along).tolist()
    assert _image_numbers({"image_numbers": kept}, canvas) == tuple((GRID.shape[2] - shown).tolist())
    assert _image_numbers({"image_numbers": kept[:-1]}, canvas) is None
    assert _image_numbers({}, canvas) is None


def test_what_cannot_be_read_says_why(tmp_path):
    root = make_visit(tmp_path / CODE, "LPS")
    assert read_visit_files(root).image_numbers is None
    document = read_json(root / "labels.json")
    for change, words in (
        ({"reference_grid": "pet"}, "lie on the PET"),
        ({"provenance": {"edits": {}}}, "hold a reader's edits"),
    ):
        write_json(root / "labels.json", {**document, **change})
        with pytest.raises(InputRefused, match=words):
            read_visit_files(root)
    write_json(root / "labels.json", document)
    for name in ("ct.nii.gz", "pet.nii.gz", "labels.json"):
        there = root / name
        there.rename(root / "away")
        with pytest.raises(InputRefused):
            read_visit_files(root)
        (root / "away").rename(there)
