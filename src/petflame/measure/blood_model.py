"""Uptake of a vein's blood by least squares of the PET round it on its regions, blurred by the PET's resolution.

The model is that of the geometric transfer matrix (Rousset, Ma and Evans, J Nucl Med 1998;39:904), solved voxel by
voxel instead of region by region, which gives a standard error too. A PET's noise rises with its uptake, so every
voxel weighs by one over what the model gives it; what a labelled region or a tissue cannot explain is left out.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from scipy import ndimage
from scipy.spatial import cKDTree

from petflame.measure.alignment import VeinShift
from petflame.measure.vein_scene import LUNG, VeinScene
from petflame.recovery import FWHM_PER_SIGMA
from petflame.space.grid import Array

# Reconstructions in use reach 5 to 7 mm: the standard deviation of a resolution that was not measured.
ASSUMED_FWHM_SD_MM = 2 / np.sqrt(12)
# An edge of the lung that breathes by 1 mm (standard deviation) looks so much wider at 6 mm: sqrt(6^2 + 8 ln 2) - 6.
EDGE_FWHM_SD_MM = 0.45
# Clinical PET resolves 3 to 10 mm.
BELIEVABLE_FWHM_MM = (3.0, 10.0)
# A lung of so many PET voxels beside the vein has an edge that tells the resolution.
LEAST_LUNG_VOXELS = 20.0
# A reading less certain than this would by itself fill the published repeatability of TBR (9.5 to 15 %).
LARGEST_RELATIVE_SE = 0.10
# Variance inflation from which a coefficient counts as not estimable beside the others (Marquardt 1970).
LARGEST_INFLATION = 10.0
FEWEST_VOXELS_PER_REGION = 10
# Huber's weights begin at so many robust standard deviations; from so many on a voxel is not explained at all.
HUBER_SD, UNEXPLAINED_SD = 2.0, 4.0
# No clinical PET voxel is less noisy; in a better image small faults of the regions would count as unexplained.
LEAST_NOISE = 0.05
# Noise of voxels colder than this share of the median does not fall any further.
_LEAST_LEVEL = 0.25
_ROUNDS, _LEAVING_OUT, _SINGULAR = 8, (2, 4, 6), 1e-6
# As far as a Taylor series of second order follows a usual point spread.
FARTHEST_ASIDE_MM = 3.0
_FWHM_ROUNDS, _FWHM_STEP_MM, _FWHM_SETTLED_MM = 6, 0.25, 0.02


@dataclass(frozen=True)
class Resolution:
    """Width of the PET's point spread, its voxels included.

    Attributes
    ----------
    fwhm_mm, sd_mm : float
        As it is used, with its standard deviation.
    source : str
        'estimated' from the scan, with the protocol's as what was known before, or 'protocol' alone.
    why : str
        Why it is not estimated; empty where it is.
    scan_fwhm_mm, scan_sd_mm : float
        What the scan alone tells; NaN where it tells nothing.
    """

    fwhm_mm: float
    sd_mm: float
    source: str
    why: str = ""
    scan_fwhm_mm: float = float("nan")
    scan_sd_mm: float = float("nan")


@dataclass(frozen=True)
class BloodModel:
    """Uptake of one vein's blood, in the unit of the image.

    Attributes
    ----------
    vein : str
    uptake : float
    se : float
        Standard error: noise, doubt of the PET-CT shift and of the resolution together.
    own_se : float
        The same without the resolution, which all veins of a scan share.
    per_mm : float
        Change of the uptake with the resolution, per mm of its width.
    resolution : Resolution
    regions : dict
        Uptake of every region.
    shift : VeinShift
        Between PET and CT, as it was measured.
    aside_mm : (float, float)
        Where the PET has the vein beside where the measured shift has it, along the PET's first and second axis.
    voxels : int
        PET voxels explained.
    own_voxels : int
        Those of them that the vein gives at least half of.
    left_out : int
        PET voxels that no region explains.
    inflation : float
        Variance inflation of the vein's uptake by the other regions.
    condition : float
        Condition number of the design, columns scaled to unit length.
    doubt : str
        Why there is no reading; empty where there is one.
    """

    vein: str
    uptake: float
    se: float
    own_se: float
    per_mm: float
    resolution: Resolution
    regions: dict[str, float]
    shift: VeinShift
    aside_mm: tuple[float, float]
    voxels: int
    own_voxels: int
    left_out: int
    inflation: float
    condition: float
    doubt: str = ""


@dataclass(frozen=True, eq=False)
class _Fit:
    """A scene fitted by weighted least squares.

    Attributes
    ----------
    uptake : (p,) array
    aside_mm : (float, float)
        Where in the scene the PET's voxels lie, beside where they lie in the PET.
    weight, left, used : (n,) arrays
        Root of each voxel's weight, its residual, and whether it takes part.
    design : (n, p) array
    slope : (n, 2) array
        Change of the model with `aside_mm`.
    prior : float
        Root of the weight of what is known of `aside_mm` beforehand; infinite where it is known for certain.
    """

    uptake: Array
    aside_mm: tuple[float, float]
    weight: Array
    left: Array
    used: Array
    design: Array
    slope: Array
    prior: float

    def solved(self, *more: Array) -> _Solved:
        """Linearise at the fit: uptakes, place and `more` parameters, whose columns are given, shape (n,)."""
        free = [self.slope] if np.isfinite(self.prior) else []
        columns = np.column_stack([self.design, *free, *more])
        weighted = (columns * self.weight[:, None])[self.used]
        known = np.zeros((2, weighted.shape[1]))
        if free:
            first = self.design.shape[1]
            known[[0, 1], [first, first + 1]] = self.prior
        return _Solved(weighted, np.linalg.pinv(np.concatenate([weighted, known]), rcond=_SINGULAR))


@dataclass(frozen=True, eq=False)
class _Solved:
    """Weighted columns (m, q) of the voxels used, and the matrix (q, m + 2) that turns what is left into steps."""

    weighted: Array
    inverse: Array


def model_blood(scene: VeinScene, resolution: Resolution) -> BloodModel:
    """Read a vein's blood from its scene.

    Parameters
    ----------
    scene : VeinScene
    resolution : Resolution

    Returns
    -------
    BloodModel
        With a doubt where the reading is not to be used.
    """
    found = _fit(scene, resolution.fwhm_mm)
    solved = found.solved()
    own = float(np.sqrt(_variance(scene, found, solved, 0, resolution.fwhm_mm)))
    regions = dict(zip(scene.parts.names, found.uptake.tolist(), strict=True))
    wider = _widening(scene, regions, resolution.fwhm_mm)
    per_mm = -float(solved.inverse[0, :-2] @ (wider * found.weight)[found.used])
    weighted = solved.weighted[:, : len(regions)]
    lengths = np.maximum(np.linalg.norm(weighted, axis=0), 1e-12)
    inverse = np.linalg.pinv(weighted, rcond=_SINGULAR)
    mostly = found.design[:, 0] >= 0.5
    result = BloodModel(
        scene.vein,
        float(found.uptake[0]),
        float(np.hypot(own, per_mm * resolution.sd_mm)),
        own,
        per_mm,
        resolution,
        regions,
        scene.shift,
        # A PET that lies farther along reads the scene farther back.
        (-found.aside_mm[0], -found.aside_mm[1]),
        int(found.used.sum()),
        int((mostly & found.used).sum()),
        int((~found.used).sum()),
        # The vein's length in the design over what the other regions leave of it, squared.
        float((lengths[0] * np.linalg.norm(inverse[0])) ** 2),
        float(np.linalg.cond(weighted / lengths)),
    )
    return replace(result, doubt=_doubt(result, int(mostly.sum())))


def _doubt(found: BloodModel, mostly: int) -> str:
    least = FEWEST_VOXELS_PER_REGION * len(found.regions)
    if found.voxels < least:
        return f"{found.voxels} voxels for {len(found.regions)} regions, fewer than {least}"
    if mostly == 0 or 2 * found.own_voxels < mostly:
        return f"no region explains {mostly - found.own_voxels} of the {mostly} voxels that are mostly its own"
    if not found.inflation <= LARGEST_INFLATION:
        return f"its uptake cannot be told from its neighbours' (variance inflation {found.inflation:.1f})"
    if not found.uptake > 0:
        return f"its modelled uptake is {found.uptake:.4g}"
    if not found.se <= LARGEST_RELATIVE_SE * found.uptake:
        return f"its standard error is {100 * found.se / found.uptake:.0f} % of its uptake, more than 10 %"
    return ""


def estimate_resolution(scene: VeinScene | str, assumed_fwhm_mm: float) -> Resolution:
    """Find the width of the point spread with which a vein's regions explain the PET best, at the edge of a lung.

    Gauss-Newton steps on the width beside the uptakes (variable projection, Golub and Pereyra 1973). Elsewhere than
    at a lung edges are faint, and what nobody labelled decides instead. The protocol's width, with its own doubt
    `ASSUMED_FWHM_SD_MM`, counts as one more observation, so that a scan that tells little changes little.

    Parameters
    ----------
    scene : VeinScene or str
        Or why there is none.
    assumed_fwhm_mm : float
        The protocol's.
    """

    def assumed(why: str) -> Resolution:
        return Resolution(assumed_fwhm_mm, ASSUMED_FWHM_SD_MM, "protocol", why)

    if isinstance(scene, str):
        return assumed(f"no lung to tell it by: {scene}")
    if LUNG not in scene.parts.names:
        return assumed(f"no lung lies beside {scene.vein}")
    lung = scene.parts.shares[scene.parts.names.index(LUNG)]
    if scene.at_rows(lung).sum() < LEAST_LUNG_VOXELS:
        return assumed(f"no lung lies beside {scene.vein}")
    low, high = BELIEVABLE_FWHM_MM
    fwhm_mm, sd_mm, step = assumed_fwhm_mm, np.inf, np.inf
    for _ in range(_FWHM_ROUNDS):
        # What a wrong width leaves at an edge is what tells the right one.
        found = _fit(scene, fwhm_mm, leaving_out=False)
        solved = found.solved(_widening(scene, dict(zip(scene.parts.names, found.uptake, strict=True)), fwhm_mm))
        step = float(solved.inverse[-1, :-2] @ (found.left * found.weight)[found.used])
        sd_mm = float(np.sqrt(_variance(scene, found, solved, -1, fwhm_mm)))
        before, fwhm_mm = fwhm_mm, float(np.clip(fwhm_mm + step, low, high))
        if abs(fwhm_mm - before) < _FWHM_SETTLED_MM:
            break
    if not low + 1e-6 < fwhm_mm < high - 1e-6:
        return assumed(f"the scan asks for {fwhm_mm:g} mm or beyond, which no clinical PET has")
    sd_mm = float(np.hypot(sd_mm, EDGE_FWHM_SD_MM))
    if not np.isfinite(sd_mm):
        return assumed(f"{scene.vein} has too few voxels to tell it")
    known, seen = ASSUMED_FWHM_SD_MM**-2, sd_mm**-2
    both = (known * assumed_fwhm_mm + seen * fwhm_mm) / (known + seen)
    return Resolution(both, float((known + seen) ** -0.5), "estimated", "", fwhm_mm, sd_mm)


def _widening(scene: VeinScene, regions: dict[str, float], fwhm_mm: float) -> Array:
    """Change of the model at the PET voxels per mm of the point spread's width, shape (n,)."""
    painted, half = scene.painted(regions), _FWHM_STEP_MM
    return (scene.seen(painted, fwhm_mm + half) - scene.seen(painted, fwhm_mm - half)) / (2 * half)


