"""The one product of every segmentation method: a label map and what is known about each vessel."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np

from petflame.anatomy import BY_NAME
from petflame.errors import FaultList, InputRefused
from petflame.files import read_json, read_nifti, write_json, write_nifti
from petflame.folders import VisitFolder
from petflame.labelmap import LabelMap, read_as_labels
from petflame.segment.stretches import Stretch, stretches_of
from petflame.space.grid import Array
from petflame.space.polyline import arc_length_mm

FORMAT = "petflame-labels/1"
# A shift known less well than this says only whether PET and CT lie far apart: half the way from no shift to the limit
# of 4 mm (measurement definitions, section 6).
LARGEST_SD_MM = 2.0
# How far along each axis a vessel's shift is looked for: from the body's own shift (farther from it no vessel lies:
# necks turn, vessels beat and breathe, by millimetres), and from where the CT has the vessel.
WIDE_SEARCH_MM, LOCAL_SEARCH_MM = 15.0, 6.0
# Behind the method of a vessel that a reader has accepted.
ACCEPTED = ", accepted by a reader"
# Checks of a jugular vein's uptake, and of the superior vena cava's.
POOL_CHECKS = ("blood like the cava's", "blood like the other side's", "even uptake", "hot neighbour")
CAVA_POOL_CHECKS = ("blood uptake", "blood like the aorta's", "one blood along it")


@dataclass(frozen=True)
class Check:
    """One check of a vessel.

    Attributes
    ----------
    name : str
    passed : bool
    message : str
        What was found, with figures and units.
    """

    name: str
    passed: bool
    message: str


@dataclass(frozen=True)
class PetCtShift:
    """Where the PET shows a vessel, less where the CT shows it, in the axial plane.

    Attributes
    ----------
    lps_mm : (float, float)
        Towards the patient's left and back.
    sd_mm : (float, float)
        Standard deviation of each.
    """

    lps_mm: tuple[float, float]
    sd_mm: tuple[float, float]

    @property
    def length_mm(self) -> float:
        """How far the two lie apart."""
        return float(np.hypot(*self.lps_mm))

    @property
    def is_known(self) -> bool:
        """Whether it is known well enough to be called measured."""
        return max(self.sd_mm) <= LARGEST_SD_MM

    def exceeds(self, limit_mm: float) -> bool:
        """Whether it goes beyond a limit by more than its standard deviation.

        >>> PetCtShift((0.0, 5.0), (0.9, 0.9)).exceeds(4.0), PetCtShift((0.0, 4.5), (0.9, 0.9)).exceeds(4.0)
        (True, False)
        """
        return self.length_mm - max(self.sd_mm) > limit_mm


@dataclass(frozen=True)
class BodyShift:
    """Where the PET shows the body, less where the CT shows it.

    Attributes
    ----------
    lps_mm : (float, float, float) or None
        Towards the patient's left, back and head; None where nothing marks it.
    sd_mm : (float, float, float) or None
        Standard deviation of each.
    why : str
        Why it is not measured, or not head-foot; empty where it is.
    """

    lps_mm: tuple[float, float, float] | None
    sd_mm: tuple[float, float, float] | None
    why: str = ""

    @property
    def z_mm(self) -> float | None:
        """How far towards the head; None where that is not measured."""
        return None if self.lps_mm is None or self.why else self.lps_mm[2]

    @property
    def z_sd_mm(self) -> float | None:
        """Its standard deviation."""
        return None if self.sd_mm is None or self.why else self.sd_mm[2]


@dataclass(frozen=True, eq=False)
class VesselFinding:
    """What a segmentation says about one vessel.

    Attributes
    ----------
    method : str
        Maker of this vessel's region, such as 'labels', 'geometric' or 'seeds'.
    confidence : float or None
        0 to 1; None where the maker is a reader.
    checks : tuple of Check
    centreline_lps_mm : (n, 3) array
        From the heart outwards for arteries, from the head downwards for veins; n = 0 where nothing was found.
    withheld : bool
        The vessel needs a reader before it may enter the primary endpoint.
    reason : str
        Why it is withheld, or empty.
    pet_ct_shift : PetCtShift or None
        None where it could not be measured, and for regions drawn on the PET.
    pet_ct_shift_local : PetCtShift or None
        The same, looked for within 6 mm an axis only, for protocols that ask for it.
    prefilled : bool
        The reader's points began from those of the participant's other visit, confirmed or moved or not.
    start_lps_mm : (float, float, float) or None
        Where such a vessel usually lies low in this neck, for a reader who has to find it; None elsewhere.
    """

    method: str
    confidence: float | None
    checks: tuple[Check, ...]
    centreline_lps_mm: Array
    withheld: bool = False
    reason: str = ""
    pet_ct_shift: PetCtShift | None = None
    pet_ct_shift_local: PetCtShift | None = None
    prefilled: bool = False
    start_lps_mm: tuple[float, float, float] | None = None

    @property
    def arc_mm(self) -> Array:
        """Distance of each centreline point from the first, shape (n,)."""
        return arc_length_mm(self.centreline_lps_mm)

    @property
    def pool_doubts(self) -> list[str]:
        """The failed checks of a vein's uptake, in words."""
        wanted = (*POOL_CHECKS, *CAVA_POOL_CHECKS)
        return [f"{c.name}: {c.message}" for c in self.checks if c.name in wanted and not c.passed]


