"""What each converter does with a folder of DICOM: the image as (z, y, x) and its voxel sizes in that order.

Runs in the peers' own interpreter: `python peers_tools.py TOOL CASES.json`, a line of JSON a case. Imports nothing of
petflame except for petflame's own turn.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import subprocess
import sys
import tempfile
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np

Image = tuple[np.ndarray, tuple[float, ...]]
NODE = """
const {calculateSUVScalingFactors} = require('@cornerstonejs/calculate-suv');
const rows = JSON.parse(require('fs').readFileSync(0, 'utf8'));
console.log(JSON.stringify(calculateSUVScalingFactors(rows)));
"""


def by_petflame(folder: Path, scratch: Path) -> Image:
    from petflame.dicom.convert import convert_visit
    from petflame.files import read_nifti
    from petflame.protocol import ConversionRules, Protocol

    protocol = Protocol(conversion=ConversionRules(tracer="any"))
    convert_visit(folder, scratch / "visit", protocol=protocol, require_suv=True)
    volume = read_nifti(scratch / "visit" / "pet.nii.gz")
    return volume.data.T, tuple(volume.grid.spacing_mm[::-1])


def by_mirp(folder: Path, scratch: Path) -> Image:
    from mirp import extract_images

    made = extract_images(
        image=str(folder), image_modality="pet", pet_suv_conversion="body_weight", image_export_format="native"
    )
    if len(made) != 1:
        raise RuntimeError(f"{len(made)} images")
    image = made[0][0][0]
    return np.asarray(image.image_data), tuple(map(float, image.image_spacing))


def by_zrad(folder: Path, scratch: Path) -> Image:
    import zrad.image

    image = zrad.image.Image.from_dicom(str(folder), "PET")
    return np.asarray(image.array), tuple(map(float, image.spacing[::-1]))


def _sorted_slices(folder: Path) -> list:
    from pydicom import dcmread

    slices = [dcmread(p) for p in sorted(folder.rglob("*")) if p.is_file()]
    return sorted(slices, key=lambda ds: float(ds.ImagePositionPatient[2]))


def by_pysuv(folder: Path, scratch: Path) -> Image:
    import pysuv

    return np.stack([np.squeeze(pysuv.compute_suv(ds)) for ds in _sorted_slices(folder)]), ()


def by_calculate_suv(folder: Path, scratch: Path) -> Image:
    slices = _sorted_slices(folder)
    rows = []
    for ds in slices:
        agent = ds.RadiopharmaceuticalInformationSequence[0]
        row = {k: ds.get(k) for k in ("Units", "DecayCorrection", "SeriesDate", "SeriesTime", "AcquisitionDate")}
        row |= {k: ds.get(k) for k in ("AcquisitionTime", "PatientSex")}
        row["CorrectedImage"] = list(ds.get("CorrectedImage", []))
        for holder, keys in (
            (ds, ("PatientWeight", "PatientSize", "FrameReferenceTime", "ActualFrameDuration")),
            (agent, ("RadionuclideHalfLife", "RadionuclideTotalDose")),
        ):
            row |= {k: float(holder.get(k)) for k in keys if holder.get(k) is not None}
        for k in ("RadiopharmaceuticalStartTime", "RadiopharmaceuticalStartDateTime"):
            row |= {k: str(agent.get(k))} if agent.get(k) else {}
        with contextlib.suppress(KeyError):
            row["GEPrivatePostInjectionDateTime"] = str(ds.private_block(0x0009, "GEMS_PETD_01")[0x0D].value)
        with contextlib.suppress(KeyError):
            block = ds.private_block(0x7053, "Philips PET Private Group")
            names = {"SUVScaleFactor": 0x00, "ActivityConcentrationScaleFactor": 0x09}
            row["PhilipsPETPrivateGroup"] = {n: float(block[e].value) for n, e in names.items() if e in block}
        rows.append({k: v for k, v in row.items() if v is not None})
    ran = subprocess.run(
        ["node", "-e", NODE], input=json.dumps(rows), text=True, capture_output=True, cwd=os.environ["PEERS_NODE"]
    )
    if ran.returncode:
        raise RuntimeError(next((x for x in ran.stderr.splitlines() if "Error" in x), "node failed"))
    factors = [row["suvbw"] for row in json.loads(ran.stdout)]
    images = [s.pixel_array * float(s.RescaleSlope) * f for s, f in zip(slices, factors, strict=True)]
    return np.stack(images), ()


def by_simpleitk(folder: Path, scratch: Path) -> Image:
    import SimpleITK

    reader = SimpleITK.ImageSeriesReader()
    reader.SetFileNames(reader.GetGDCMSeriesFileNames(str(folder)))
    image = reader.Execute()
    return SimpleITK.GetArrayFromImage(image).astype(float), image.GetSpacing()[::-1]


def by_dicom2nifti(folder: Path, scratch: Path) -> Image:
    import dicom2nifti

    dicom2nifti.dicom_series_to_nifti(str(folder), str(scratch / "image.nii.gz"), reorient_nifti=False)
    return _nifti([scratch / "image.nii.gz"])


def by_dcm2niix(folder: Path, scratch: Path) -> Image:
    program = Path(sys.executable).parent / "dcm2niix"
    ran = subprocess.run([program, "-z", "y", "-o", scratch, folder], capture_output=True, text=True)
    if ran.returncode:
        raise RuntimeError(f"exit code {ran.returncode}")
    return _nifti(sorted(scratch.glob("*.nii.gz")))


def _nifti(paths: list[Path]) -> Image:
    import nibabel

    if len(paths) != 1:
        raise RuntimeError(f"{len(paths)} images written")
    image = nibabel.load(paths[0])
    return np.asarray(image.dataobj, float).T, tuple(map(float, image.header.get_zooms()[::-1]))


CONVERTERS: dict[str, Callable[[Path, Path], Image]] = {
    "petflame": by_petflame,
    "MIRP": by_mirp,
    "Z-Rad": by_zrad,
    "pysuv": by_pysuv,
    "calculate-suv": by_calculate_suv,
    "SimpleITK": by_simpleitk,
    "dicom2nifti": by_dicom2nifti,
    "dcm2niix": by_dcm2niix,
}


def work(tool: str, cases: Path) -> None:
    """Convert every case with one tool; a line of JSON each."""
    warnings.simplefilter("ignore")
    logging.disable(logging.CRITICAL)
    stdout, sys.stdout = sys.stdout, sys.stderr
    for case in json.loads(cases.read_text()):
        answer: dict[str, object] = {"name": case["name"]}
        with tempfile.TemporaryDirectory() as scratch:
            try:
                image, spacing = CONVERTERS[tool](Path(case["folder"]), Path(scratch))
                answer |= described(np.asarray(image, float), spacing, case.get("mask"))
            except Exception as error:
                answer["refused"] = f"{type(error).__name__}: {error}"
        print(json.dumps(answer), file=stdout, flush=True)


def described(image: np.ndarray, spacing: tuple[float, ...], mask: str | None) -> dict[str, object]:
    if image.ndim != 3:
        return {"refused": f"an image of {image.ndim} dimensions"}
    inside = image
    if mask:
        chosen = np.load(mask)
        if chosen.shape != image.shape:
            return {"refused": f"shape {image.shape}"}
        inside = image[chosen]
    if not np.isfinite(inside).all():
        return {"refused": "values that are not finite"}
    cold, hot = (np.array(np.unravel_index(f(image), image.shape)) for f in (np.argmin, np.argmax))
    distance = float(np.linalg.norm((hot - cold) * spacing)) if len(spacing) == 3 else None
    values = [float(inside.min()), float(np.median(inside)), float(inside.max())]
    return {"values": values, "shape": sorted(image.shape), "spacing": sorted(spacing), "distance": distance}


if __name__ == "__main__":
    work(sys.argv[1], Path(sys.argv[2]))