def _fit(scene: VeinScene, fwhm_mm: float, leaving_out: bool = True) -> _Fit:
    """Fit uptakes and place, weighing again by what the fit gives (Carroll and Ruppert 1988), with Huber's weights."""
    values, everywhere = scene.values, scene.design(fwhm_mm)
    places = scene.rows * np.array(scene.pet.spacing_mm)
    floor = max(_LEAST_LEVEL * float(np.median(values)), 1e-12)
    weight, used = np.ones(len(values)), np.ones(len(values), bool)
    aside, design, prior = np.zeros(2), everywhere.here, np.inf
    slope = np.zeros((len(values), 2))
    for number in range(_ROUNDS):
        uptake = np.linalg.lstsq(design[used] * weight[used, None], values[used] * weight[used], rcond=_SINGULAR)[0]
        if number > 0 and scene.shift.sd_mm > 0:
            slope = everywhere.slope(uptake, *aside)
            aside = _placed(aside, design, slope, values - design @ uptake, weight, used, prior)
            design = everywhere.moved(*aside)
        level = np.maximum(design @ uptake, floor)
        relative = (values - design @ uptake) / level
        spread = max(1.4826 * float(np.median(np.abs(relative[used]))), LEAST_NOISE)
        weight = np.sqrt(np.minimum(1.0, HUBER_SD * spread / np.maximum(np.abs(relative), 1e-12))) / level
        prior = spread * np.sqrt(_sharing(scene, fwhm_mm)) / scene.shift.sd_mm if scene.shift.sd_mm > 0 else np.inf
        if leaving_out and number in _LEAVING_OUT:
            used = _explained(places, np.abs(relative) > UNEXPLAINED_SD * spread, 0.5 * fwhm_mm)
        if used.sum() <= design.shape[1]:
            break
    return _Fit(
        uptake, (float(aside[0]), float(aside[1])), weight, values - design @ uptake, used, design, slope, prior
    )


