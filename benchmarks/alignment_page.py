"""Write docs/alignment.md: how near the shift between PET and CT, and the motion between visits, come to the truth.

    python benchmarks/alignment_page.py [--pairs 12]

Simulated participants move by poses that are known exactly; the real scan of the hybrid study (unpacked reference
data: PETFLAME_REFERENCE_DATA, or .cache/data of the checkout) is displaced by steps that are known exactly.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from dataclasses import replace
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
import pandas as pd

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "tests"))

from pages import table  # noqa: E402

from conftest import reference_root  # noqa: E402
from petflame.anatomy import AORTA, ARTERIES, title  # noqa: E402
from petflame.dicom.convert import convert_visit  # noqa: E402
from petflame.files import read_nifti, write_text  # noqa: E402
from petflame.folders import VisitFolder  # noqa: E402
from petflame.pair.alignment import grade_shift  # noqa: E402
from petflame.pair.following import Scan, follow  # noqa: E402
from petflame.protocol import ComparabilityRules, Limits, PairingRules, Protocol  # noqa: E402
from petflame.segment.body_shift import FARTHEST_MM, body_shift  # noqa: E402
from petflame.segment.pet_ct_shift import LIMIT_MM  # noqa: E402
from petflame.segment.pet_ct_wide import VESSEL_IN_BODY_SD_MM, wide_shift  # noqa: E402
from petflame.segment.product import LARGEST_SD_MM, PetCtShift  # noqa: E402
from petflame.segment.run import segment_visit  # noqa: E402
from petflame.simulate.plan import VisitPlan, plan_trial  # noqa: E402
from petflame.simulate.pose import Pose  # noqa: E402
from petflame.simulate.visit import simulate_visit  # noqa: E402
from petflame.space.grid import Array, Grid, Volume, ras_to_lps  # noqa: E402
from petflame.space.orientation import to_canonical  # noqa: E402

PAGE = ROOT / "docs" / "alignment.md"
SEED = 77
STEPS_MM = ((3.0, 0.0), (0.0, -3.0), (-4.0, 4.0))
COPIES_MM = (3.0, 6.0, 12.0, 20.0)
EXTRA_MM = 12.0
AXES = ("left-right", "front-back", "head-foot")


def mapped(places_mm: Array, before: Pose, after: Pose) -> Array:
    """Where places seen in one pose lie in another; the forward map is inverted by fixed-point steps."""
    reference = places_mm.copy()
    for _ in range(40):
        reference = reference + (places_mm - before.apply(reference))
    return after.apply(reference)


def shift_rows(plan: VisitPlan, scan: Scan, pet: Volume) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    rows = []
    body = body_shift(scan.labels, scan.ct, pet)
    chest = np.concatenate([scan.places(name)[::31] for name in AORTA])
    truth = (mapped(chest, plan.ct_pose, plan.pet_pose) - chest).mean(axis=0)
    whole = {"error_mm": np.subtract(body.lps_mm, truth), "sd_mm": np.array(body.sd_mm), "measured": not body.why}
    for name in ARTERIES:
        places = scan.places(name)[::11]
        truth = (mapped(places, plan.ct_pose, plan.pet_pose) - places).mean(axis=0)[:2]
        found, why = wide_shift(name, scan.labels, scan.ct, pet, body)
        row: dict[str, Any] = {"vessel": name, "true_mm": float(np.hypot(*truth)), "measured": not why}
        if found is not None and not why:
            length_error = found.length_mm - float(np.hypot(*truth))
            row |= {
                "error_mm": float(np.hypot(*np.subtract(found.lps_mm, truth))),
                "length_error_mm": length_error,
                "sd_mm": max(found.sd_mm),
                "within": abs(length_error) <= max(found.sd_mm),
                "within_two": abs(length_error) <= 2 * max(found.sd_mm),
                "exceeds": found.exceeds(LIMIT_MM),
            }
        rows.append(row)
    return rows, whole


def follow_rows(plans: tuple[VisitPlan, VisitPlan], scans: tuple[Scan, Scan]) -> list[dict[str, Any]]:
    start = perf_counter()
    found = follow(*scans, ARTERIES, PairingRules())
    seconds = perf_counter() - start
    rows = []
    for name, way in found.items():
        places = scans[0].places(name)[::11]
        truth = mapped(places, plans[0].ct_pose, plans[1].ct_pose)
        row: dict[str, Any] = {"vessel": name, "refused": way.refused, "seconds": seconds}
        row["moved_mm"] = float(np.linalg.norm(truth - places, axis=1).mean())
        if way.windows:
            errors = np.linalg.norm(way.apply(places) - truth, axis=1)
            row |= {"error_mm": float(errors.mean()), "worst_mm": float(errors.max()), "return_mm": way.return_mm}
        rows.append(row)
    return rows


def simulated(pairs: int) -> tuple[pd.DataFrame, pd.DataFrame, list[dict[str, Any]]]:
    """Every second participant's PET is moved by more than the trial's own misalignment, in all three axes."""
    plans = plan_trial(pairs, SEED).visit_plans
    rng = np.random.default_rng(SEED)
    shifts, follows, bodies = [], [], []
    for n in range(0, 2 * pairs, 2):
        scans = []
        for plan in plans[n : n + 2]:
            extra = rng.uniform(-EXTRA_MM, EXTRA_MM, 3) if n % 4 else np.zeros(3)
            moved = replace(plan, pet_pose=plan.pet_pose.moved(extra))
            visit = simulate_visit(moved, "fast")
            scan = Scan(to_canonical(visit.ct()), to_canonical(visit.label_map()))
            rows, whole = shift_rows(moved, scan, to_canonical(visit.pet()))
            shifts += rows
            bodies.append(whole)
            scans.append(scan)
        follows += follow_rows((plans[n], plans[n + 1]), (scans[0], scans[1]))
        print(f"participant {n // 2 + 1} of {pairs}", flush=True)
    return pd.DataFrame(shifts), pd.DataFrame(follows), bodies


def moved_by(pet: Volume, lps_mm: Array) -> Volume:
    affine = pet.grid.affine.copy()
    affine[:3, 3] += ras_to_lps(lps_mm)
    return Volume(pet.data, Grid(pet.grid.shape, affine))


def copies(data: Path) -> tuple[list[list[str]], Array]:
    """The real chest and its copies moved along each axis: the table's lines, and how far each misses its step, mm."""
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder) / "V"
        source = data / "real_petct_sts037"
        convert_visit(source, root, protocol=Protocol())
        found = segment_visit(root, "seeds", source / "seeds_by_eye.json")
        labels, ct, pet = (
            to_canonical(v) for v in (found.labels, read_nifti(VisitFolder(root).ct), read_nifti(VisitFolder(root).pet))
        )
    plain = np.array(body_shift(labels, ct, pet).lps_mm)
    lines, misses = [], []
    steps = [s * mm * np.eye(3)[axis] for axis in range(3) for mm in COPIES_MM for s in (1.0, -1.0)]
    for step in (np.zeros(3), *steps):
        away = moved_by(pet, step)
        body = body_shift(labels, ct, away)
        shift, _ = wide_shift("aorta_ascending", labels, ct, away, body)
        misses.append(np.subtract(body.lps_mm, plain) - step)
        sd, at = np.array(body.sd_mm), np.array(body.lps_mm)
        z = grade_shift(None if body.z_mm is None else abs(body.z_mm), body.z_sd_mm, LIMITS)
        lines.append([_triple(step, 0), _triple(at), _triple(sd), *_graded(shift), z])
    return lines, np.array(misses[1:])


