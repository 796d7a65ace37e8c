"""Print what turning, cropping, storing otherwise, noise and thick slices do to the vessels found in one scan.

    python benchmarks/segmentation_invariance.py CT.nii.gz [--pet PET.nii.gz] [--only roll,noise] [--table FILE.tsv]

Every variant is segmented anew; its labels are carried back, nearest voxel, to the scan as it was given, and held
against what that scan gives. So PET and voxels stay the same, and what differs is the segmentation alone: the PET is
never resampled, which would lower its maxima by itself. Turned variants come twice: as the same voxels with a turned
affine (a scan stored obliquely), and resampled on an upright grid.

Columns: height of both ends (centroid of the lowest and the highest labelled slice, LPS z mm in the frame of the scan
as given), volume, Dice, mean of the axial sections' SUVmax, mean of the blood core (SVC), and whether it is withheld.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import SimpleITK as sitk  # noqa: N813
from scipy import ndimage

from petflame.anatomy import AORTA, BY_NAME
from petflame.errors import PetflameError
from petflame.files import read_nifti
from petflame.labelmap import LabelMap
from petflame.measure.visit import measure
from petflame.protocol import Protocol
from petflame.segment.geometric import GeometricResult, find_vessels
from petflame.segment.geometric.work import AIR_HU, canonical_view
from petflame.segment.product import Segmentation, VesselFinding
from petflame.space.grid import Array, Grid, Volume
from petflame.space.itk import image_of

VESSELS = (*AORTA, "svc")
ROLL_DEG, PITCH_DEG, NOISE_HU = (-10.0, -5.0, 5.0, 10.0), (-5.0, 5.0), (10.0, 20.0, 40.0)
THICKNESS_MM = (1.0, 2.0, 3.0, 4.0, 5.0)
# Below the carina the rule needs the root's level; above it the top margin of the arch.
CROP_MM = 20.0
SIDE_MM = 25.0
IDENTITY = np.eye(4)


@dataclass(frozen=True)
class Variant:
    """A changed scan.

    Attributes
    ----------
    name : str
    ct : Volume
        HU.
    to_given : (4, 4) float array
        From its patient space to that of the scan as given, RAS mm.
    """

    name: str
    ct: Volume
    to_given: Array


def variants(ct: Volume) -> Iterator[tuple[str, Callable[[], Variant]]]:
    """Return the name of every variant and what makes it."""

    def of(name: str, make: Callable[[], Volume], to_given: Array = IDENTITY) -> tuple[str, Callable[[], Variant]]:
        return name, lambda: Variant(name, make(), to_given)

    for axis in range(3):
        yield of(f"storage flip {'ijk'[axis]}", lambda axis=axis: flipped(ct, axis))
    yield of("storage flip ijk", lambda: flipped(flipped(flipped(ct, 0), 1), 2))
    for order in ((1, 2, 0), (2, 0, 1), (1, 0, 2)):
        yield of(f"storage order {''.join('ijk'[a] for a in order)}", lambda order=order: permuted(ct, order))
    middle = ct.grid.to_ras((np.array(ct.grid.shape) - 1) / 2)
    for word, axis, angles in (("roll", 2, ROLL_DEG), ("pitch", 0, PITCH_DEG)):
        for angle in angles:
            turn = about(middle, axis, angle)
            back = np.linalg.inv(turn)
            yield of(f"{word} {angle:+.0f}, affine", lambda t=turn: Volume(ct.data, moved(ct.grid, t)), back)
            yield of(f"{word} {angle:+.0f}, resampled", lambda t=turn: resampled(ct, t), back)
            yield of(f"{word} {angle:+.0f}, oblique grid", lambda t=turn: oblique(ct, t))
    for axis, side, length in ((0, "left and right", SIDE_MM), (1, "front and back", SIDE_MM)):
        yield of(f"crop {side}", lambda axis=axis, n=length: cropped(ct, axis, n, n))
    yield of(f"crop {CROP_MM:.0f} mm below", lambda: cropped(ct, 2, CROP_MM, 0.0))
    yield of(f"crop {CROP_MM:.0f} mm above", lambda: cropped(ct, 2, 0.0, CROP_MM))
    for sd_hu in NOISE_HU:
        yield of(f"noise {sd_hu:.0f} HU", lambda sd=sd_hu: noisy(ct, sd))
    for thick_mm in THICKNESS_MM:
        yield of(f"slices {thick_mm:.0f} mm", lambda t=thick_mm: sliced(ct, t))
    yield of("mirrored anatomy", lambda: Volume(canonical_view(ct).data[::-1], canonical_view(ct).grid))


# What changes a scan -------------------------------------------------------------------------------------------------


def about(middle: Array, axis: int, angle_deg: float) -> Array:
    """Return the turn about an axis through a point, RAS mm: roll is about z (2), pitch about x (0)."""
    c, s = np.cos(np.deg2rad(angle_deg)), np.sin(np.deg2rad(angle_deg))
    turn = np.eye(4)
    a, b = [n for n in range(3) if n != axis]
    turn[a, a], turn[a, b], turn[b, a], turn[b, b] = c, -s, s, c
    turn[:3, 3] = middle - turn[:3, :3] @ middle
    return turn


def moved(grid: Grid, turn: Array) -> Grid:
    return Grid(grid.shape, turn @ grid.affine)


def flipped(ct: Volume, axis: int) -> Volume:
    affine = ct.grid.affine.copy()
    affine[:3, 3] += affine[:3, axis] * (ct.grid.shape[axis] - 1)
    affine[:3, axis] *= -1
    return Volume(np.flip(ct.data, axis), Grid(ct.grid.shape, affine))


def permuted(ct: Volume, order: tuple[int, ...]) -> Volume:
    data = ct.data.transpose(order)
    return Volume(data, Grid(data.shape, ct.grid.affine[:, [*order, 3]].copy()))


def on_grid(ct: Volume, grid: Grid) -> Volume:
    """Interpolate a scan linearly on another grid; beyond it there is air."""
    out = sitk.Resample(
        image_of(Volume(np.asarray(ct.data, np.float32), ct.grid)),
        image_of(Volume(np.zeros(grid.shape, np.uint8), grid)),
        sitk.Transform(),
        sitk.sitkLinear,
        AIR_HU,
    )
    return Volume(np.round(sitk.GetArrayFromImage(out).transpose(2, 1, 0)).astype(np.int16), grid)


def resampled(ct: Volume, turn: Array) -> Volume:
    """Turn the patient and sample him on the grid as given."""
    return on_grid(Volume(ct.data, moved(ct.grid, turn)), ct.grid)


def oblique(ct: Volume, turn: Array) -> Volume:
    """Sample the patient, who stays, on a turned grid."""
    return on_grid(ct, moved(ct.grid, turn))


def cropped(ct: Volume, axis: int, low_mm: float, high_mm: float) -> Volume:
    """Cut from both ends of the axis that points left, posterior or superior (0, 1, 2)."""
    view = canonical_view(ct)
    low, high = (int(mm / view.grid.spacing_mm[axis]) for mm in (low_mm, high_mm))
    box = [slice(None)] * 3
    box[axis] = slice(low, view.grid.shape[axis] - high)
    return view.cropped(tuple(box))


def noisy(ct: Volume, sd_hu: float) -> Volume:
    """Add white noise in the axial plane's own resolution, as filtered backprojection leaves it: correlated."""
    rng = np.random.default_rng(3)
    noise = ndimage.gaussian_filter(rng.standard_normal(ct.data.shape, np.float32), 0.7)
    return Volume(np.round(ct.data + noise * (sd_hu / noise.std())).astype(np.int16), ct.grid)


