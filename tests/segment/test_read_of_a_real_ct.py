"""A finished read of a PET painted on a real unenhanced CT gives the voxels of its points and the TBR of the truth."""

import json

import numpy as np
import pytest

from made_reads import finish, read_of
from petflame.anatomy import BY_NAME
from petflame.dicom.convert import convert_visit
from petflame.files import read_nifti
from petflame.measure.folder import measure_visit
from petflame.protocol import Protocol
from petflame.segment.run import segment_visit
from petflame.space.grid import ras_to_lps

NECK = ("carotid_right", "carotid_left", "jugular_right", "jugular_left")
# The largest error of a carotid that finished reads by seeds of the workbench are held to.
PERCENT = 5.0


@pytest.fixture(scope="module")
def hybrid(reference):
    return reference("hybrid_acrin001")


@pytest.fixture(scope="module")
def seeds(hybrid):
    """Points 25 mm apart on the middle of the true vessels, LPS mm."""
    truth = read_nifti(hybrid / "truth_labels_baseline.nii.gz")
    found = {}
    for name in NECK:
        places = truth.grid.to_ras(np.argwhere(truth.data == BY_NAME[name].label))
        levels = np.unique(places[:, 2].round(3))[2:-2]
        chosen = np.linspace(0, len(levels) - 1, int(np.ptp(levels) / 25) + 2).round().astype(int)
        middle = [places[np.isclose(places[:, 2], levels[n], atol=1e-2)].mean(axis=0) for n in chosen]
        found[name] = ras_to_lps(np.array(middle)).round(3).tolist()
    return found


@pytest.mark.reference
@pytest.mark.slow
def test_a_read_by_seeds_is_the_method_and_meets_the_truth(hybrid, seeds, tmp_path):
    visit, alone = tmp_path / "V0123456789", tmp_path / "alone"
    given = tmp_path / "seeds.json"
    given.write_text(json.dumps(seeds))
    for folder in (visit, alone):
        convert_visit(hybrid / "baseline", folder, protocol=Protocol())
    by_method = segment_visit(alone, "seeds", given).labels.data
    only = tmp_path / "only.json"
    only.write_text(json.dumps({"jugular_left": seeds["jugular_left"]}))
    segment_visit(visit, "seeds", only)
    path = finish(tmp_path / "review", read_of(visit, by_method, seeds, accepted=NECK))
    segment_visit(visit, "seeds", only, path)
    np.testing.assert_array_equal(read_nifti(visit / "labels.nii.gz").data, by_method)
    truth = json.loads((hybrid / "truth.json").read_text())["visits"][0]["vessels"]
    measured = measure_visit(visit, Protocol()).vessels.set_index("vessel")
    for name in ("carotid_right", "carotid_left"):
        assert not measured.loc[name, "withheld"]
        want = truth[name]["as_written"]["mean_tbr_max"]
        assert 100 * (measured.loc[name, "mean_tbr_max"] / want - 1) == pytest.approx(0, abs=PERCENT), name
