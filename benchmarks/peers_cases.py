"""The cases that converters are put to: SUV reference objects, real headers, a patient, and broken series."""

from __future__ import annotations

import copy
import json
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
from peers_tools import by_petflame
from pydicom import dcmread
from pydicom.dataset import Dataset

from petflame.dicom.clock import parse_time
from petflame.dicom.reference_catalogue import CATALOGUE
from petflame.dicom.reference_objects import SHAPE, ReferenceObject, write_object
from petflame.files import read_nifti

# Objects of the catalogue whose fault is in the volume; the broken series below hold the same ones.
GEOMETRIC = ("tilted", "no_pixel_spacing", "slice_missing", "end_missing")
Change = Callable[[list[Dataset]], list[Dataset]]


def suv_cases(folder: Path, data: Path | None) -> list[dict]:
    cases = []
    for item in CATALOGUE:
        if item.name in GEOMETRIC:
            continue
        write_object(item, folder / item.name)
        want = None if item.refused else [0.2, 1.0, 4.0]
        cases.append(
            {"group": "own", "name": item.name, "about": item.about, "folder": folder / item.name / "PT", "want": want}
        )
    if data is None:
        return cases
    for source in sorted((data / "suv_dro").iterdir()):
        want = [0.1894, 0.9848, 3.9770] if source.name == "DRO_2_3" else [0.2, 1.0, 4.0]
        mask = folder / f"{source.name}.npy"
        np.save(mask, published_mask(source))
        case = {"group": "published", "name": source.name, "about": "published reference object"}
        cases.append({**case, "folder": source / "PT", "want": want, "mask": str(mask)})
    for path in sorted((data / "vendor_headers").glob("*.json")):
        item = vendor_object(path)
        write_object(item, folder / item.name)
        case = {"group": "vendor", "name": item.name, "about": item.about, "folder": folder / item.name / "PT"}
        cases.append({**case, "want": [0.2, 1.0, 4.0]})
    ge = data / "ge_fdg_wholebody_sts001" / "image"
    cases.append(
        {"group": "patient", "name": "STS_001", "about": "GE whole body", "folder": ge, "want": [0.0, None, 66.52]}
    )
    return cases


def published_mask(source: Path) -> np.ndarray:
    """Voxels of the mask, on the PET's grid; (z, y, x)."""

    with tempfile.TemporaryDirectory() as scratch:
        by_petflame(source / "PT", Path(scratch))
        pet = read_nifti(Path(scratch) / "visit" / "pet.nii.gz")
    mask = read_nifti(next(source.rglob("*mask*.nii.gz")))
    at = np.rint(pet.grid.to_ijk(mask.grid.to_ras(np.argwhere(mask.data > 0)))).astype(int)
    chosen = np.zeros(pet.data.shape, bool)
    chosen[tuple(at.T)] = True
    return chosen.T


def vendor_object(path: Path) -> ReferenceObject:
    """Dress the phantom in the header of a real scanner; the truth is the published scan start or private factor."""

    rows = json.loads(path.read_text())
    first, name = rows[0], path.name.removesuffix("-instances.json")
    private = first["PhilipsPETPrivateGroup"]
    late = 45 * 60 + 29.766 if name.startswith("CPS_") else 0.0
    if first["Units"] == "CNTS":
        factor = float(private["SUVScaleFactor"])
    else:
        uptake = parse_time(first["SeriesTime"]) - late - parse_time(first["RadiopharmaceuticalStartTime"])
        life = first["RadionuclideHalfLife"]
        factor = first["PatientWeight"] * 1e3 / first["RadionuclideTotalDose"] * 2 ** (uptake / life)
    changes: dict[str, object] = {}
    for key, value in first.items():
        if key == "PhilipsPETPrivateGroup":
            continue
        place = "agent_" + key if key.startswith("Radio") else key
        changes[place] = value if key.startswith("Radio") else _of_its_slice(rows, key)
    if "RadiopharmaceuticalStartDateTime" not in first:
        changes["agent_RadiopharmaceuticalStartDateTime"] = None
    changes["agent_RadionuclideTotalDose"] = f"{float(first['RadionuclideTotalDose']):.10g}"
    changes["agent_RadionuclideHalfLife"] = f"{float(first['RadionuclideHalfLife']):.10g}"
    maker = next((m for m in ("GE MEDICAL SYSTEMS", "Philips", "SIEMENS") if m.split()[0].upper() in name), "SIEMENS")
    elements = {"SUVScaleFactor": 0x00, "ActivityConcentrationScaleFactor": 0x09}
    return ReferenceObject(
        f"header_{name.lower()}",
        f"header of a {maker.split()[0]} scanner",
        {**changes, "Manufacturer": maker},
        lambda _k, _life: 1.0 / factor,
        private=tuple((0x7053, "Philips PET Private Group", elements[k], "DS", str(v)) for k, v in private.items()),
    )


