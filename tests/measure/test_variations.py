"""Variations are what measuring under the varied protocol gives, however much the two share."""

import numpy as np
import pytest

import phantoms
from petflame.measure.images import VisitImages
from petflame.measure.variations import measure_variations
from petflame.measure.visit import measure, measure_images
from petflame.protocol import Protocol
from petflame.sensitivity import VARIATIONS, Variation

TAKES = {
    "tbr_max": lambda s: s["tbr_max"],
    "tbr_mean": lambda s: s["tbr_mean"],
    "tbr_peak": lambda s: s["suv_peak"] / s["background"],
    "csuv_max": lambda s: s["suv_max"] - s["background"],
}


@pytest.fixture(scope="module")
def table(labels, pet):
    images = VisitImages(pet, phantoms.segmentation(labels))
    protocol = Protocol()
    return measure_variations(images, protocol, measure_images(images, protocol))


@pytest.mark.parametrize("variation", VARIATIONS, ids=lambda v: v.name)
def test_each_variation_is_the_varied_protocol_alone(labels, pet, table, variation):
    own = table[table["variation"] == variation.name]
    alone = measure(pet, phantoms.segmentation(labels), Protocol().varied(variation)).slices
    alone = alone[alone["vessel"].isin(Protocol().summary.index_candidates)]
    assert own["vessel"].tolist() == alone["vessel"].tolist()
    assert np.array_equal(own["value"], TAKES[variation.measure](alone), equal_nan=True)
    assert own["valid"].tolist() == alone["valid"].tolist()


def test_a_variation_without_its_vein_has_no_value(pet, labels):
    data = labels.data.copy()
    data[data == 6] = 0
    images = VisitImages(pet, phantoms.segmentation(phantoms.Volume(data, phantoms.CT)))
    chosen = next(v for v in VARIATIONS if v.name == "cava_for_all")
    protocol = Protocol(sensitivity=(chosen, Variation(name="mean", about="mean", measure="tbr_mean")))
    found = measure_variations(images, protocol, measure_images(images, protocol))
    assert found.loc[found["variation"] == "cava_for_all", "value"].isna().all()
    assert found.loc[(found["variation"] == "mean") & found["vessel"].str.startswith("carotid"), "value"].notna().all()
