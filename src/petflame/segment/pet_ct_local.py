"""How far PET and CT lie apart at an artery, looked for within 6 mm an axis: the rule of `ivory_assumed_v0`.

Kept as it was, so that a study that began under that protocol keeps its figures.
"""

from __future__ import annotations

import numpy as np

from petflame.labelmap import LabelMap
from petflame.segment.product import PetCtShift
from petflame.segment.tissues import FEWEST_SAMPLES, FWHM_MM, fit, samples, tissues_round, turned
from petflame.space.grid import Volume, ras_to_lps

FARTHEST_MM = 6.0
# What the model leaves out, such as uptake that varies within a tissue, was taken to move the fit by about this much.
MODEL_SD_MM = 0.8
# A shift known less well than this is not called measured.
LARGEST_SD_MM = 1.5


def local_shift(name: str, labels: LabelMap, ct: Volume, pet: Volume) -> PetCtShift | None:
    """Find where the PET shows what lies round a vessel in the CT, near where the CT has it.

    Parameters
    ----------
    name : str
        The vessel.
    labels : LabelMap
    ct, pet : Volume
        All canonical; `labels` and `ct` on one grid.

    Returns
    -------
    PetCtShift or None
        None where the vessel is absent, fewer than 200 PET voxels lie round it, the tissues do not explain the PET or
        the shift is known less well than `LARGEST_SD_MM`.
    """
    if not labels.has(name):
        return None
    tissues = tissues_round(name, labels, ct, FARTHEST_MM)
    where, values, stride = samples(tissues, pet, FARTHEST_MM, np.zeros(3))
    if len(values) < FEWEST_SAMPLES:
        return None
    # Neighbouring voxels share noise: about one independent value to a resolution volume.
    shared = max(1.0, (1.06 * FWHM_MM) ** 3 / (pet.grid.voxel_volume_mm3 * stride))
    found = fit(tissues, where, values, np.zeros(3), FARTHEST_MM)
    if not found.explains:
        return None
    covariance = np.linalg.inv(found.normal) * (found.left @ found.left) / found.freedom * shared
    turn = turned(tissues, (0, 1))[:2]
    sd = np.sqrt(np.diag(turn @ covariance @ turn.T) + MODEL_SD_MM**2)
    x, y = ras_to_lps([*(turn @ found.shift_mm), 0.0])[:2]
    return PetCtShift((float(x), float(y)), (float(sd[0]), float(sd[1]))) if max(sd) <= LARGEST_SD_MM else None
