"""Uptake may doubt a region and never place one: a region drawn to hot wall would be measured hot.

Of a vein that software found an end may be left out where the PET shows other than its blood; nothing is added to it.
"""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from petflame.anatomy import AORTA, BY_NAME
from petflame.files import write_nifti
from petflame.folders import VisitFolder
from petflame.segment.run import segment_visit
from petflame.simulate.plan import plan_trial
from petflame.simulate.visit import simulate_visit
from petflame.space.grid import Volume


@pytest.fixture(scope="module")
def visit():
    return simulate_visit(plan_trial(2).visit_plans[0], "fast")


@pytest.fixture(scope="module")
def segmented(visit, tmp_path_factory):
    def segment(suv):
        folder = VisitFolder(tmp_path_factory.mktemp("visit"))
        write_nifti(folder.ct, visit.ct())
        write_nifti(folder.pet, Volume(np.asarray(suv, np.float32), visit.pet().grid))
        return segment_visit(folder.root, "auto", None)

    return segment


@pytest.fixture(scope="module")
def plain(visit, segmented):
    return segmented(visit.pet().data)


def beside(visit, name):
    """Return the PET voxels within 8 mm outside a true region: where a region that follows uptake would grow to."""
    labels = np.asarray(visit.size.pet.volume(visit.truth_labels).data)
    mask = labels == BY_NAME[name].label
    return ndimage.binary_dilation(mask, iterations=2) & ~mask


def same_but_for_ends_of_the_cava(found, plain):
    """No voxel of any other label differs, and the vena cava's are some of those it had, on whole levels."""
    cava, before = (s.labels.data == BY_NAME["svc"].label for s in (found, plain))
    assert np.array_equal(np.where(cava, 0, found.labels.data), np.where(before, 0, plain.labels.data))
    levels = cava.any(axis=(0, 1))
    assert np.array_equal(cava, before & levels)


def test_hot_walls_move_no_label(visit, segmented, plain):
    suv = np.array(visit.pet().data)
    for name in (*AORTA, "svc"):
        suv[beside(visit, name)] *= 6.0
    hot = segmented(suv)
    same_but_for_ends_of_the_cava(hot, plain)
    for vessel in AORTA:
        assert np.array_equal(hot.vessels[vessel].centreline_lps_mm, plain.vessels[vessel].centreline_lps_mm)


def test_a_vein_without_blood_is_doubted_where_it_is(visit, segmented, plain):
    suv = np.array(visit.pet().data)
    labels = np.asarray(visit.size.pet.volume(visit.truth_labels).data)
    suv[labels == BY_NAME["svc"].label] *= 0.2
    cold = segmented(suv)
    assert cold.vessels["svc"].withheld
    assert not plain.vessels["svc"].withheld
    same_but_for_ends_of_the_cava(cold, plain)
