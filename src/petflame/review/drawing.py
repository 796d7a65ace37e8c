"""The label map of a read: what was found before, seeded vessels over it, strokes over both.

Seeded vessels are drawn together by the code of `segment --method seeds`, held against what was found; strokes come
after them in the order of the reader. Only voxels that differ from what was found are held, so that a stroke costs
what it paints.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from petflame.anatomy import BY_NAME
from petflame.labelmap import LabelMap
from petflame.review.canvas import c_to_f, f_to_c, of_runs
from petflame.review.state import VESSELS, ReadState, Stroke
from petflame.segment.outlines import digest_of_places
from petflame.segment.product import Segmentation, VesselFinding
from petflame.segment.seeded import checked_vessels_from_seeds
from petflame.segment.seedfile import LEAST_LENGTH_MM, Seeds
from petflame.segment.seeds import Memory
from petflame.space.grid import Array, Volume

# Drawn vessels that are kept in case they are asked for again (undo).
MOST_KEPT = 2000
NOWHERE: Array = np.zeros(0, np.int64)


@dataclass(frozen=True, eq=False)
class Drawn:
    """Vessels drawn from seeds.

    Attributes
    ----------
    voxels : dict
        Vessel to flat F-order numbers of its voxels, sorted.
    findings : dict
        Vessel to what its checks say.
    """

    voxels: dict[str, Array]
    findings: dict[str, VesselFinding]


def drawable(state: ReadState, taken: frozenset[str] = frozenset()) -> Seeds:
    """Return the seeds of every vessel that has enough of them to draw a line."""
    points, radius = {}, {}
    for name, vessel in state.vessels.items():
        places = np.array([seed.lps_mm for seed in vessel.seeds]).reshape(-1, 3)
        enough = len(places) > 1 and np.ptp(places[:, 2]) >= LEAST_LENGTH_MM
        if not enough or name in taken or (name.startswith("aorta") and vessel.radius_mm is None):
            continue
        points[name] = places
        if vessel.radius_mm is not None:
            radius[name] = vessel.radius_mm
    return Seeds(points, radius, dict(state.landmarks_lps_mm))


class Drawing:
    """The label map of a state, kept up to date.

    Parameters
    ----------
    found : Segmentation
        As the software left it, labels on the CT's grid.
    ct : Volume
        HU, the whole of it: what is drawn must not depend on what is shown.
    pet : Volume
    """

    def __init__(self, found: Segmentation, ct: Volume, pet: Volume) -> None:
        self.found, self._ct, self._pet = found, ct, pet
        self.shape = found.labels.grid.shape
        self._memory: Memory = {}
        self._drawings: dict[object, Drawn] = {}
        self._was: Array = np.asfortranarray(found.labels.data).reshape(-1, order="F")
        self._is = self._was.copy()
        there = np.flatnonzero(self._was)
        values = self._was[there]
        self._found_voxels = {n: there[values == BY_NAME[n].label] for n in BY_NAME}
        flat = f_to_c(there, self.shape)
        order = np.argsort(flat)
        self._found_c, self._found_values = flat[order], values[order]
        self._touched = NOWHERE
        self._base: Drawn | None = None
        self._strokes: tuple[Stroke, ...] = ()
        self._digest: str | None = None
        self.drawn = Drawn({}, {})

    def show(self, state: ReadState, taken: dict[str, Array] | None = None) -> None:
        """Bring the label map to a state.

        Parameters
        ----------
        state : ReadState
        taken : dict, optional
            Vessels taken from another read: their voxels, flat F order.

        Raises
        ------
        InputRefused
            When vessels lie on the wrong side; the map is then as it was before.
        """
        drawn = self._draw(state, taken or {})
        strokes = tuple(reversed(list(state.strokes())))
        new = strokes[len(self._strokes) :]
        if drawn is not self._base or strokes[: len(self._strokes)] != self._strokes:
            self._is[self._touched] = self._was[self._touched]
            parts = [self._lay(drawn)]
            new = strokes
        else:
            parts = [self._touched]
        parts += [self._paint(stroke) for stroke in new]
        self._touched = np.unique(np.concatenate(parts)) if len(parts) > 1 else parts[0]
        self._base, self._strokes, self.drawn, self._digest = drawn, strokes, drawn, None

    def _draw(self, state: ReadState, taken: dict[str, Array]) -> Drawn:
        seeds = drawable(state, frozenset(taken))
        named = {n: (p.tobytes(), seeds.radius_mm.get(n)) for n, p in seeds.points_lps_mm.items()}
        by_read = tuple((n, v.tobytes()) for n, v in taken.items())
        key = (tuple(named.items()), tuple(seeds.landmarks_lps_mm.items()), by_read)
        if key in self._drawings:
            return self._drawings[key]
        for kept in (self._drawings, self._memory):
            if len(kept) > MOST_KEPT:
                kept.clear()
        voxels = dict(taken)
        findings: dict[str, VesselFinding] = {}
        if seeds.points_lps_mm:
            found = self.found
            labels, findings = checked_vessels_from_seeds(
                seeds, self._ct, found.labels, found.vessels, found.landmarks_lps_mm, self._pet, self._memory
            )
            cut = LabelMap(labels, found.labels.grid)
            voxels |= {n: self._voxels_in(cut, n) for n in findings}
        self._drawings[key] = Drawn(voxels, findings)
        return self._drawings[key]

    def _voxels_in(self, labels: LabelMap, name: str) -> Array:
        if not labels.has(name):
            return NOWHERE
        box = labels.boxes[name]
        ijk = np.argwhere(labels.data[box] == BY_NAME[name].label) + [part.start for part in box]
        return np.sort(np.ravel_multi_index(tuple(ijk.T), self.shape, order="F"))

    def _lay(self, drawn: Drawn) -> Array:
        """Put drawn vessels in the place of those found; as `petflame.segment.edits` does."""
        touched = [NOWHERE]
        for name in drawn.voxels:
            self._is[self._found_voxels[name]] = 0
            touched.append(self._found_voxels[name])
        for name, voxels in drawn.voxels.items():
            self._is[voxels] = BY_NAME[name].label
            touched.append(voxels)
        return np.unique(np.concatenate(touched))

    def _paint(self, stroke: Stroke) -> Array:
        voxels = c_to_f(of_runs(stroke.runs, len(self._is)), self.shape)
        label = BY_NAME[stroke.vessel].label
        if stroke.erase:
            voxels = voxels[self._is[voxels] == label]
        self._is[voxels] = 0 if stroke.erase else label
        return voxels

    @property
    def digest(self) -> str:
        """As `petflame.segment.outlines.outline_digest` of the whole map."""
        if self._digest is None:
            touched = f_to_c(self._touched, self.shape)
            order = np.argsort(touched)
            flat, values = touched[order], self._is[self._touched][order]
            at = np.searchsorted(self._found_c, flat)
            known = np.flatnonzero(np.append(self._found_c, -1)[at] == flat)
            kept, kept_values = np.delete(self._found_c, at[known]), np.delete(self._found_values, at[known])
            flat, values = flat[values > 0], values[values > 0]
            at = np.searchsorted(kept, flat)
            self._digest = digest_of_places(np.insert(kept, at, flat), np.insert(kept_values, at, values))
        return self._digest

    def voxels(self, name: str) -> Array:
        """Flat F-order numbers of a region's voxels as they are now, sorted."""
        label = BY_NAME[name].label
        own = self._found_voxels[name]
        both = np.concatenate([own[self._is[own] == label], self._touched[self._is[self._touched] == label]])
        return np.unique(both)

    def found_voxels(self, name: str) -> Array:
        """Flat F-order numbers of a region's voxels as they were found, sorted."""
        return self._found_voxels[name]

    def all_voxels(self) -> dict[str, Array]:
        """Return the voxels of every artery and vein, as `voxels`."""
        return {name: self.voxels(name) for name in VESSELS}

    def labels(self) -> LabelMap:
        """Return a copy of the whole map."""
        return LabelMap(self._is.copy().reshape(self.shape, order="F"), self.found.labels.grid)
