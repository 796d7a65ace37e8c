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
from petflame.anatomy import ARTERIES, title  # noqa: E402
from petflame.dicom.convert import convert_visit  # noqa: E402
from petflame.files import read_nifti, write_text  # noqa: E402
from petflame.folders import VisitFolder  # noqa: E402
from petflame.grid import Array, Grid, Volume, ras_to_lps  # noqa: E402
from petflame.pair.following import Scan, follow  # noqa: E402
from petflame.protocol import PairingRules, Protocol  # noqa: E402
from petflame.segment.orientation import to_canonical  # noqa: E402
from petflame.segment.pet_ct_shift import LARGEST_SD_MM, pet_ct_shift  # noqa: E402
from petflame.segment.run import segment_visit  # noqa: E402
from petflame.simulate.plan import VisitPlan, plan_trial  # noqa: E402
from petflame.simulate.pose import Pose  # noqa: E402
from petflame.simulate.visit import simulate_visit  # noqa: E402

PAGE = ROOT / "docs" / "alignment.md"
SEED = 77
VOXEL_MM = 4.0
STEPS_MM = ((3.0, 0.0), (0.0, -3.0), (-4.0, 4.0))


def mapped(places_mm: Array, before: Pose, after: Pose) -> Array:
    """Where places seen in one pose lie in another; the forward map is inverted by fixed-point steps."""
    reference = places_mm.copy()
    for _ in range(40):
        reference = reference + (places_mm - before.apply(reference))
    return after.apply(reference)


def shift_rows(plan: VisitPlan, scan: Scan, pet: Volume) -> list[dict[str, Any]]:
    rows = []
    for name in ARTERIES:
        places = scan.places(name)[::11]
        truth = (mapped(places, plan.ct_pose, plan.pet_pose) - places).mean(axis=0)[:2]
        found = pet_ct_shift(name, scan.labels, scan.ct, pet)
        known = found is not None and max(found.sd_mm) <= LARGEST_SD_MM
        row: dict[str, Any] = {"vessel": name, "true_mm": float(np.hypot(*truth)), "measured": known}
        if known and found is not None:
            row |= {
                "error_mm": float(np.hypot(*np.subtract(found.lps_mm, truth))),
                "length_error_mm": found.length_mm - float(np.hypot(*truth)),
                "exceeds": found.exceeds(VOXEL_MM),
            }
        rows.append(row)
    return rows


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


def simulated(pairs: int) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Every second participant's PET is moved by up to 4 mm more than the trial's own misalignment."""
    plans = plan_trial(pairs, SEED).visit_plans
    rng = np.random.default_rng(SEED)
    shifts, follows = [], []
    for n in range(0, 2 * pairs, 2):
        scans = []
        for plan in plans[n : n + 2]:
            extra = rng.uniform(-4.0, 4.0, 3) * [1.0, 1.0, 0.0] if n % 4 else np.zeros(3)
            moved = replace(plan, pet_pose=plan.pet_pose.moved(extra))
            visit = simulate_visit(moved, "fast")
            scan = Scan(to_canonical(visit.ct()), to_canonical(visit.size.ct.volume(visit.labels)))
            shifts += shift_rows(moved, scan, to_canonical(visit.pet()))
            scans.append(scan)
        follows += follow_rows((plans[n], plans[n + 1]), (scans[0], scans[1]))
        print(f"participant {n // 2 + 1} of {pairs}", flush=True)
    return pd.DataFrame(shifts), pd.DataFrame(follows)


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
            plain = pet_ct_shift(name, labels, ct, pet)
            if plain is None:
                continue
            row: dict[str, Any] = {
                "visit": visit,
                "vessel": name,
                "shift_mm": plain.length_mm,
                "sd_mm": max(plain.sd_mm),
            }
            for step in STEPS_MM:
                affine = pet.grid.affine.copy()
                affine[:2, 3] += ras_to_lps([*step, 0.0])[:2]
                after = pet_ct_shift(name, labels, ct, Volume(pet.data, Grid(pet.grid.shape, affine)))
                if after is not None:
                    gained = np.subtract(after.lps_mm, plain.lps_mm)
                    row[f"{step[0]:g}, {step[1]:g}"] = float(np.hypot(*(gained - step)))
            rows.append(row)
    return pd.DataFrame(rows)


def rms(values: pd.Series) -> str:
    return f"{float(np.sqrt((values.dropna() ** 2).mean())):.2f}"


def page(pairs: int, shifts: pd.DataFrame, follows: pd.DataFrame, hybrid: pd.DataFrame) -> str:
    voxel = VOXEL_MM
    by_vessel = [(name, shifts[shifts["vessel"] == name], follows[follows["vessel"] == name]) for name in ARTERIES]
    known = shifts[shifts["measured"].astype(bool)]
    far, truly = known["exceeds"].astype(bool), known["true_mm"] > voxel
    wrong, missed = int((far & ~truly).sum()), int((~far & truly).sum())
    shift_table = table(
        "vessel | visits | measured | true shift, mm | error in the plane, RMS mm | error of the length, mean ± SD mm",
        [
            [
                title(name),
                str(len(s)),
                str(int(s["measured"].sum())),
                f"{s['true_mm'].min():.1f} to {s['true_mm'].max():.1f}",
                rms(s["error_mm"]),
                f"{s['length_error_mm'].mean():+.2f} ± {s['length_error_mm'].std():.2f}",
            ]
            for name, s, _ in by_vessel
        ],
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
    return f"""# Alignment

Made by `python benchmarks/alignment_page.py --pairs {pairs}`; every figure on this page is measured by it.

## PET against CT, at one visit

`petflame segment` measures how far PET and CT lie apart at every artery, in the axial plane (method and source:
`petflame.segment.pet_ct_shift`). Along a vessel that runs head-foot nothing marks a shift, so none is claimed there.
A shift whose standard deviation exceeds {LARGEST_SD_MM:g} mm is called not measured. By default a vessel whose shift
exceeds a PET voxel by more than its standard deviation does not count (`pet_ct_mismatch` in the protocol), and half a
voxel is a warning when the pair is graded.

### {pairs} simulated participants, both visits (CT 2.5 x 2.5 x 3 mm, PET 4 x 4 x 3 mm)

The trial's own misalignment, and up to 4 mm a side more for every second participant.

{shift_table}
Of {len(known)} measured, {wrong} would be called beyond a voxel ({voxel:g} mm) and are not; of {int(truly.sum())} that
are beyond it, {missed} would not be called so (a shift must exceed the voxel by its standard deviation).

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
    hybrid = real(data)
    shifts, follows = simulated(pairs)
    write_text(PAGE, page(pairs, shifts, follows, hybrid))
    print(PAGE)


if __name__ == "__main__":
    main()
