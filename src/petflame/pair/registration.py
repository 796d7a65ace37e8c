"""Rigid registration of one CT to another round given places (SimpleITK).

Lowekamp 2013, doi 10.3389/fninf.2013.00045.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import SimpleITK as sitk  # noqa: N813
from scipy import ndimage

from petflame.space.boxes import box_between
from petflame.space.grid import Array, Grid, Volume, ras_to_lps
from petflame.space.itk import image_of

# Soft tissue decides; beyond these, air and metal would.
HU_RANGE = (-400.0, 300.0)
SEED = 1
_SAMPLED = 0.3
_STEPS, _SMALLEST_STEP = 100, 0.01


@dataclass(frozen=True, eq=False)
class Rigid:
    """A rigid map of places, LPS mm: rotation about a centre, then translation.

    Attributes
    ----------
    rotation : (3, 3) array
    centre_mm, translation_mm : (3,) array
    correlation : float
        Of the two CTs where they were compared; 0 to 1.
    """

    rotation: Array
    centre_mm: Array
    translation_mm: Array
    correlation: float = 0.0

    def apply(self, points_mm: Array) -> Array:
        """Map points, shape (n, 3) LPS mm."""
        return np.asarray((points_mm - self.centre_mm) @ self.rotation.T + self.centre_mm + self.translation_mm)

    def inverse(self) -> Rigid:
        """Return the map back."""
        return Rigid(self.rotation.T, self.centre_mm + self.translation_mm, -self.translation_mm, self.correlation)

    def about(self, centre_mm: Array) -> Rigid:
        """Return the same map with its rotation about another centre."""
        return Rigid(self.rotation, centre_mm, self.apply(centre_mm[None])[0] - centre_mm, self.correlation)


def shift_by(step_mm: Array) -> Rigid:
    """Return a map that only moves places by `step_mm`, LPS."""
    return Rigid(np.eye(3), np.zeros(3), np.asarray(step_mm, float))


def register(
    fixed: Volume, places_mm: Array, moving: Volume, start: Rigid, reach_mm: float, coarse: bool, leeway_mm: float
) -> Rigid:
    """Find where the surroundings of some places of one CT lie in another.

    Normalised correlation of CT numbers, regular-step gradient descent, one thread and a fixed seed, so that the same
    input gives the same map.

    Parameters
    ----------
    fixed, moving : Volume
        Canonical CTs, HU.
    places_mm : (n, 3) array
        In `fixed`, LPS mm.
    start : Rigid
        First guess.
    reach_mm : float
        How far round the places the two are compared.
    coarse : bool
        Whether to begin on a coarse image, for a guess that may be far off.
    leeway_mm : float
        How much farther than the guess the match may lie.

    Raises
    ------
    ValueError
        When a place with its surroundings does not lie in both images, or nothing there has any contrast.
    """
    box = _cut(fixed, places_mm, reach_mm)
    mask = _near(box.grid, places_mm, reach_mm)
    fixed_image, moving_image = (
        sitk.Clamp(image_of(part), sitk.sitkFloat32, *HU_RANGE)
        for part in (box, _cut(moving, start.apply(places_mm), reach_mm + leeway_mm))
    )
    guess = start.about(places_mm.mean(axis=0))
    transform = sitk.Euler3DTransform()
    transform.SetCenter(guess.centre_mm.tolist())
    transform.SetMatrix(guess.rotation.ravel().tolist())
    transform.SetTranslation(guess.translation_mm.tolist())
    method = sitk.ImageRegistrationMethod()
    method.SetNumberOfThreads(1)
    method.SetMetricAsCorrelation()
    method.SetMetricFixedMask(image_of(Volume(mask.astype(np.uint8), box.grid)))
    method.SetMetricSamplingStrategy(method.REGULAR)
    method.SetMetricSamplingPercentage(_SAMPLED, SEED)
    method.SetInterpolator(sitk.sitkLinear)
    method.SetShrinkFactorsPerLevel([4, 2, 1] if coarse else [2, 1])
    method.SetSmoothingSigmasPerLevel([4, 2, 1] if coarse else [2, 1])
    method.SmoothingSigmasAreSpecifiedInPhysicalUnitsOn()
    method.SetOptimizerAsRegularStepGradientDescent(
        2.0 if coarse else 1.0, _SMALLEST_STEP, _STEPS, relaxationFactor=0.6, gradientMagnitudeTolerance=1e-6
    )
    method.SetOptimizerScalesFromPhysicalShift()
    method.SetInitialTransform(transform, inPlace=True)
    try:
        method.Execute(fixed_image, moving_image)
    except RuntimeError as error:
        raise ValueError("the two CTs do not overlap there, or show nothing") from error
    return _as_rigid(transform, -float(method.GetMetricValue()))


def _as_rigid(transform: Any, correlation: float) -> Rigid:
    return Rigid(
        np.array(transform.GetMatrix()).reshape(3, 3),
        np.array(transform.GetCenter()),
        np.array(transform.GetTranslation()),
        correlation,
    )


def _cut(ct: Volume, places_mm: Array, reach_mm: float) -> Volume:
    """Part of a CT that holds every place with its surroundings, as far as the CT goes."""
    ijk = ct.grid.to_ijk(ras_to_lps(places_mm))
    reach = reach_mm / np.array(ct.grid.spacing_mm)
    low = np.clip(np.floor(ijk.min(axis=0) - reach).astype(int), 0, ct.data.shape)
    high = np.clip(np.ceil(ijk.max(axis=0) + reach).astype(int) + 1, 0, ct.data.shape)
    # Each level of the search halves the image; less than this leaves nothing to compare.
    if (high - low < 8).any():
        raise ValueError("it reaches beyond the CT")
    part = ct.cropped(box_between(low, high))
    return Volume(part.data.astype(np.float32), part.grid)


def _near(grid: Grid, places_mm: Array, reach_mm: float) -> Array:
    """Mask of the voxels within reach of a place."""
    there = np.round(grid.to_ijk(ras_to_lps(places_mm))).astype(int)
    there = there[((there >= 0) & (there < grid.shape)).all(axis=1)]
    away = np.ones(grid.shape, bool)
    away[tuple(there.T)] = False
    return np.asarray(ndimage.distance_transform_edt(away, sampling=grid.spacing_mm) <= reach_mm)
