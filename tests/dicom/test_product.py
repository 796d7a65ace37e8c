"""What other rooms ask of pet.json, also of one that was damaged."""

import json

import pytest

from petflame.dicom.product import read_pet_sidecar
from petflame.errors import InputRefused
from petflame.folders import VisitFolder

GOOD = {"suv_factor": 2.5e-4, "dose_bq": 3.5e8, "weight_kg": 70.0, "voxel_size_mm": [4.07, 4.07, 3.0], "uptake_min": 90}


def read(tmp_path, **changes):
    (tmp_path / "pet.json").write_text(json.dumps(GOOD | changes))
    return read_pet_sidecar(VisitFolder(tmp_path))


def test_facts_are_those_of_the_file(tmp_path):
    found = read(tmp_path)
    assert found.is_suv
    assert found.dose_per_kg == pytest.approx(5.0)
    assert (found.in_plane_mm, found.uptake_min) == (4.07, 90)
    refused = read(tmp_path, suv_factor=None, suv_refused=[{"what": "a", "where": "b", "remedy": "c"}])
    assert not refused.is_suv
    assert refused.suv_refused[0].what == "a"


@pytest.mark.parametrize(
    "damage",
    [
        {"suv_factor": False},
        {"suv_factor": "x"},
        {"suv_refused": 5},
        {"suv_refused": ["text"]},
        {"voxel_size_mm": 4},
        {"voxel_size_mm": [None, 4, 4]},
        {"uptake_min": "90"},
        {"weight_kg": [70]},
    ],
)
def test_a_damaged_figure_is_refused_in_words(tmp_path, damage):
    with pytest.raises(InputRefused, match=next(iter(damage))):
        read(tmp_path, **damage)