LIMITS = ComparabilityRules().pet_ct_shift_mm or Limits(passes=2, warns=4)


def _triple(values: Array, digits: int = 1) -> str:
    return ", ".join(f"{v + 0.0:.{digits}f}" for v in values)


def _graded(shift: PetCtShift | None) -> list[str]:
    if shift is None:
        return ["", "not measured"]
    grade = grade_shift(shift.length_mm, max(shift.sd_mm), LIMITS)
    return [f"{shift.length_mm:.1f} ± {max(shift.sd_mm):.1f}", "not measured" if grade == "unknown" else grade]


def real(data: Path) -> pd.DataFrame:
    """The hybrid study: its shift as it is, and how much of a known step on top is found."""
    rows = []
    for visit in ("baseline", "followup"):
        with tempfile.TemporaryDirectory() as folder:
            root = Path(folder) / visit
            convert_visit(data / "hybrid_acrin001" / visit, root, protocol=Protocol())
            found = segment_visit(root, "labels", data / "hybrid_acrin001" / f"truth_labels_{visit}.nii.gz")
            labels, ct, pet = (
                to_canonical(v)
                for v in (found.labels, read_nifti(VisitFolder(root).ct), read_nifti(VisitFolder(root).pet))
            )
        for name in ARTERIES:
            plain, why = wide_shift(name, labels, ct, pet, body_shift(labels, ct, pet))
            if plain is None or why:
                continue
            row: dict[str, Any] = {
                "visit": visit,
                "vessel": name,
                "shift_mm": plain.length_mm,
                "sd_mm": max(plain.sd_mm),
            }
            for step in STEPS_MM:
                away = moved_by(pet, np.array([*step, 0.0]))
                after, why = wide_shift(name, labels, ct, away, body_shift(labels, ct, away))
                if after is not None:
                    gained = np.subtract(after.lps_mm, plain.lps_mm)
                    row[f"{step[0]:g}, {step[1]:g}"] = float(np.hypot(*(gained - step)))
            rows.append(row)
    return pd.DataFrame(rows)