def _of_its_slice(rows: list[dict], key: str) -> Callable[[int], object]:
    return lambda k: rows[k * len(rows) // SHAPE[0]][key]


def each(change: Callable[[int, Dataset], object]) -> Change:
    def apply(slices: list[Dataset]) -> list[Dataset]:
        for k, ds in enumerate(slices):
            change(k, ds)
        return slices

    return apply


def one(number: int, **changes: object) -> Change:
    """Change one slice."""

    def apply(slices: list[Dataset]) -> list[Dataset]:
        for key, value in changes.items():
            setattr(slices[number], key, value)
        return slices

    return apply


def moved(axis: int, mm: float) -> Change:
    def apply(slices: list[Dataset]) -> list[Dataset]:
        position = list(slices[3].ImagePositionPatient)
        position[axis] += mm
        slices[3].ImagePositionPatient = position
        return slices

    return apply


def doubled(**changes: object) -> Change:
    """Add a changed copy of every slice."""
    return lambda s: [*s, *(_with(ds, k, changes) for k, ds in enumerate(s))]


def turned(cosines: Callable[[int], list[float]]) -> Change:
    return each(lambda k, ds: setattr(ds, "ImageOrientationPatient", cosines(k)))


SHEARED = [1, 0, 0, 0, 0.965925826, 0.258819045]
LATER = {"AcquisitionTime": "111500", "FrameReferenceTime": "900000"}
OTHER = {"SeriesInstanceUID": "2.25.9", "SeriesNumber": 9, "ReconstructionMethod": "OSEM"}
# Name: what it is, whether a right volume exists, how it is made.
HAZARDS: dict[str, tuple[str, bool, Change]] = {
    "as it should be": ("eight slices", True, lambda s: s),
    "order of files": (
        "file names and instance numbers shuffled",
        True,
        lambda s: [s[k] for k in (5, 1, 7, 0, 2, 6, 4, 3)],
    ),
    "same image twice": ("one file copied", True, lambda s: [*s, s[2]]),
    "orientation noise": ("direction cosines differ by 1e-5", True, turned(lambda k: [1, 1e-5 * k, 0, 0, 1, 0])),
    "first slope 1": ("RescaleSlope 1 in the first slice", True, lambda s: s),
    "slice missing": ("one in the middle", False, lambda s: s[:3] + s[4:]),
    "end missing": ("the last one; NumberOfSlices tells", False, lambda s: s[:-1]),
    "duplicate position": (
        "another image at the place of one",
        False,
        lambda s: [*s, _with(s[2], 2, {"PixelData": s[5].PixelData})],
    ),
    "two frames": ("a second time frame in the series", False, doubled(**LATER)),
    "two series": ("two reconstructions in one folder", False, doubled(**OTHER)),
    "tilt": ("slices sheared by 15 degrees", False, turned(lambda k: SHEARED)),
    "truncated": ("one file cut short", False, lambda s: s),
    "no PixelSpacing": ("absent from every slice", False, each(lambda k, ds: delattr(ds, "PixelSpacing"))),
    "mixed matrix": ("one slice of another size", False, one(2, Rows=14, Columns=12)),
    "uneven distance": ("one slice moved by 1.2 mm", False, moved(2, 1.2)),
    "pushed sideways": ("one slice moved by 8 mm in its plane", False, moved(0, 8.0)),
    "two patients": ("one slice of another patient", False, one(4, PatientID="B")),
}


def _with(ds: Dataset, k: int, changes: dict[str, object]) -> Dataset:
    other = copy.deepcopy(ds)
    other.SOPInstanceUID = f"2.25.77.{k}"
    for key, value in changes.items():
        setattr(other, key, value)
    return other


def hazard_cases(folder: Path) -> list[dict]:

    items = {c.name: c for c in CATALOGUE}
    cases = []
    for name, (about, possible, make) in HAZARDS.items():
        item = items["first_slope_one" if name == "first slope 1" else "bqml_start"]
        write_object(item, folder / "plain" / name)
        slices = make([dcmread(p) for p in sorted((folder / "plain" / name / "PT").iterdir())])
        target = folder / name.replace(" ", "_")
        target.mkdir()
        for n, ds in enumerate(slices):
            if name == "order of files":
                ds.InstanceNumber = n + 1
            ds.save_as(target / f"{n:03d}.dcm", enforce_file_format=True)
        if name == "truncated":
            (target / "003.dcm").write_bytes((target / "003.dcm").read_bytes()[:-100])
        cases.append(
            {
                "group": "hazard",
                "name": name,
                "about": about,
                "folder": target,
                "want": [0.2, 1.0, 4.0] if possible else None,
            }
        )
    return cases
