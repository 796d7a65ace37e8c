"""Whether seeds lie in the patient at all, and where not, what they look like instead: the cause, not a guess.

Nothing is put right here: points that lie outside the body, or that only another reading puts where vessels are, are
refused with that reading's name. A vessel beside its place is another matter, which its own checks withhold.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from petflame.errors import InputRefused, PetflameError
from petflame.segment.anatomy_checks import VesselShape, anatomy_checks
from petflame.segment.body_outline import BodyOutline, beyond_grid_mm, outline_body
from petflame.segment.misread_points import Misreading, misreadings
from petflame.segment.seedfile import Seeds
from petflame.segment.seeds import smooth_line
from petflame.segment.usual import usual_of
from petflame.space.grid import Array, Grid, Volume

# A reader's error is 2 mm (SD), a slice up to 5 mm, the outline's grid 4 mm.
BEYOND_MM = 10.0
# Another reading that moves the points by less than the width of a neck's vessels explains nothing.
LEAST_MOVE_MM = 15.0
# Share of the vessels that may fail a check of place under the reading that explains the others.
MAY_FAIL = 1 / 3
# A ring of fat and muscle round the points must be this much clearer (HU) to tell one reading from another.
CLEARER_HU = 8.0
OF_PLACE = (
    "in the scan",
    "contents",
    "belongs to the scan",
    "beside the airway",
    "depth",
    "height above the carina",
    "between the sides",
    "near its fellow",
    "order of carotid and jugular",
)


@dataclass(frozen=True)
class _Fit:
    """How points lie in the patient: vessels that fail, and points outside the body."""

    failing: int
    outside: int

    @property
    def perfect(self) -> bool:
        return self.failing == 0 and self.outside == 0


def require_in_grid(seeds: Seeds, ct: Grid, where: str) -> None:
    """Refuse seeds that lie outside the CT, from its grid alone.

    Raises
    ------
    InputRefused
        With the reading of the points that would put all of them inside, where there is one.
    """
    written = _written(seeds)
    outside = {n: int((beyond_grid_mm(p, ct) > BEYOND_MM).sum()) for n, p in written.items()}
    if not any(outside.values()):
        return
    fits = [
        m
        for m in misreadings(ct, written)
        if not any((beyond_grid_mm(m.meant(p), ct) > BEYOND_MM).any() for p in written.values())
    ]
    raise _refusal(outside, written, "outside the CT", where, fits[0] if fits else None)


def require_in_patient(seeds: Seeds, ct: Volume, where: str) -> None:
    """Refuse seeds that lie outside the body, or where they look like points that were misread.

    Parameters
    ----------
    seeds : Seeds
    ct : Volume
        HU, any axis order and direction.
    where : str
        How messages call the seeds.

    Raises
    ------
    InputRefused
        When points lie more than 10 mm outside the CT or in the air outside the body; or when most vessels fail the
        checks of place as written, and one reading of the points lets all of them pass, which neither exchanged names
        nor points beside their vessels would.
    """
    written, body = _written(seeds), outline_body(ct)
    own = _outside(written, body, ct.grid)
    as_written = _Fit(_failing(seeds, written, ct), sum(own.values()))
    reversed_sides = _sides_reversed(written)
    vessels = max(len(seeds.points_lps_mm), 1)
    if not as_written.outside and not reversed_sides and 2 * as_written.failing < vessels:
        return
    best = _best_reading(seeds, written, ct, body)
    if as_written.outside:
        beyond_ct = any((beyond_grid_mm(p, ct.grid) > BEYOND_MM).any() for p in written.values())
        place = "outside the CT" if beyond_ct else "in the air outside the body"
        explains = best is not None and best[1].outside == 0 and best[1].failing <= MAY_FAIL * vessels
        raise _refusal(own, written, place, where, best[0] if best is not None and explains else None)
    if best is None or not best[1].perfect or (as_written.failing == 0 and not reversed_sides):
        return
    if not _tells(best[0], seeds, written, ct):
        return
    said = f"as written {as_written.failing} of {vessels} vessels do not lie where such vessels do"
    raise InputRefused.of(f"the points look like {best[0].cause} ({said})", where, best[0].remedy)


def _written(seeds: Seeds) -> dict[str, Array]:
    landmarks = {name: np.array([place]) for name, place in seeds.landmarks_lps_mm.items()}
    return {**landmarks, **seeds.points_lps_mm}


def _outside(points: Mapping[str, Array], body: BodyOutline, grid: Grid) -> dict[str, int]:
    """How many points of each name lie outside the CT or the body."""
    return {
        name: int(((beyond_grid_mm(p, grid) > BEYOND_MM) | (body.beyond_mm(p) > BEYOND_MM)).sum())
        for name, p in points.items()
    }


def _refusal(
    outside: Mapping[str, int], written: Mapping[str, Array], place: str, where: str, meant: Misreading | None
) -> PetflameError:
    total = sum(map(len, written.values()))
    names = ", ".join(name for name, count in outside.items() if count)
    what = f"{sum(outside.values())} of {total} points lie {place} ({names})"
    if meant is None:
        remedy = "look whether they are of this scan, and in LPS mm: x grows to the left, y to the back, z upwards"
        return InputRefused.of(what, where, remedy)
    return InputRefused.of(f"{what}: they look like {meant.cause}", where, meant.remedy)


def _sides_reversed(points: Mapping[str, Array]) -> bool:
    """Whether a right vessel or bifurcation lies to the left of its counterpart (LPS: x grows to the left)."""
    for stem in ("carotid", "jugular", "carotid_bifurcation"):
        right, left = (points.get(f"{stem}_{side}") for side in ("right", "left"))
        if right is not None and left is not None and right[:, 0].mean() >= left[:, 0].mean():
            return True
    return False


def _shapes(points: Mapping[str, Array], seeds: Seeds) -> dict[str, VesselShape]:
    shapes = {}
    for name, own in points.items():
        if len(own) < 2:
            continue
        usual = usual_of(name)
        line = own[np.argsort(own[:, 2], kind="stable")]
        shapes[name] = VesselShape(smooth_line(line, usual.stiffness_mm3), seeds.radius_mm.get(name, usual.radius_mm))
    return shapes


def _failing(seeds: Seeds, points: Mapping[str, Array], ct: Volume) -> int:
    """How many vessels fail a check of place."""
    shapes = _shapes(points, seeds)
    if not shapes:
        return 0
    landmarks = {name: tuple(map(float, p[0])) for name, p in points.items() if name == "carina"}
    checks = anatomy_checks(ct, shapes, landmarks_lps_mm=landmarks)  # type: ignore[arg-type]
    failing = sum(any(not c.passed for c in own if c.name in OF_PLACE) for own in checks.values())
    return max(failing, int(_sides_reversed(points)))


def _best_reading(
    seeds: Seeds, written: Mapping[str, Array], ct: Volume, body: BodyOutline
) -> tuple[Misreading, _Fit] | None:
    """Return the reading under which fewest vessels fail, and how many; the usual ones first."""
    best: tuple[Misreading, _Fit] | None = None
    for reading in misreadings(ct.grid, written):
        meant = {name: reading.meant(p) for name, p in written.items()}
        moved = np.concatenate([np.linalg.norm(meant[n] - p, axis=1) for n, p in written.items()])
        outside = sum(_outside(meant, body, ct.grid).values())
        if outside or float(np.median(moved)) < LEAST_MOVE_MM:
            continue
        fit = _Fit(_failing(seeds, meant, ct), outside)
        if best is None or fit.failing < best[1].failing:
            best = reading, fit
        if fit.perfect:
            break
    return best


def _tells(reading: Misreading, seeds: Seeds, written: Mapping[str, Array], ct: Volume) -> bool:
    """Whether a reading that lets every vessel pass is the cause, and not chance or exchanged names."""
    if reading.kind == "scale":
        return True
    if reading.kind == "sides" and _failing(seeds, _exchanged(written), ct):
        return True
    # Exchanged names explain it as well, or a set that was moved lies well somewhere else by chance.
    return _clearer(reading.meant, written, ct)


def _exchanged(points: Mapping[str, Array]) -> dict[str, Array]:
    """Return the points with the names of right and left exchanged."""
    other = {"right": "left", "left": "right"}

    def renamed(name: str) -> str:
        stem, _, side = name.rpartition("_")
        return f"{stem}_{other[side]}" if side in other else name

    return {renamed(name): p for name, p in points.items()}


def _clearer(meant: Callable[[Array], Array], written: Mapping[str, Array], ct: Volume) -> bool:
    """Whether vessels show their edges clearly better at another reading than where they are written."""
    return _edge_hu({n: meant(p) for n, p in written.items()}, ct) > _edge_hu(written, ct) + CLEARER_HU


def _edge_hu(points: Mapping[str, Array], ct: Volume) -> float:
    """Mean step in HU from inside to outside the vessels, at the radius that shows it best."""
    from petflame.segment.seeds import edge_steps

    steps = []
    for name, own in points.items():
        if len(own) > 1:
            line = smooth_line(own[np.argsort(own[:, 2], kind="stable")], usual_of(name).stiffness_mm3)
            steps.append(float(np.median(edge_steps(line, ct), axis=0).max()))
    return float(np.mean(steps)) if steps else 0.0