def rms(values: pd.Series) -> str:
    return f"{float(np.sqrt((values.dropna() ** 2).mean())):.2f}"


def page(
    pairs: int,
    found: tuple[pd.DataFrame, pd.DataFrame, list[dict[str, Any]]],
    hybrid: pd.DataFrame,
    moved: tuple[list[list[str]], Array],
) -> str:
    shifts, follows, bodies = found
    by_vessel = [(name, shifts[shifts["vessel"] == name], follows[follows["vessel"] == name]) for name in ARTERIES]
    known = shifts[shifts["measured"].astype(bool)]
    far, truly = known["exceeds"].astype(bool), known["true_mm"] > LIMIT_MM
    wrong, missed = int((far & ~truly).sum()), int((~far & truly).sum())
    shift_table = table(
        "vessel | visits | measured | true shift, mm | error in the plane, RMS mm | error of the length, mean ± SD mm "
        "| claimed SD, mm | length within 1 SD, 2 SD, %",
        [
            [
                title(name),
                str(len(s)),
                str(int(s["measured"].sum())),
                f"{s['true_mm'].min():.1f} to {s['true_mm'].max():.1f}",
                rms(s["error_mm"]),
                f"{s['length_error_mm'].mean():+.2f} ± {s['length_error_mm'].std():.2f}",
                f"{s['sd_mm'].mean():.1f}",
                f"{100 * s['within'].mean():.0f}, {100 * s['within_two'].mean():.0f}",
            ]
            for name, s, _ in by_vessel
        ],
    )
    errors, sds = (np.array([b[key] for b in bodies]) for key in ("error_mm", "sd_mm"))
    body_table = table(
        "axis | visits | error, mean ± SD mm | worst, mm | claimed SD, mm | within 1 SD, 2 SD, %",
        [
            [
                axis,
                str(len(errors)),
                f"{errors[:, n].mean():+.2f} ± {errors[:, n].std():.2f}",
                f"{np.abs(errors[:, n]).max():.1f}",
                f"{sds[:, n].mean():.1f}",
                ", ".join(f"{100 * (np.abs(errors[:, n]) <= k * sds[:, n]).mean():.0f}" for k in (1, 2)),
            ]
            for n, axis in enumerate(AXES)
        ],
    )
    lines, misses = moved
    copy_table = table(
        "step, mm (left, back, head) | body found, mm | SD, mm | ascending aorta, mm | grade | head-foot", lines
    )
    steps = [f"{x:g}, {y:g}" for x, y in STEPS_MM]
    hybrid_table = table(
        "visit | vessel | shift found, mm | SD, mm | " + " | ".join(f"error after a step of {s} mm" for s in steps),
        [
            [
                r["visit"],
                title(r["vessel"]),
                f"{r['shift_mm']:.1f}",
                f"{r['sd_mm']:.1f}",
                *[f"{r[s]:.2f}" for s in steps],
            ]
            for _, r in hybrid.iterrows()
        ],
    )
    follow_table = table(
        "vessel | pairs | trusted | motion, mm | mean error, mm | pairs above 1 mm | worst place, mm",
        [
            [
                title(name),
                str(len(f)),
                str(int((f["refused"] == "").sum())),
                f"{f['moved_mm'].min():.0f} to {f['moved_mm'].max():.0f}",
                f"{f['error_mm'].mean():.2f}",
                str(int((f["error_mm"] > 1.0).sum())),
                f"{f['worst_mm'].max():.1f}",
            ]
            for name, _, f in by_vessel
        ],
    )
    rms_mm, worst_mm = float(np.sqrt((misses**2).mean())), float(np.abs(misses).max())
    return f"""# Alignment

Made by `python benchmarks/alignment_page.py --pairs {pairs}`; every figure on this page is measured by it.

## PET against CT, at one visit

`petflame segment` first measures how far PET and CT lie apart as a whole, in three axes, by body outline, lungs, liver
dome and bones within 60 mm of the arteries (`petflame.segment.body_shift`): every shift of up to {FARTHEST_MM:g} mm an
axis on a lattice of 8 mm, then refined. From there it measures every artery in the axial plane
(`petflame.segment.pet_ct_wide`). Along a vessel that runs head-foot nothing marks a shift: head-foot the body's counts,
and where no lung is in view there is none. The standard deviation comes from how far blocks of voxels disagree (a
sandwich estimate), and what all blocks share is added (1 mm).

A shift known less well than {LARGEST_SD_MM:g} mm is called not measured, which warns and never passes. Where nothing
round a vessel marks a place, the body's shift stands for it, with {VESSEL_IN_BODY_SD_MM:g} mm more of doubt (assumed:
the simulated participants move as one), and can only fail. By default a vessel whose shift exceeds {LIMIT_MM:g} mm by
more than its standard deviation does not count (`pet_ct_mismatch` in the protocol), nor does any vessel where the body
lies more than 10 mm along the bed; when the pair is graded up to 2 mm pass and up to {LIMIT_MM:g} mm warn. The search
of `ivory_assumed_v0`, within 6 mm an axis, is kept beside it (`petflame.segment.pet_ct_local`).

### {pairs} simulated participants, both visits (CT 2.5 x 2.5 x 3 mm, PET 4 x 4 x 3 mm)

The trial's own misalignment, and up to {EXTRA_MM:g} mm an axis more for every second participant.

{shift_table}
Of {len(known)} measured, {wrong} would be called beyond {LIMIT_MM:g} mm and are not; of {int(truly.sum())} that are
beyond it, {missed} would not be called so (a shift must exceed it by its standard deviation).

The body as a whole, against the mean displacement of the aorta:

{body_table}
These participants do not breathe differently in PET and CT; where lungs and liver do, the blocks disagree and the
standard deviation grows.

### A real PET with its CT: a right chest, PET voxels of 5.47 mm

How far the two lie apart is not known; the copies are displaced by known steps. Of the body's shift the step comes back
within {rms_mm:.1f} mm (RMS an axis, worst {worst_mm:.1f} mm). Nothing round the ascending aorta marks a place in so
noisy a PET, so the body's shift stands for it.

{copy_table}
### The hybrid study: a real CT, the reader's regions

{hybrid_table}
The first shift is what is found as it stands; then the PET is displaced by known steps (towards the left, the back).

## Baseline against follow-up

Where the protocol asks (`pairing`), `petflame pair` registers the CT round each vessel from baseline to follow-up
(SimpleITK; a rigid map of chest or neck, then windows of 20 mm along the vessel; `petflame.pair.following`). A map is
refused, with its reason, where the CTs correlate too little, registering there and back misses the start, or the
vessel lands where the follow-up does not have it; landmark and the follow-up's own contours then serve.

{follow_table}
The phantom's neck bends, turns and shifts between visits, and its heart moves with breath; the error is the mean over
the vessel's places. {follows["seconds"].median():.1f} s a pair, five vessels, on one core.
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pairs", type=int, default=12)
    pairs = parser.parse_args().pairs
    data = reference_root()
    if not (data / "hybrid_acrin001").is_dir():
        sys.exit("unpack the reference data first")
    hybrid, moved = real(data), copies(data)
    write_text(PAGE, page(pairs, simulated(pairs), hybrid, moved))
    print(PAGE)


if __name__ == "__main__":
    main()