@dataclass(frozen=True, eq=False)
class Segmentation:
    """Label map, vessels, landmarks and where they came from.

    Attributes
    ----------
    labels : LabelMap
        On the CT grid or, where a reader drew there, on the PET grid.
    reference : {'ct', 'pet'}
        The grid that the labels lie on.
    vessels : dict
        Finding of every artery and blood pool, found or not.
    landmarks_lps_mm : dict
        Name to (x, y, z), LPS mm.
    provenance : dict
        Method, source hashes, options.
    warnings : tuple of str
    doubts : tuple of str
        Those of the warnings that say that the regions may not be what they seem; the trial's tables hold them.
    body_shift : BodyShift or None
        None where none was looked for: regions drawn on the PET, or no CT.
    left_out : tuple of Stretch
        What a finished read leaves out of the measurement.
    """

    labels: LabelMap
    reference: Literal["ct", "pet"]
    vessels: dict[str, VesselFinding]
    landmarks_lps_mm: dict[str, tuple[float, float, float]] = field(default_factory=dict)
    provenance: dict[str, Any] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()
    doubts: tuple[str, ...] = ()
    body_shift: BodyShift | None = None
    left_out: tuple[Stretch, ...] = ()


def _files(visit: VisitFolder, as_found: bool) -> tuple[Path, Path]:
    return (visit.labels_found, visit.labels_found_json) if as_found else (visit.labels, visit.labels_json)


def write_segmentation(segmentation: Segmentation, visit: VisitFolder, as_found: bool = False) -> None:
    """Write ``labels.nii.gz`` and ``labels.json`` into a visit folder; the sidecar comes last.

    Parameters
    ----------
    segmentation : Segmentation
    visit : VisitFolder
    as_found : bool
        Write ``labels_found.nii.gz`` and ``labels_found.json`` instead: what edits will be put on.
    """
    labels, sidecar = _files(visit, as_found)
    write_nifti(labels, segmentation.labels, "petflame labels")
    document = {
        "format": FORMAT,
        "reference_grid": segmentation.reference,
        "labels": {name: BY_NAME[name].label for name in segmentation.labels.boxes},
        "landmarks_lps_mm": segmentation.landmarks_lps_mm,
        "warnings": segmentation.warnings,
        "doubts": segmentation.doubts,
        "pet_ct_body_shift": _body(segmentation.body_shift),
        "vessels": {
            name: {
                "method": finding.method,
                "confidence": finding.confidence,
                "withheld": finding.withheld,
                "reason": finding.reason,
                "checks": [vars(check) for check in finding.checks],
                "centreline_lps_mm": np.round(finding.centreline_lps_mm, 3),
                "pet_ct_shift": _rounded(finding.pet_ct_shift),
                "pet_ct_shift_local": _rounded(finding.pet_ct_shift_local),
                "prefilled": finding.prefilled,
            }
            | ({} if finding.start_lps_mm is None else {"start_lps_mm": np.round(finding.start_lps_mm, 1)})
            for name, finding in segmentation.vessels.items()
        },
        "left_out": [vars(stretch) for stretch in segmentation.left_out],
        "provenance": segmentation.provenance,
    }
    write_json(sidecar, document)


