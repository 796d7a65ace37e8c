"""Where the CT shows a round section near a line."""

from __future__ import annotations

import numpy as np

from petflame.segment.across import planes_across
from petflame.segment.course import Displacements
from petflame.segment.geometric.circles import blood_likeness, clip_around_blood, ring_evidence
from petflame.space.grid import Array, Volume

PIXEL_MM = 1.0
LEAST_HALF_MM = 12.0
BEYOND_RING_MM = 4.0
RADIUS_STEP_MM = 0.5
# Planes are means over so much of the course, within which a vessel neither moves nor fades.
ALONG_MM = (-2.0, -1.0, 0.0, 1.0, 2.0)
LIKENESS_HU = 22.0
# Unenhanced blood, and from where on a vessel holds contrast medium.
BLOOD_HU, ENHANCED_HU = (15.0, 75.0), 130.0
# How many units of log-likelihood a unit of ring evidence is worth (perfect ring in fat: 1.3; muscle all round: 0.3).
SHARPNESS = 8.0
# Planes 3 mm apart share slices and neighbours: of what three say, one part is new.
INDEPENDENT = 0.3
NEAR_MM = 3.0
# A section makes its place at least this much surer than the window alone does; less is a slope of the surroundings.
SURER = 2.0
PIXEL_SD_MM = 0.3
MOST_OFFSET_MM = 4.0


def seen_on_ct(ct: Volume, line_lps_mm: Array, frame: Array, radii_mm: tuple[float, float]) -> Displacements:
    """Find in each plane across a line where a round section lies, and how surely.

    The ring evidence of all places and radii (`petflame.segment.geometric.circles`) is read as a log-likelihood; its
    mean and covariance near the line, less those of the window that makes it near, are the displacement and its error.
    Where nothing round shows, the likelihood is flat and the precision zero.

    Parameters
    ----------
    ct : Volume
        HU, any axis order.
    line_lps_mm : (n, 3) array
    frame : (n, 3, 3) array
        Rows: two normals, then the tangent.
    radii_mm : (float, float)
        Smallest and largest radius of the section.
    """
    across = planes_across(line_lps_mm, frame, max(LEAST_HALF_MM, radii_mm[1] + BEYOND_RING_MM), PIXEL_MM)
    hu = across.sample(ct, ALONG_MM)
    inside = float(np.median(hu[:, across.off_mm <= radii_mm[0]]))
    blood_hu = inside if inside > ENHANCED_HU else float(np.clip(inside, *BLOOD_HU))
    radii = np.arange(radii_mm[0], radii_mm[1] + RADIUS_STEP_MM / 2, RADIUS_STEP_MM)
    rings = ring_evidence(clip_around_blood(hu, blood_hu), blood_likeness(hu, blood_hu, LIKENESS_HU), radii, PIXEL_MM)
    log_likelihood = SHARPNESS * rings.astype(float)
    likelihood = np.exp(log_likelihood - log_likelihood.max(axis=(0, 2, 3), keepdims=True)).sum(axis=0)
    weight = likelihood * np.exp(-0.5 * (across.off_mm / NEAR_MM) ** 2)
    weight /= weight.sum(axis=(1, 2), keepdims=True)
    places = np.stack([across.u_mm, across.v_mm], axis=-1)
    mean = np.einsum("nhw,hwa->na", weight, places)
    off = places[None] - mean[:, None, None]
    covariance = np.einsum("nhw,nhwa,nhwb->nab", weight, off, off) + PIXEL_SD_MM**2 * np.eye(2)
    together = np.linalg.inv(covariance)
    values, axes = np.linalg.eigh(together - np.eye(2) / NEAR_MM**2)
    surer = np.maximum(values - (SURER - 1.0) / NEAR_MM**2, 0.0)
    precision = np.einsum("nak,nk,nbk->nab", axes, surer, axes)
    # The window drew the mean towards the line; without it the section lies farther out.
    freed = np.einsum("nak,nk,nbk->nab", axes, np.where(surer > 0, 1.0 / np.maximum(values, 1e-9), 0.0), axes)
    offset = np.einsum("nab,nbc,nc->na", freed, together, mean)
    far = np.linalg.norm(offset, axis=1, keepdims=True)
    return Displacements(offset * np.minimum(1.0, MOST_OFFSET_MM / np.maximum(far, 1e-9)), INDEPENDENT * precision)
