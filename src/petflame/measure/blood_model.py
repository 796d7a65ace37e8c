"""Uptake of a vein's blood by least squares of the PET round it on its regions, blurred by the PET's resolution.

The model is that of the geometric transfer matrix (Rousset, Ma and Evans, J Nucl Med 1998;39:904), solved voxel by
voxel instead of region by region, which gives a standard error too. A PET's noise rises with its uptake, so every
voxel weighs by one over what the model gives it; what a labelled region or a tissue cannot explain is left out.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from petflame.measure.alignment import VeinShift
from petflame.measure.vein_fit import SINGULAR, fit, variance_of
from petflame.measure.vein_scene import LUNG, VeinScene
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
    found = fit(scene, resolution.fwhm_mm)
    solved = found.solved()
    own = float(np.sqrt(variance_of(scene, found, solved, 0, resolution.fwhm_mm)))
    regions = dict(zip(scene.parts.names, found.uptake.tolist(), strict=True))
    wider = _widening(scene, regions, resolution.fwhm_mm)
    per_mm = -float(solved.inverse[0, :-2] @ (wider * found.weight)[found.used])
    weighted = solved.weighted[:, : len(regions)]
    lengths = np.maximum(np.linalg.norm(weighted, axis=0), 1e-12)
    inverse = np.linalg.pinv(weighted, rcond=SINGULAR)
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
        found = fit(scene, fwhm_mm, leaving_out=False)
        solved = found.solved(_widening(scene, dict(zip(scene.parts.names, found.uptake, strict=True)), fwhm_mm))
        step = float(solved.inverse[-1, :-2] @ (found.left * found.weight)[found.used])
        sd_mm = float(np.sqrt(variance_of(scene, found, solved, -1, fwhm_mm)))
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