def _rounded(shift: PetCtShift | None) -> dict[str, list[float]] | None:
    return None if shift is None else {key: [round(v, 3) for v in pair] for key, pair in vars(shift).items()}


def _shift(kept: dict[str, list[float]] | None) -> PetCtShift | None:
    if kept is None:
        return None
    x, y = kept["lps_mm"]
    sd_x, sd_y = kept["sd_mm"]
    return PetCtShift((x, y), (sd_x, sd_y))


def _place(kept: list[float] | None) -> tuple[float, float, float] | None:
    if kept is None:
        return None
    x, y, z = map(float, kept)
    return x, y, z


def _body(shift: BodyShift | None) -> dict[str, Any] | None:
    if shift is None:
        return None
    rounded = {key: None if v is None else [round(x, 3) for x in v] for key, v in vars(shift).items() if key != "why"}
    return {**rounded, "why": shift.why}


def _body_read(kept: dict[str, Any] | None) -> BodyShift | None:
    if kept is None:
        return None
    lps, sd = (None if kept[key] is None else (*map(float, kept[key]),) for key in ("lps_mm", "sd_mm"))
    return BodyShift(lps, sd, str(kept["why"]))  # type: ignore[arg-type]


def findings_in(document: Mapping[str, Any]) -> dict[str, VesselFinding]:
    """Return what a ``labels.json`` says of each vessel."""
    return {
        name: VesselFinding(
            item["method"],
            item["confidence"],
            tuple(Check(**check) for check in item["checks"]),
            np.asarray(item["centreline_lps_mm"], float).reshape(-1, 3),
            item["withheld"],
            item["reason"],
            _shift(item.get("pet_ct_shift")),
            _shift(item.get("pet_ct_shift_local")),
            item.get("prefilled", False),
            _place(item.get("start_lps_mm")),
        )
        for name, item in document["vessels"].items()
    }


def read_segmentation(visit: VisitFolder, as_found: bool = False) -> Segmentation:
    """Read what `write_segmentation` wrote.

    Raises
    ------
    InputRefused
        When a file is absent or does not hold a segmentation.
    """
    remedy = "run `petflame segment` on the visit folder"
    labels, sidecar = _files(visit, as_found)
    document = read_json(sidecar, remedy)
    if document.get("format") != FORMAT:
        raise InputRefused.of(f"its format is {document.get('format')!r}", str(sidecar), remedy)
    faults = FaultList()
    left_out = stretches_of(document.get("left_out", ()), str(sidecar), faults)
    faults.raise_if_any()
    vessels = findings_in(document)
    landmarks = {k: (float(v[0]), float(v[1]), float(v[2])) for k, v in document["landmarks_lps_mm"].items()}
    return Segmentation(
        read_as_labels(read_nifti(labels, remedy), str(labels), remedy),
        document["reference_grid"],
        vessels,
        landmarks,
        document["provenance"],
        tuple(document["warnings"]),
        tuple(document.get("doubts", ())),
        _body_read(document.get("pet_ct_body_shift")),
        left_out,
    )
