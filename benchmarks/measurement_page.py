"""Write docs/measurement.md and its figures: what is measured against what is true.

    python benchmarks/measurement_page.py --results results/trial [--participants 12]

The section on readings of the blood is that of `blood_estimators.py`, from its table.

Needs the unpacked reference data (PETFLAME_REFERENCE_DATA, or .cache/data of the checkout) for the hybrid study, and a
finished run of the embedded trial for the figure of every way of measuring.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "tests"))

import blood_estimators  # noqa: E402
from pages import table  # noqa: E402

from conftest import reference_root  # noqa: E402
from petflame.anatomy import ARTERIES, title  # noqa: E402
from petflame.dicom.convert import convert_visit  # noqa: E402
from petflame.files import read_tsv, write_text  # noqa: E402
from petflame.folders import PairFolder, StudyOut, VisitFolder  # noqa: E402
from petflame.measure.folder import measure_visit  # noqa: E402
from petflame.measure.visit import measure  # noqa: E402
from petflame.pair.run import pair_visits  # noqa: E402
from petflame.protocol import Protocol, load_protocol  # noqa: E402
from petflame.report.multiverse import multiverse, specifications  # noqa: E402
from petflame.report.page import TEMPLATES  # noqa: E402
from petflame.segment.labelmaps import describe  # noqa: E402
from petflame.segment.run import segment_visit  # noqa: E402
from petflame.simulate.plan import plan_trial  # noqa: E402
from petflame.simulate.truth import measured  # noqa: E402
from petflame.simulate.visit import simulate_visit  # noqa: E402

PAGE, FIGURES = ROOT / "docs" / "measurement.md", ROOT / "docs" / "figures"
VISITS = ("baseline", "followup")
REFERENCE = ROOT / "config" / "protocols" / "reference.yaml"
SEED = 77
COLOURS = {"baseline": "#4a5a6b", "followup": "#a3281f"}


def hybrid_run(data: Path, pattern: str, protocol: Protocol, root: Path) -> tuple[Path, ...]:
    """Convert, segment by the given labels, measure and pair the hybrid study; both visits' folders and the pair's."""
    folders = []
    for visit in VISITS:
        folder = root / visit
        convert_visit(data / visit, folder, protocol=protocol)
        segment_visit(folder, "labels", data / pattern.format(visit))
        measure_visit(folder, protocol)
        folders.append(folder)
    pair_visits(folders[0], folders[1], root / "pair", "H001", protocol)
    return folders[0], folders[1], root / "pair"


def hybrid_table(pair: Path, truth: dict[str, Any]) -> str:
    found = read_tsv(PairFolder(pair).vessels).set_index("vessel")
    rows = []
    for vessel in ARTERIES:
        want = [truth[v]["vessels"][vessel]["as_written"]["mean_tbr_max"] for v in VISITS]
        got = [float(found.loc[vessel, f"tbr_max_{v}"]) for v in VISITS]
        change, true_change = (100 * (b / a - 1) for a, b in (got, want))
        cells = [f"{x:.3f}" for pair_ in zip(want, got, strict=True) for x in pair_]
        errors = [f"{100 * (g / w - 1):+.2f}" for w, g in zip(want, got, strict=True)]
        rows.append(
            [
                *(title(vessel), *cells[:2], errors[0], *cells[2:], errors[1]),
                *(f"{v:+.2f}" for v in (true_change, change, change - true_change)),
            ]
        )
    visits = "baseline, true | found | error, % | follow-up, true | found | error, %"
    return table(f"vessel | {visits} | change, true % | found % | points", rows)


def node_row(data: Path, truth: dict[str, Any]) -> str:
    """The left carotid beside the hot node at follow-up, under every rule for neighbours."""
    want = truth["followup"]["vessels"]["carotid_left"]["as_written"]
    rows = []
    for grid, pattern, background in (
        ("PET", "truth_labels_pet_{}.nii.gz", {"core": "as_given"}),
        ("CT", "truth_labels_{}.nii.gz", {}),
    ):
        for rule in ("flag", "exclude_sections"):
            protocol = Protocol(spill_in={"rule": rule}, background=background, sensitivity=[])
            with tempfile.TemporaryDirectory() as folder:
                *_, pair = hybrid_run(data, pattern, protocol, Path(folder))
                row = read_tsv(PairFolder(pair).vessels).set_index("vessel").loc["carotid_left"]
            level, sections = float(row["tbr_max_followup"]), f"{row['sections_baseline']}, {row['sections_followup']}"
            true = want["mean_tbr_max_without_node_slices" if rule != "flag" else "mean_tbr_max"]
            error = f"{100 * (level / true - 1):+.2f}"
            rows.append([grid, rule.replace("_", " "), sections, f"{true:.3f}", f"{level:.3f}", error])
    return table("labels | rule | valid sections, both visits | true follow-up level | found | error, %", rows)


def draw_profiles(folders: tuple[Path, ...], truth: dict[str, Any], path: Path) -> None:
    """TBRmax of every section along each vessel at both visits, and the truth of the same slices."""
    import matplotlib

    matplotlib.use("svg")
    matplotlib.rcParams |= {"svg.hashsalt": "petflame", "font.size": 8, "axes.spines.top": False}
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(1, len(ARTERIES), figsize=(13, 2.9), sharey=True, constrained_layout=True)
    for axis, vessel in zip(axes, ARTERIES, strict=True):
        for visit, folder in zip(VISITS, folders, strict=False):
            slices = read_tsv(VisitFolder(folder).slices)
            own = slices[slices["vessel"] == vessel].sort_values("z_mm")
            foot = own["z_mm"].min()
            axis.plot(own["z_mm"] - foot, own["tbr_max"], color=COLOURS[visit], linewidth=1.2, label=f"{visit}, found")
            true = truth[visit]["vessels"][vessel]
            z = [s["z"] for s in true["slices"]]
            tbr = [s["as_written"]["tbr_max"] for s in true["slices"]]
            axis.plot(np.subtract(z, foot), tbr, ".", color=COLOURS[visit], markersize=3.5, label=f"{visit}, true")
            doubtful = own[own["reason"].notna()]
            axis.plot(doubtful["z_mm"] - foot, doubtful["tbr_max"], "o", mfc="none", mec="#8a5a00", markersize=6)
        axis.axhline(2.0, color="#8a94a1", linewidth=0.7, linestyle="--")
        axis.set_title(title(vessel), fontsize=9, loc="left")
        axis.set_xlabel("mm from the lowest section")
        axis.spines["right"].set_visible(False)
    axes[0].set_ylabel("TBRmax")
    axes[0].legend(frameon=False, fontsize=7)
    figure.savefig(path, metadata={"Date": None, "Creator": None})
    plt.close(figure)


def simulated(participants: int) -> pd.DataFrame:
    """Simulated participants measured in the labels of a careful reader on the CT: found and true levels."""
    rows = []
    plans = plan_trial(participants, SEED).visit_plans
    for number, plan in enumerate(plans):
        visit = simulate_visit(plan, "fast")
        true = measured(visit.pet_suv, visit.truth_labels, visit.size.pet)["vessels"]
        labels = describe(visit.label_map(), "ct", "labels", {}, {})
        found = measure(visit.pet(), labels, Protocol(sensitivity=[]), ct=visit.ct()).vessels.set_index("vessel")
        rows += [
            {
                "participant": plan.participant_id,
                "visit": plan.visit,
                "vessel": vessel,
                "true": true[vessel]["mean_tbr_max"],
                "found": float(found.loc[vessel, "mean_tbr_max"]),
            }
            for vessel in ARTERIES
        ]
        print(f"visit {number + 1} of {len(plans)}", flush=True)
    return pd.DataFrame(rows)


def simulated_table(found: pd.DataFrame) -> str:
    wide = found.pivot_table(index=["participant", "vessel"], columns="visit", values=["true", "found"])
    rows = []
    for vessel in ARTERIES:
        own = found[found["vessel"] == vessel]
        level = 100 * (own["found"] / own["true"] - 1)
        both = wide.xs(vessel, level="vessel")
        change = {k: 100 * (both[k]["followup"] / both[k]["baseline"] - 1) for k in ("true", "found")}
        off = change["found"] - change["true"]
        drift = (both["found"]["followup"] - both["true"]["followup"]) - (
            both["found"]["baseline"] - both["true"]["baseline"]
        )
        rows.append(
            [
                title(vessel),
                str(len(own)),
                f"{level.mean():+.2f} ± {level.std():.2f}",
                str(len(off)),
                f"{off.mean():+.2f} ± {off.std():.2f}",
                f"{drift.mean():+.4f} ± {drift.std() / len(drift) ** 0.5:.4f}",
            ]
        )
    return table(
        "vessel | visits | error of level, mean ± SD % | pairs | error of change, mean ± SD points | "
        "bias of the paired difference ± SE, TBR",
        rows,
    )


def draw_multiverse(results: Path, path: Path) -> int:
    """Write the report's own figure as a file of its own; the number of ways in it."""
    arms = json.loads(StudyOut(results).arms.read_text(encoding="utf-8"))
    found = specifications(arms, load_protocol(None))
    style = (TEMPLATES / "style.css").read_text(encoding="utf-8")
    drawing = str(multiverse(found))
    head, rest = drawing.split(">", 1)
    head = head.replace("<svg", '<svg xmlns="http://www.w3.org/2000/svg" font-family="sans-serif" font-size="13"')
    write_text(path, f'{head}><style>{style}</style><rect width="100%" height="100%" fill="#fff"/>{rest}\n')
    return len(found)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--results", type=Path, required=True, help="finished run of the embedded trial")
    parser.add_argument("--participants", type=int, default=12)
    options = parser.parse_args()
    data = reference_root() / "hybrid_acrin001"
    if not data.is_dir():
        sys.exit("unpack the reference data first")
    truth = {v["name"]: v for v in json.loads((data / "truth.json").read_text())["visits"]}
    FIGURES.mkdir(parents=True, exist_ok=True)
    tables = []
    for pattern, protocol in (
        ("truth_labels_pet_{}.nii.gz", load_protocol(REFERENCE)),
        ("truth_labels_{}.nii.gz", Protocol()),
    ):
        with tempfile.TemporaryDirectory() as folder:
            *visits, pair = hybrid_run(data, pattern, protocol, Path(folder))
            tables.append(hybrid_table(pair, truth))
            if "pet" not in pattern:
                draw_profiles(tuple(visits), truth, FIGURES / "profiles.svg")
    node = node_row(data, truth)
    ways = draw_multiverse(options.results, FIGURES / "multiverse.svg")
    found = simulated(options.participants)
    write_text(
        PAGE,
        f"""# Measured against the truth

Made by `python benchmarks/measurement_page.py --results RESULTS --participants {options.participants}`; every figure on
this page is measured by it.

## The hybrid study: uptake painted on a real CT

Mean TBRmax of every vessel, against the truth of the slices as they were written.

Labels on the PET grid that bring their blood pools (`config/protocols/reference.yaml`):

{tables[0]}
Labels on the CT grid, as a reader draws them (`config/protocols/ivory.yaml`):

{tables[1]}
A hot node lies beside the left carotid at follow-up. The protocol flags it or leaves the same sections out at both
visits; the true level is that of all slices, or of those away from the node:

{node}
![TBRmax along each vessel at both visits](figures/profiles.svg)

Lines: found in the labels on the CT grid; dots: true, of the same axial slices. Circles: sections with a reason code
(`slices.tsv`), which under this protocol count unless `valid` says otherwise. Dashed: the threshold of an active
section.

## Simulated participants, labels on the CT grid

{options.participants} participants, both visits (CT 2.5 x 2.5 x 3 mm, PET 4 x 4 x 3 mm, noise and misalignment of PET
and CT included); a careful reader's labels on the CT, the truth from the phantom's own regions at the PET's position.
The same with vessels that petflame finds itself stands in [segmentation.md](segmentation.md).

{simulated_table(found)}
{blood_estimators.section(pd.read_csv(blood_estimators.TABLE, sep=chr(9)))}
## Every way of measuring

The embedded trial under {ways} ways of measuring the same scans (`sensitivity:` in the protocol, and the other
selections of sections): the report's own figure.

![The effect under every way of measuring, and the choices behind each](figures/multiverse.svg)
""",
    )
    print(PAGE)


if __name__ == "__main__":
    main()
