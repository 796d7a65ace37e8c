"""The trachea, slice by slice, and the carina."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from petflame.segment.geometric.body import Chest
from petflame.segment.geometric.work import STEP_MM
from petflame.space.grid import Array

AIR_HU = (-500.0, -750.0, -900.0)
AREA_MM2 = (35.0, 1500.0)
STEP_LIMIT_MM = 7.0
LEAST_LENGTH_MM = 24.0
LEAST_BELOW_APEX_MM = 25.0
SIDE_BRANCH_MM2 = 60.0
WIDENING_MM = 24.0
# Main bronchi are 12 mm wide and part at the carina: each one's middle lies about that half from the trachea's axis.
BESIDE_AXIS_MM = 6.0
LATE_START = 0.15


@dataclass(frozen=True, eq=False)
class Airway:
    """Trachea.

    Attributes
    ----------
    centre : (n, 3) float array
        Index of the lumen's centre (i, j, k), from the head downwards, one slice each.
    radius_mm : (n,) float array
        Radius of the circle of equal area.
    mask : (I, J, K) bool array
        Lumen of the trachea, down to the carina.
    carina : (3,) float array or None
        Index of the carina, None where the trachea does not divide inside the scan.
    """

    centre: Array
    radius_mm: Array
    mask: Array
    carina: Array | None

    def at(self, k: float) -> Array:
        """Return centre (i, j) at slice k, held constant beyond the ends."""
        order = np.argsort(self.centre[:, 2])
        known = self.centre[order]
        return np.array([np.interp(k, known[:, 2], known[:, axis]) for axis in (0, 1)])


@dataclass(frozen=True, eq=False)
class Lumen:
    """Air in one slice that may be the airway: mask (I, J), centre (i, j), size, and how like an airway it is."""

    mask: Array
    centre: Array
    area_mm2: float
    width_mm: float
    score: float


def find_airway(chest: Chest) -> Airway | None:
    """Follow the trachea from the top of the scan to the carina; None where there is no trachea.

    In every slice the round air-filled lumina of tracheal size near the midline are candidates; the longest smooth
    chain of them that is large and lies in front is the trachea (an air-filled oesophagus is smaller and behind). The
    carina is where the lumen divides, or becomes much wider than the trachea above it.

    Parameters
    ----------
    chest : Chest
        Working image and lungs.
    """
    hu = chest.work.hu
    bottom, top = chest.lung_span
    highest = min(hu.shape[2] - 1, top + int(30 / STEP_MM))
    lowest = bottom + int(0.25 * (top - bottom))
    slices = list(range(highest, lowest - 1, -1))
    lumina = {k: lumina_of(hu[..., k], chest.air[..., k], chest.midline_i[k]) for k in slices}
    chain = best_chain(slices, lumina, top)
    if len(chain) * STEP_MM < LEAST_LENGTH_MM:
        return None
    length, carina = _carina(chain, lumina, top)
    chain = chain[:length]
    mask = np.zeros(hu.shape, bool)
    for k, lumen in chain:
        mask[..., k] = lumen.mask
    centre = np.array([[*lumen.centre, k] for k, lumen in chain])
    radius = np.sqrt(np.array([lumen.area_mm2 for _, lumen in chain]) / np.pi)
    return Airway(centre, radius, mask, carina)


def lumina_of(plane: Array, air: Array, midline_i: float) -> list[Lumen]:
    """Return the round lumina of tracheal size in a slice: HU and enclosed air, each (I, J), and the midline's i."""
    found = []
    taken = np.zeros(plane.shape, bool)
    # A trachea whose wall is thinner than a voxel is told from the lung beside it by its darker air.
    for threshold_hu in AIR_HU:
        labels, _ = ndimage.label(air & (plane < threshold_hu))
        for n, box in enumerate(ndimage.find_objects(labels), start=1):
            width, depth = ((s.stop - s.start) * STEP_MM for s in box)
            if width > 90 or depth > 40:
                continue
            region = labels[box] == n
            area = float(region.sum()) * STEP_MM**2
            if not AREA_MM2[0] <= area <= AREA_MM2[1] or taken[box][region].any():
                continue
            centre = np.argwhere(region).mean(axis=0) + [s.start for s in box]
            off_mm = (centre[0] - midline_i) * STEP_MM
            roundness = area / (np.pi / 4 * max(width, depth) ** 2)
            # Scores are at most one a slice, so that the longest plausible chain wins.
            score = min(area / 150.0, 1.0) * min(roundness / 0.6, 1.0) * np.exp(-0.5 * (off_mm / 18.0) ** 2)
            mask = labels == n
            taken |= mask
            found.append(Lumen(mask, centre, area, width, float(score)))
    return found


