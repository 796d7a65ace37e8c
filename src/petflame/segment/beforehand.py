"""Holding a reader's files against a visit before it is converted, by the readers that `petflame segment` uses.

The images are known by their headers alone: their grids, and what they are called. What needs their voxels (whether
vessels hold blood, where the CT moves a seeded line, what is found automatically) is asked by `petflame segment`, and
withholds vessels; nothing here refuses what it would take.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from petflame.dicom.references import References
from petflame.errors import Fault, FaultList, PetflameError, is_of_the_machine
from petflame.privacy import named
from petflame.segment.checks import SIGN_OR_NAMES, require_laterality
from petflame.segment.edits import (
    UNTOUCHED,
    Edits,
    accepted_and_not_found,
    is_untouched,
    read_edits,
    require_same_grid_as_labels,
)
from petflame.segment.imports import import_segmentation, is_regions
from petflame.segment.imports.doors import called
from petflame.segment.labelmaps import vessels_in
from petflame.segment.product import Segmentation
from petflame.segment.reads import read_read
from petflame.segment.seed_places import require_in_grid
from petflame.segment.seedfile import Seeds, read_seeds
from petflame.segment.seeds import smooth_line
from petflame.segment.usual import usual_of
from petflame.space.grid import Array, Grid, ras_to_lps

LATER = (
    "labels, seeds and edits were held against grids, sides and names of the images; whether vessels hold blood and "
    "lie in place is asked of the voxels by the run, which withholds those that fail"
)
# A reader's points are off by 2 mm (SD); the mean of a line lies no farther from its vessel by chance.
OFF_MM = 2.0
SIDES_MM = 2 * OFF_MM


@dataclass(frozen=True)
class Beforehand:
    """What was found.

    Attributes
    ----------
    faults : tuple of Fault
        Why the visit would be refused.
    doubts : tuple of str
        What its tables would warn of.
    """

    faults: tuple[Fault, ...]
    doubts: tuple[str, ...]


def check_readers_files(
    labels: Path | None, seeds: Path | None, edits: Path | None, grids: Mapping[str, Grid], own: References | None
) -> Beforehand:
    """Find what `petflame segment` would refuse of a visit's labels, seeds and edits, without the visit's voxels.

    Parameters
    ----------
    labels, seeds, edits : Path or None
        Those of the visit that exist; labels win over seeds.
    grids : mapping
        'ct' and 'pet' grid that the visit will have, those that exist; empty where the images are refused: then the
        files are read alone.
    own : References or None
        What its images are called.
    """
    faults = FaultList()
    doubts: list[str] = []
    drawn: Segmentation | None = None
    if labels is None and seeds is not None and is_regions(seeds):
        # The workflow takes them for what they are, whichever column names them.
        labels, seeds = seeds, None
    if labels is not None and grids:
        with _refusals(faults, called(labels)):
            drawn = import_segmentation(labels, dict(grids), own, described=False)
            doubts += drawn.doubts
    if seeds is not None:
        where = called(seeds)
        with _refusals(faults, where):
            points = read_seeds(seeds)
            if labels is None and "ct" in grids:
                require_placed(points, grids["ct"], where)
    if edits is not None:
        with _refusals(faults, named(edits.name, "the edits")):
            given = read_edits(edits)
            reference = "ct" if labels is None else None if drawn is None else drawn.reference
            doubts += _check_edits(given, drawn, reference, grids, own, faults)
    return Beforehand(tuple(faults), tuple(dict.fromkeys(doubts)))


@contextmanager
def _refusals(faults: FaultList, where: str) -> Iterator[None]:
    try:
        yield
    except PetflameError as error:
        faults.extend(error.faults)
    except Exception as error:
        if is_of_the_machine(error):
            raise
        what = f"reading it fails ({named(error, type(error).__name__)})"
        faults.add(what, where, "export it again; its visit would get no result")


def _check_edits(
    edits: Edits,
    drawn: Segmentation | None,
    reference: str | None,
    grids: Mapping[str, Grid],
    own: References | None,
    faults: FaultList,
) -> list[str]:
    doubts: list[str] = [UNTOUCHED] if is_untouched(edits) else []
    found = set() if drawn is None else vessels_in(drawn.labels)
    if edits.read is not None:
        # Whether it is of this visit is asked of the images once they are converted.
        with _refusals(faults, named(edits.read.name, "the read")):
            found |= set(read_read(edits.read).seeds.points_lps_mm)
    if edits.regions is not None and grids:
        with _refusals(faults, named(edits.regions.name, "the edited regions")):
            redrawn = import_segmentation(edits.regions, dict(grids), own, described=False)
            doubts += redrawn.doubts
            found |= vessels_in(redrawn.labels)
            if reference is not None:
                require_same_grid_as_labels(redrawn.reference, reference, edits.regions)
    if edits.seeds:
        where = named(edits.seeds[0].name, "the edited seeds")
        with _refusals(faults, where):
            points = read_seeds(*edits.seeds)
            found |= set(points.points_lps_mm)
            if grids and reference is not None and (reference != "ct" or "ct" not in grids):
                what = "vessels redrawn by seeds need labels on the CT grid"
                faults.add(what, where, "give regions on the PET grid instead")
            elif "ct" in grids:
                require_placed(points, grids["ct"], where)
    if drawn is not None:
        faults.extend(accepted_and_not_found(edits.decisions, found))
    return doubts


def require_placed(seeds: Seeds, ct: Grid, where: str) -> None:
    """Refuse seeds that lie outside the CT, and sides that are exchanged, whatever the CT says.

    Parameters
    ----------
    seeds : Seeds
    ct : Grid
        Of the CT that they will be drawn on.
    where : str
        How messages call the seeds.

    Raises
    ------
    InputRefused
        When points lie more than 10 mm outside the CT, or a right vessel lies so far to the left of its counterpart
        that no error of a reader's points explains it.
    """
    require_in_grid(seeds, ct, where)
    lines = {name: smooth_line(points, usual_of(name).stiffness_mm3) for name, points in seeds.points_lps_mm.items()}
    sure = {name: ras_to_lps(line.mean(axis=0)) for name, line in lines.items() if _inside(line, ct)}
    for stem in ("carotid", "jugular"):
        pair = {name: sure[name] for name in (f"{stem}_right", f"{stem}_left") if name in sure}
        # RAS: x grows to the right. Nearer than this the images may still put them right.
        if len(pair) == 2 and pair[f"{stem}_right"][0] + SIDES_MM <= pair[f"{stem}_left"][0]:
            require_laterality(pair, where, SIGN_OR_NAMES)


def _inside(line_lps_mm: Array, grid: Grid) -> bool:
    """Whether some of the line lies inside the grid by more than a reader's error."""
    ijk = grid.to_ijk(ras_to_lps(line_lps_mm))
    margin = OFF_MM / np.array(grid.spacing_mm) + 1.0
    return bool(((ijk > margin) & (ijk < np.array(grid.shape) - 1 - margin)).all(axis=1).any())
