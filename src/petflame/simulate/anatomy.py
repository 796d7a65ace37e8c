"""One patient's anatomy: every shape in the reference position, drawn from one random stream."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from petflame.simulate import body, organs, skeleton
from petflame.simulate.build import Morph, Part
from petflame.simulate.vessels import Vessels, vessels
from petflame.space.grid import Array


@dataclass(frozen=True, eq=False)
class Anatomy:
    """A patient in the reference position.

    Attributes
    ----------
    outline : body.Outline
        Skin surface.
    below : tuple of Part
        Parts painted before the vessels, in order.
    above : tuple of Part
        Parts painted after the veins and before the arteries.
    vessels : Vessels
    landmarks_mm : dict of name to (3,) array
        Reading landmarks, LPS mm.
    """

    outline: body.Outline
    below: tuple[Part, ...]
    above: tuple[Part, ...]
    vessels: Vessels
    landmarks_mm: dict[str, Array]


def draw_anatomy(rng: np.random.Generator, male: bool, bmi: float) -> Anatomy:
    """Draw one patient's anatomy.

    Parameters
    ----------
    rng : numpy Generator
        Source of all variation between patients.
    male : bool
        Men are a little larger.
    bmi : float
        Body-mass index, kg/m2: sets the subcutaneous fat.
    """
    size = 1.02 if male else 0.95
    morph = Morph(
        width=size * rng.lognormal(0.0, 0.03),
        depth=size * rng.lognormal(0.0, 0.03),
        height=size * rng.lognormal(0.0, 0.03),
        neck=rng.lognormal(0.0, 0.03),
    )
    fat_mm = float(np.clip(14.0 + 0.9 * (bmi - 28.0), 6.0, 26.0))
    tree = vessels(morph, rng)
    below = [
        *body.compartments(morph),
        *body.muscles(morph),
        *organs.lung_vessels(morph, rng),
        *organs.abdomen(morph, float(rng.normal(0, 6))),
        *skeleton.ribs(morph),
        *skeleton.spine(morph),
        *skeleton.girdle(morph),
        *skeleton.skull(morph),
        *organs.heart(morph),
    ]
    above = [
        *organs.oesophagus(morph),
        *organs.airways(morph),
        *organs.glands(morph, rng),
        *organs.lymph_nodes(morph, rng),
    ]
    landmarks = {
        "carotid_bifurcation_right": _bifurcation(tree, "right"),
        "carotid_bifurcation_left": _bifurcation(tree, "left"),
        "right_pulmonary_artery": tree.veins["pulmonary_right"].points_mm[2],
        "carina": morph.points([(0.0, 3.0, 0.0)])[0],
    }
    return Anatomy(body.outline(morph, fat_mm), tuple(below), tuple(above), tree, landmarks)


def _bifurcation(tree: Vessels, side: str) -> Array:
    """Return the point where the external carotid leaves the common carotid's line."""
    start = tree.artery(f"external_{side}").lumen.points_mm[0]
    line = tree.artery(f"carotid_{side}").lumen.points_mm
    return line[np.argmin(np.linalg.norm(line - start, axis=1))]