def best_chain(slices: list[int], lumina: dict[int, list[Lumen]], apex: int) -> list[tuple[int, Lumen]]:
    """Return the smooth chain of lumina, from above downwards, that is most like an airway in view from `apex` on."""
    best: dict[tuple[int, int], tuple[float, tuple[int, int] | None]] = {}
    for k in slices:
        for n, lumen in enumerate(lumina[k]):
            # The trachea is in view from the lungs' apex on; a chain that starts lower is a bronchus.
            options: list[tuple[float, tuple[int, int] | None]] = [(-LATE_START * max(apex - k, 0), None)]
            for m, above in enumerate(lumina.get(k + 1, [])):
                move = float(np.linalg.norm(lumen.centre - above.centre)) * STEP_MM
                if move <= STEP_LIMIT_MM:
                    options.append((best[k + 1, m][0] - 0.04 * move, (k + 1, m)))
            score, origin = max(options, key=lambda option: option[0])
            best[k, n] = (score + lumen.score - 0.15, origin)
    if not best:
        return []
    end: tuple[int, int] | None = max(best, key=lambda key: best[key][0])
    chain = []
    while end is not None:
        chain.append((end[0], lumina[end[0]][end[1]]))
        end = best[end][1]
    return chain[::-1]


def _carina(chain: list[tuple[int, Lumen]], lumina: dict[int, list[Lumen]], apex: int) -> tuple[int, Array | None]:
    """Return how many slices of the chain are trachea, and the carina."""
    first = next((n for n, (k, _) in enumerate(chain) if (apex - k) * STEP_MM >= LEAST_BELOW_APEX_MM), len(chain))
    for n in range(max(first, 5), len(chain)):
        k, lumen = chain[n]
        usual = float(np.median([above.width_mm for _, above in chain[max(0, n - 15) : n - 2]]))
        shadow = chain[n - 1][1]
        divided = all(_parts_below(shadow, lumina.get(k - step, [])) >= 2 for step in range(3))
        if divided or lumen.width_mm > 1.7 * usual:
            return n, _division(shadow, k, lumina)
    k, lumen = chain[-1]
    usual = float(np.median([above.width_mm for _, above in chain[-15:]]))
    wide = [below for below in lumina.get(k - 1, []) if below.width_mm > 1.7 * usual]
    if (apex - k) * STEP_MM >= LEAST_BELOW_APEX_MM and _parts_below(lumen, wide):
        # The lumen opened into both main bronchi between two slices.
        return len(chain), _division(lumen, k - 1, lumina)
    return len(chain), None


def _division(last: Lumen, k: int, lumina: dict[int, list[Lumen]]) -> Array:
    """Follow the widened lumen down to where it divides; `last` is the trachea's lumen above slice k."""
    current = last
    for below in range(k, k - int(WIDENING_MM / STEP_MM), -1):
        parts = _near(current, lumina.get(below, []))
        if len(parts) != 1 or _is_bronchus(parts[0], last):
            return np.array([*current.centre, below + 1.0])
        current = parts[0]
    return np.array([*last.centre, float(k)])


def _is_bronchus(lumen: Lumen, trachea: Lumen) -> bool:
    """Whether a lumen lies beside the trachea and is no wider: the other bronchus is not told from lung here."""
    beside = abs(float(lumen.centre[0] - trachea.centre[0])) * STEP_MM
    return beside > BESIDE_AXIS_MM and lumen.width_mm <= trachea.width_mm


def _parts_below(shadow: Lumen, below: list[Lumen]) -> int:
    return len(_near(shadow, below))


def _near(shadow: Lumen, below: list[Lumen]) -> list[Lumen]:
    """Return the lumina of a slice that lie under, or within 4 mm of, a lumen of the slice above."""
    near = ndimage.binary_dilation(shadow.mask, iterations=2)
    return [lumen for lumen in below if lumen.area_mm2 >= SIDE_BRANCH_MM2 and bool((near & lumen.mask).any())]
