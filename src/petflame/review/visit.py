"""The files of one item on the desk: images, labels as found, hashes; refused in words where they cannot be read."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from petflame.dicom.product import read_converted_pet, read_pet_sidecar
from petflame.errors import InputRefused
from petflame.files import read_json, read_nifti, sha256
from petflame.folders import VisitFolder
from petflame.review.canvas import Canvas, neck_and_mediastinum, same_place
from petflame.segment.product import Segmentation, read_segmentation
from petflame.segment.run import labels_as_found
from petflame.space.grid import Volume
from petflame.space.orientation import canonical_grid


@dataclass(frozen=True, eq=False)
class VisitFiles:
    """What a reader works on.

    Attributes
    ----------
    code : str
        Name of the visit's folder.
    root : Path
    ct, pet : Volume
        HU; SUVbw, or other units where `is_suv` is False.
    found : Segmentation
        Before any reader's edits; labels on the CT's grid.
    is_suv : bool
    hashes : dict
        SHA-256 of the bytes of `ct`, `pet` and `labels`, under ct_sha256, pet_sha256, labels_sha256.
    canvas, pet_canvas : Canvas
        What of CT and PET is shown.
    image_numbers : tuple of int, or None
        Number of the CT's image for each slice of `canvas`.
    seen : tuple
        What tells whether any of the files has changed since, see `seen_files`.
    """

    code: str
    root: Path
    ct: Volume
    pet: Volume
    found: Segmentation
    is_suv: bool
    hashes: dict[str, str]
    canvas: Canvas
    pet_canvas: Canvas
    image_numbers: tuple[int, ...] | None
    seen: tuple[Any, ...] = ()


def seen_files(root: Path) -> tuple[Any, ...]:
    """Return size and time of change of the files that a reader works on."""
    visit = VisitFolder(root)
    labels = visit.labels_found if visit.labels_found_json.exists() else visit.labels
    stats = [path.stat() if path.exists() else None for path in (visit.ct, visit.pet, labels)]
    return tuple(None if s is None else (s.st_size, s.st_mtime_ns, s.st_ino) for s in stats)


def read_visit_files(root: Path) -> VisitFiles:
    """Read what a reader works on.

    Raises
    ------
    InputRefused
        When the folder is not converted and segmented, has no CT, its labels lie on another grid, or what was found
        before a reader's edits is not kept.
    """
    visit = VisitFolder(root)
    seen = seen_files(root)
    require_readable(root)
    labels, _, as_found = labels_as_found(visit)
    with ThreadPoolExecutor(4) as pool:
        ct, pet = pool.submit(read_nifti, visit.ct), pool.submit(read_converted_pet, visit)
        paths = {"ct_sha256": visit.ct, "pet_sha256": visit.pet, "labels_sha256": labels}
        hashes = {name: pool.submit(sha256, path) for name, path in paths.items()}
        found = read_segmentation(visit, as_found)
        hu, uptake = ct.result(), pet.result()
        digests = {name: digest.result() for name, digest in hashes.items()}
    if not found.labels.grid.same_as(hu.grid, 0.01):
        what = "the labels do not lie on the CT"
        raise InputRefused.of(what, str(labels), "segment the visit again")
    canvas = neck_and_mediastinum(found.labels, found.landmarks_lps_mm.get("carina"))
    return VisitFiles(
        root.resolve().name,
        root,
        hu,
        uptake,
        found,
        visit.pet_json.exists() and read_pet_sidecar(visit).is_suv,
        digests,
        canvas,
        same_place(canvas, uptake.grid),
        _image_numbers(read_json(root / "ct.json") if (root / "ct.json").exists() else {}, canvas),
        seen,
    )


def require_readable(root: Path) -> dict[str, Any]:
    """Return what is said of the labels as found, where a reader can work on a visit.

    Raises
    ------
    InputRefused
        When it is not converted and segmented, has no CT or PET, its labels lie on the PET, or hold a reader's edits
        and those before them are not kept.
    """
    visit = VisitFolder(root)
    if not visit.labels_json.exists():
        raise InputRefused.of("the visit is not segmented", str(root), "run `petflame segment` on it")
    labels, sidecar, _ = labels_as_found(visit)
    document = read_json(sidecar, "run `petflame segment` on the visit folder")
    for path, remedy in (
        (visit.pet, "convert the visit"),
        (visit.ct, "the workbench draws on a CT: review it with `petflame review pack`"),
        (labels, "segment the visit"),
    ):
        if not path.exists():
            raise InputRefused.of(f"{path.name} is missing", str(root), remedy)
    if document.get("reference_grid") != "ct":
        what = "its labels lie on the PET, and the workbench draws on the CT"
        raise InputRefused.of(what, str(sidecar), "review it with `petflame review pack`")
    return document


def _image_numbers(sidecar: dict[str, Any], canvas: Canvas) -> tuple[int, ...] | None:
    """Return the CT's image number for each slice shown; None where the conversion did not keep them."""
    numbers = sidecar.get("image_numbers")
    if not isinstance(numbers, list):
        return None
    # Kept along the slices of the file; those may run from head to foot.
    whole, shown = canvas.whole, canonical_grid(canvas.whole)
    axis = int(np.argmax(np.abs(whole.affine[2, :3]) / np.linalg.norm(whole.affine[:3, :3], axis=0)))
    if len(numbers) != whole.shape[axis] or whole.shape[axis] != shown.shape[2]:
        return None
    ordered = numbers if whole.affine[2, axis] > 0 else numbers[::-1]
    return tuple(ordered[canvas.box[2]])