def sliced(ct: Volume, thick_mm: float) -> Volume:
    """Sample in slices of another thickness: the mean over each slice, or interpolated where they grow thinner."""
    view = canonical_view(ct)
    step = thick_mm / view.grid.spacing_mm[2]
    count = int(view.grid.shape[2] / step)
    fine = max(1, round(4 * step))
    # Each slice is the mean of `fine` interpolated levels across it.
    at = (np.arange(count * fine) + 0.5) * step / fine - 0.5
    low = np.clip(np.floor(at).astype(int), 0, view.grid.shape[2] - 1)
    high = np.clip(low + 1, 0, view.grid.shape[2] - 1)
    share = np.clip(at - low, 0.0, 1.0)
    data = np.empty((*view.grid.shape[:2], count), np.int16)
    for k in range(count):
        use = slice(k * fine, (k + 1) * fine)
        weight = np.zeros(view.grid.shape[2])
        np.add.at(weight, low[use], (1 - share[use]) / fine)
        np.add.at(weight, high[use], share[use] / fine)
        there = np.flatnonzero(weight)
        data[..., k] = np.round(view.data[..., there] @ weight[there])
    grid = view.grid.resampled([0, 0, (step - 1) / 2], [1, 1, step], data.shape)
    return Volume(data, grid)


# What is found in it -------------------------------------------------------------------------------------------------


def carried_back(found: Array, variant: Variant, given: Grid) -> Array:
    """Carry labels from a variant to the scan as given, nearest voxel."""
    matrix = np.linalg.inv(variant.ct.grid.affine) @ np.linalg.inv(variant.to_given) @ given.affine
    return np.asarray(
        ndimage.affine_transform(found, matrix[:3, :3], matrix[:3, 3], given.shape, order=0, mode="constant")
    )


def ends_mm(labels: Array, name: str, variant: Variant) -> tuple[float, float]:
    """Return the height of both ends in the frame of the scan as given, seen in the slices of the variant."""
    view = canonical_view(Volume(labels, variant.ct.grid))
    mask = view.data == BY_NAME[name].label
    k = np.flatnonzero(mask.any(axis=(0, 1)))
    if len(k) == 0:
        return float("nan"), float("nan")
    centres = [np.array([*np.argwhere(mask[..., n]).mean(axis=0), n]) for n in (k[0], k[-1])]
    place = view.grid.to_ras(np.array(centres)) @ variant.to_given[:3, :3].T + variant.to_given[:3, 3]
    return float(place[0, 2]), float(place[1, 2])