def _placed(aside: Array, design: Array, slope: Array, left: Array, weight: Array, used: Array, prior: float) -> Array:
    """One Gauss-Newton step of the place, the uptakes following, drawn back to where it was measured."""
    columns = (np.column_stack([design, slope]) * weight[:, None])[used]
    basis = np.linalg.qr(columns[:, :-2])[0]
    free = columns[:, -2:] - basis @ (basis.T @ columns[:, -2:])
    normal = free.T @ free + prior**2 * np.eye(2)
    step = np.linalg.solve(normal, free.T @ (left * weight)[used] - prior**2 * aside)
    return np.clip(aside + step, -FARTHEST_ASIDE_MM, FARTHEST_ASIDE_MM)


def _sharing(scene: VeinScene, fwhm_mm: float) -> float:
    """Voxels that share one independent piece of noise: the volume of exp(-d^2 / (4 sigma^2))."""
    return float(max((4 * np.pi * (fwhm_mm / FWHM_PER_SIGMA) ** 2) ** 1.5 / scene.pet.voxel_volume_mm3, 1.0))


def _explained(places_mm: Array, strange: Array, reach_mm: float) -> Array:
    """Voxels that are neither strange nor within reach of one that is."""
    if not strange.any():
        return ~strange
    gap, _ = cKDTree(places_mm[strange]).query(places_mm, distance_upper_bound=reach_mm)
    return np.asarray(gap > reach_mm)