def uptake(labels: Array, result: GeometricResult, given: Grid, pet: Volume) -> tuple[dict[str, float], float]:
    """Return every vessel's mean of its sections' SUVmax, and the mean of the blood core."""
    findings = {
        name: VesselFinding("geometric", item.confidence, (), item.centreline_lps_mm)
        for name, item in result.vessels.items()
        if (labels == BY_NAME[name].label).any()
    }
    try:
        found = measure(pet, Segmentation(LabelMap(labels, given), "ct", findings), Protocol(sensitivity=[]))
    except PetflameError:
        return {}, float("nan")
    means = found.slices[found.slices["valid"]].groupby("vessel")["suv_max"].mean()
    pool = found.details["blood_pools"].get("svc", {})
    return means.to_dict(), float(pool.get("suv_mean") or np.nan)


def rows_of(variant: Variant, given: Grid, pet: Volume | None, against: Array | None) -> tuple[list[dict], Array]:
    result = find_vessels(variant.ct)
    back = carried_back(result.labels, variant, given)
    suv_max, blood = ({}, float("nan")) if pet is None else uptake(back, result, given, pet)
    rows = []
    for name in VESSELS:
        finding, number = result.vessels[name], BY_NAME[name].label
        mine = back == number
        row = {"variant": variant.name, "vessel": name}
        row["low_mm"], row["high_mm"] = ends_mm(result.labels, name, variant)
        row["volume_ml"] = float(mine.sum() * given.voxel_volume_mm3 / 1000)
        if against is not None:
            theirs = against == number
            row["dice"] = float(2 * (mine & theirs).sum() / max(mine.sum() + theirs.sum(), 1))
        row["suv_max"] = suv_max.get(name, float("nan"))
        row["blood_suv"] = blood
        row["withheld"] = finding.reason if finding.withheld else ""
        rows.append(row)
    return rows, back


def invariance(ct: Volume, pet: Volume | None, only: tuple[str, ...] = ()) -> pd.DataFrame:
    """Return a row per variant and vessel; differences are from the scan as given.

    Parameters
    ----------
    ct : Volume
        HU.
    pet : Volume or None
        SUV, in the same patient space.
    only : tuple of str
        Names of variants that begin so; empty: all.
    """
    rows, unchanged = rows_of(Variant("as given", ct, IDENTITY), ct.grid, pet, None)
    for name, make in variants(ct):
        if not only or name.startswith(only):
            rows += rows_of(make(), ct.grid, pet, unchanged)[0]
    table = pd.DataFrame(rows)
    first = table[table["variant"] == "as given"].set_index("vessel")
    for column in ("suv_max", "blood_suv"):
        table[f"{column}_percent"] = 100 * (table[column] / table["vessel"].map(first[column]) - 1)
    for column in ("low_mm", "high_mm"):
        table[f"{column[:-3]}_moved_mm"] = table[column] - table["vessel"].map(first[column])
    return table


def worst(table: pd.DataFrame) -> pd.DataFrame:
    """Return the worst of every kind of variant and vessel, of what is not withheld."""
    kind = table["variant"].str.split(" ").str[0] + table["variant"].str.extract(r"(,.*)$", expand=False).fillna("")
    usable = table[(table["withheld"] == "") & (table["variant"] != "as given")].assign(kind=kind)
    return usable.groupby(["vessel", "kind"], sort=False).agg(
        dice=("dice", "min"),
        low_moved_mm=("low_moved_mm", lambda v: float(np.abs(v).max())),
        high_moved_mm=("high_moved_mm", lambda v: float(np.abs(v).max())),
        suv_max_percent=("suv_max_percent", lambda v: float(np.abs(v).max())),
        blood_suv_percent=("blood_suv_percent", lambda v: float(np.abs(v).max())),
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("ct", type=Path, help="CT (NIfTI, HU), or the folder of a converted visit")
    parser.add_argument("--pet", type=Path, help="its PET (NIfTI, SUV)")
    parser.add_argument("--only", default="", help="variants whose names begin so, parted by commas")
    parser.add_argument("--table", type=Path, help="write every row there (tab-separated)")
    options = parser.parse_args()
    folder = options.ct if options.ct.is_dir() else None
    ct = read_nifti(folder / "ct.nii.gz" if folder else options.ct)
    pet = folder / "pet.nii.gz" if folder else options.pet
    only = tuple(name for name in options.only.split(",") if name)
    table = invariance(ct, read_nifti(pet) if pet else None, only)
    shown = table.drop(columns=["suv_max", "blood_suv"]).assign(withheld=table["withheld"].str.slice(0, 60))
    with pd.option_context("display.width", 220, "display.max_rows", None, "display.max_columns", None):
        print(shown.sort_values(["vessel", "variant"], kind="stable").round(2).to_string(index=False))
        print(worst(table).round(2).to_string())
    if options.table:
        table.to_csv(options.table, sep="\t", index=False)


if __name__ == "__main__":
    main()