def _variance(scene: VeinScene, found: _Fit, solved: _Solved, number: int, fwhm_mm: float) -> float:
    """Variance of one coefficient, noise being correlated by the resolution (sandwich, Liang and Zeger 1986).

    Each region has the noise that its own voxels show, so what the model leaves out counts where it is left out;
    neighbours share it as `effective_voxels` has it. Least squares takes up part of the noise, which is given back.
    What was known of the place counts as two more observations.
    """
    left = (found.left * found.weight)[found.used]
    shares = np.clip(found.design[found.used], 0.0, 1.0)
    by_region = (shares * left[:, None] ** 2).sum(axis=0) / np.maximum(shares.sum(axis=0), 1e-12)
    sd = np.sqrt(shares @ by_region / np.maximum(shares.sum(axis=1), 1e-12))
    basis = np.linalg.qr(solved.weighted)[0] * sd[:, None]
    pull = solved.inverse[number, :-2] * sd
    shared = _correlated(scene, found.used, np.column_stack([basis, pull]), fwhm_mm)
    taken, total = float((basis * shared[:, :-1]).sum()), float(sd @ sd)
    if not total > taken:
        return float("inf")
    variance = float(pull @ shared[:, -1]) * total / (total - taken)
    if not np.isfinite(found.prior):
        return variance
    return variance + float(((solved.inverse[number, -2:] * found.prior * scene.shift.sd_mm) ** 2).sum())


def _correlated(scene: VeinScene, used: Array, columns: Array, fwhm_mm: float) -> Array:
    """Columns (n, m) times the correlation exp(-d^2 / (4 sigma^2)) of the noise of the voxels used."""
    rows, shape = scene.rows[used], scene.pet.shape
    width = np.sqrt(2.0) * fwhm_mm / FWHM_PER_SIGMA / np.array(scene.pet.spacing_mm)
    out = np.empty_like(columns)
    peak = np.zeros([2 * int(np.ceil(4 * w)) + 1 for w in width])
    peak[tuple(n // 2 for n in peak.shape)] = 1.0
    height = float(ndimage.gaussian_filter(peak, width, mode="constant").max())
    for number in range(columns.shape[1]):
        image = np.zeros(shape)
        image[tuple(rows.T)] = columns[:, number]
        out[:, number] = ndimage.gaussian_filter(image, width, mode="constant")[tuple(rows.T)] / height
    return out
