"""The blood's uptake read by its veins' cores and by a model, against the truth; and what that is worth in patients.

Simulated participants without treatment, both visits, measured in a careful reader's labels on the CT with the PET-CT
shift that `petflame segment` finds, and the hybrid study in its own labels. Every visit is read as the protocol does
(core), by the model of the same veins, and by the model of all veins.

    python benchmarks/blood_estimators.py [--pairs 48] [--size fast] [--redraw]

Writes docs/figures/blood_estimators.tsv and .svg; a visit that stands in the TSV is not made again. The section of
docs/measurement.md is made of them. The hybrid study needs PETFLAME_REFERENCE_DATA, or .cache/data of the checkout.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "tests"))

from pages import table  # noqa: E402

from conftest import reference_root  # noqa: E402
from petflame.anatomy import TARGET_VESSELS  # noqa: E402
from petflame.dicom.convert import convert_visit  # noqa: E402
from petflame.files import write_text, write_tsv  # noqa: E402
from petflame.measure.folder import read_images  # noqa: E402
from petflame.measure.images import VisitImages  # noqa: E402
from petflame.measure.visit import measure_images  # noqa: E402
from petflame.protocol import Protocol  # noqa: E402
from petflame.segment.labelmaps import describe  # noqa: E402
from petflame.segment.pet_ct_shift import check_pet_ct_shift  # noqa: E402
from petflame.segment.run import segment_visit  # noqa: E402
from petflame.simulate.plan import VisitPlan, plan_trial  # noqa: E402
from petflame.simulate.visit import simulate_visit  # noqa: E402
from petflame.trial.design.sample_size import sample_size_per_arm  # noqa: E402
from petflame.trial.reliability import icc  # noqa: E402

PAGE, TABLE = ROOT / "docs" / "measurement.md", ROOT / "docs" / "figures" / "blood_estimators.tsv"
BEGIN, END = "<!-- blood estimators: begin -->", "<!-- blood estimators: end -->"
VISITS = ("baseline", "followup")
READINGS = {"core_mean": "core", "modelled": "modelled", "modelled_pooled": "modelled, all veins"}
TITLES = {"true": "the true blood"} | READINGS
VEINS_OF = {"aorta_ascending": "superior vena cava", "carotid_right": "jugular veins"}
COLUMNS = {
    "study": ("simulated or hybrid", ""),
    "participant": ("participant", ""),
    "visit": ("baseline or followup", ""),
    "vessel": ("artery", ""),
    "reading": ("reading of the blood; true: what was painted", ""),
    "blood_suv": ("blood pool of the artery", "g/mL"),
    "blood_se_suv": ("its standard error", "g/mL"),
    "true_blood_suv": ("uptake of blood that was painted", "g/mL"),
    "mean_tbr_max": ("mean TBRmax of the artery over this blood", "ratio"),
    "pool": ("veins of the pool", ""),
}
SEED, DRAWS = 77, 4000
# IVORY, AHA 2024 abstract 4144964: the difference, the residual SD it implies, the control mean at follow-up.
EFFECT, RESIDUAL_SD, CONTROL_MEAN = 0.171, 0.257, 2.22


def read_every_way(images: VisitImages, true_suv: float, **named: str) -> list[dict[str, object]]:
    """Rows of one visit: every target vessel under every reading of the blood, and over the true blood."""
    rows = []
    for reading in READINGS:
        protocol = Protocol(background={"reading": reading}, sensitivity=[])
        vessels = measure_images(images, protocol, arteries=TARGET_VESSELS, with_areas=False).vessels
        for _, row in vessels[vessels["vessel"].isin(TARGET_VESSELS)].iterrows():
            own = {**named, "vessel": row["vessel"], "true_blood_suv": true_suv}
            found = {"blood_suv": row["background_suv"], "blood_se_suv": row["background_se_suv"]}
            tbr = {"mean_tbr_max": row["mean_tbr_max"], "pool": row["background_region"]}
            rows.append({**own, "reading": reading, **found, **tbr})
            if reading == "core_mean":
                true = {"blood_suv": true_suv, "mean_tbr_max": row["mean_suv_max"] / true_suv}
                rows.append({**own, "reading": "true", **true})
    return rows


def untreated(plan: VisitPlan) -> VisitPlan:
    """Return the visit without what treatment does to the walls."""
    return replace(plan, excess={group: value / plan.excess_factor for group, value in plan.excess.items()})


def simulated_visit(plan: VisitPlan, size: str) -> list[dict[str, object]]:
    visit = simulate_visit(untreated(plan), size)
    labels = check_pet_ct_shift(describe(visit.label_map(), "ct", "labels", {}, {}), visit.ct(), visit.pet())
    images = VisitImages(visit.pet(), labels, visit.ct())
    named = {"study": "simulated", "participant": plan.participant_id, "visit": plan.visit}
    return read_every_way(images, plan.blood_suv, **named)


def hybrid_visits(data: Path) -> list[dict[str, object]]:
    truth, rows = json.loads((data / "truth.json").read_text()), []
    for visit in VISITS:
        true = next(v["true_blood_suv"] for v in truth["visits"] if v["name"] == visit)
        with tempfile.TemporaryDirectory() as scratch:
            convert_visit(data / visit, Path(scratch), protocol=Protocol())
            segment_visit(Path(scratch), "labels", data / f"truth_labels_{visit}.nii.gz")
            images, _ = read_images(Path(scratch))
            rows += read_every_way(images, true, study="hybrid", participant="H001", visit=visit)
    return rows


def run(pairs: int, size: str) -> pd.DataFrame:
    """Read what is not in the table yet; the table is written after every visit."""
    found = pd.read_csv(TABLE, sep="\t") if TABLE.exists() else pd.DataFrame(columns=list(COLUMNS))
    done = set(zip(found["study"], found["participant"], found["visit"], strict=True))
    rows = found.to_dict("records")

    def keep(more: list[dict[str, object]]) -> None:
        rows.extend(more)
        write_tsv(TABLE, pd.DataFrame(rows)[list(COLUMNS)].round(5), COLUMNS)

    data = reference_root() / "hybrid_acrin001"
    if data.exists() and ("hybrid", "H001", "followup") not in done:
        keep(hybrid_visits(data))
    for number, plan in enumerate(plan_trial(pairs, SEED).visit_plans):
        if ("simulated", plan.participant_id, plan.visit) not in done:
            keep(simulated_visit(plan, size))
            print(f"visit {number + 1} of {2 * pairs}", flush=True)
    return pd.DataFrame(rows)[list(COLUMNS)]


def _error(rows: pd.DataFrame) -> pd.Series:
    return 100 * (rows["blood_suv"] / rows["true_blood_suv"] - 1)


def _pairs(rows: pd.DataFrame, column: str) -> np.ndarray:
    """Both visits of every participant, (n, 2)."""
    return rows.pivot_table(index="participant", columns="visit", values=column)[list(VISITS)].dropna().to_numpy()


def level_table(found: pd.DataFrame) -> str:
    """Error of the blood and of its change, by study, pool and reading."""
    rows = []
    for study in ("simulated", "hybrid"):
        for vessel, veins in VEINS_OF.items():
            for reading, name in READINGS.items():
                own = found[(found["study"] == study) & (found["vessel"] == vessel) & (found["reading"] == reading)]
                if not len(own):
                    continue
                error, read = _error(own), own["blood_suv"].notna()
                change = np.diff(np.log(_pairs(own.assign(r=own["blood_suv"] / own["true_blood_suv"]), "r")))[:, 0]
                sure = (np.abs(error) <= 1.96 * 100 * own["blood_se_suv"] / own["true_blood_suv"])[read].mean()
                many = study == "simulated"
                rows.append(
                    [
                        study,
                        "all veins" if reading == "modelled_pooled" else veins,
                        name,
                        f"{int(read.sum())} of {len(own)}",
                        f"{error.mean():+.1f} ± {error.std():.1f}" if many else _listed(error),
                        f"{100 * change.mean():+.1f} ± {100 * change.std(ddof=1):.1f}"
                        if many
                        else _listed(100 * change),
                        f"{100 * (own['blood_se_suv'] / own['true_blood_suv']).mean():.1f}",
                        f"{100 * sure:.0f}" if many else "",
                    ]
                )
                if vessel == "carotid_right" and reading == "modelled_pooled":
                    rows.pop()
    heads = "study | veins | reading | visits read | error of level, % | error of change, points"
    return table(f"{heads} | mean standard error, % | true blood within its 95 % interval, % of visits", rows)


def _listed(values: object) -> str:
    return ", ".join(f"{v:+.1f}" for v in np.atleast_1d(values))  # type: ignore[call-overload]


def index_pairs(found: pd.DataFrame, reading: str) -> np.ndarray:
    """TBRmax of the index vessel, found at baseline under the same reading, at both visits, (n, 2)."""
    own = found[(found["study"] == "simulated") & (found["reading"] == reading)]
    wide = own.pivot_table(index="participant", columns=["visit", "vessel"], values="mean_tbr_max")
    baseline, followup = (wide[v].reindex(columns=TARGET_VESSELS).to_numpy() for v in VISITS)
    index = np.nanargmax(baseline, axis=1)
    both = np.stack([np.take_along_axis(v, index[:, None], 1)[:, 0] for v in (baseline, followup)], axis=1)
    return both[np.isfinite(both).all(axis=1)]


def index_errors(found: pd.DataFrame, reading: str) -> np.ndarray:
    """Logarithm of true over read blood of the vessel that the true blood makes the index vessel, (n, 2)."""
    simulated = found[found["study"] == "simulated"]
    wide = simulated[simulated["reading"] == "true"].pivot_table(
        index="participant", columns=["visit", "vessel"], values="mean_tbr_max"
    )
    index = wide["baseline"].reindex(columns=TARGET_VESSELS).idxmax(axis=1)
    own = simulated[simulated["reading"] == reading]
    own = own[own["vessel"].to_numpy() == index.reindex(own["participant"]).to_numpy()]
    return _pairs(own.assign(error=np.log(own["true_blood_suv"] / own["blood_suv"])), "error")


def within_cv(both: np.ndarray) -> float:
    """Within-subject coefficient of variation, from the logarithm's change."""
    return float(np.sqrt(np.mean(np.diff(np.log(both), axis=1) ** 2) / 2))


def slope(both: np.ndarray) -> float:
    """Slope of follow-up on baseline, as the ANCOVA fits it."""
    return float(np.polyfit(both[:, 0], both[:, 1], 1)[0])


def residual_cv(both: np.ndarray) -> float:
    """Residual SD of follow-up given baseline, over the mean follow-up."""
    gradient, start = np.polyfit(both[:, 0], both[:, 1], 1)
    left = both[:, 1] - start - gradient * both[:, 0]
    return float(np.sqrt(left @ left / (len(left) - 2)) / both[:, 1].mean())


def blood_variance(errors: np.ndarray, gradient: float) -> float:
    """Variance that the blood's error adds to the residual of follow-up given baseline, in squared shares of it."""
    return float(np.var(errors[:, 1] - gradient * errors[:, 0], ddof=1))


def sizes(errors: dict[str, np.ndarray], gradient: float) -> dict[str, float]:
    """Patients per arm relative to the core's, at the published residual.

    The published residual holds the core's error; what a reading saves of that error is taken off it. Shares of the
    level are compared, because a level that shifts shifts difference and residual alike. The error of the blood is
    taken to be independent of what the walls do between visits.
    """
    published = (RESIDUAL_SD / CONTROL_MEAN) ** 2
    core = blood_variance(errors["core_mean"], gradient)
    return {name: 1 - (core - blood_variance(own, gradient)) / published for name, own in errors.items()}


def patients_table(found: pd.DataFrame) -> tuple[str, dict[str, list[float]]]:
    """Repeatability and patients by reading, intervals by resampling participants; and the shares themselves."""
    names = ("core_mean", "modelled", "modelled_pooled", "true")
    both = {name: index_pairs(found, name) for name in names}
    errors = {name: index_errors(found, name) for name in names}
    count = len(both["true"])
    if any(len(values) != count for values in (*both.values(), *errors.values())):
        raise SystemExit("a reading is missing in some pairs; compare the same pairs")
    rng, drawn, direct = np.random.default_rng(SEED), [], []
    for _ in range(DRAWS):
        chosen = rng.integers(count, size=count)
        drawn.append(sizes({name: values[chosen] for name, values in errors.items()}, slope(both["true"][chosen])))
        cvs = {name: residual_cv(values[chosen]) for name, values in both.items()}
        direct.append({name: (cv / cvs["core_mean"]) ** 2 for name, cv in cvs.items()})
    told, core_size = sizes(errors, slope(both["true"])), sample_size_per_arm(EFFECT, RESIDUAL_SD)
    rows, shares = [], {}
    for name in names:
        low, high = np.percentile([d[name] for d in drawn], [2.5, 97.5])
        seen_low, seen_high = np.percentile([d[name] for d in direct], [2.5, 97.5])
        shares[name] = [told[name], low, high]
        agreement = icc(both[name])["A,1"]
        core = name == "core_mean"
        rows.append(
            [
                TITLES[name],
                f"{both[name].mean():.3f}",
                f"{100 * within_cv(both[name]):.2f}",
                f"{100 * np.std(np.diff(errors[name], axis=1), ddof=1) / np.sqrt(2):.2f}",
                f"{agreement['estimate']:.3f} ({agreement['low']:.3f} to {agreement['high']:.3f})",
                f"{core_size * told[name]:.1f}",
                "1" if core else f"{told[name]:.3f} ({low:.3f} to {high:.3f})",
                "1"
                if core
                else f"{(residual_cv(both[name]) / residual_cv(both['core_mean'])) ** 2:.2f} "
                f"({seen_low:.2f} to {seen_high:.2f})",
            ]
        )
    heads = "blood | mean TBRmax | within-subject CV, % | of it by the blood, % | ICC(A,1) (95 %) | patients per arm"
    return table(f"{heads} | of the core's (95 %) | residual variance seen, of the core's (95 %)", rows), shares


def draw(found: pd.DataFrame, path: Path) -> None:
    """Error of the blood pool against the true blood: every visit, reading and study."""
    import matplotlib

    matplotlib.use("svg")
    matplotlib.rcParams |= {"svg.hashsalt": "petflame", "font.size": 8, "axes.spines.top": False}
    import matplotlib.pyplot as plt

    figure, axis = plt.subplots(figsize=(7.6, 3.1), constrained_layout=True)
    places, names = [], []
    groups = [(v, r) for v in VEINS_OF for r in ("core_mean", "modelled")] + [("aorta_ascending", "modelled_pooled")]
    for place, (vessel, reading) in enumerate(groups):
        own = found[(found["vessel"] == vessel) & (found["reading"] == reading)]
        for study, colour, aside in (("simulated", "#4a5a6b", -0.12), ("hybrid", "#a3281f", 0.28)):
            error = _error(own[own["study"] == study]).dropna().to_numpy()
            spread = np.linspace(-0.14, 0.14, len(error)) if study == "simulated" else np.zeros(len(error))
            axis.plot(
                place + aside + spread, error, ".", color=colour, markersize=4, label=study if not place else None
            )
            if study == "simulated" and len(error):
                axis.plot([place - 0.3, place + 0.06], [error.mean()] * 2, color="#111", linewidth=1.2)
        places.append(place)
        veins = "all veins" if reading == "modelled_pooled" else VEINS_OF[vessel]
        names.append(f"{veins}\n{READINGS[reading].split(',')[0]}")
    axis.axhline(0, color="#8a94a1", linewidth=0.7)
    axis.set_xticks(places, names)
    axis.set_ylabel("blood pool less true blood, %")
    axis.spines["right"].set_visible(False)
    axis.legend(frameon=False)
    figure.savefig(path, metadata={"Date": None, "Creator": None})
    plt.close(figure)


def section(found: pd.DataFrame) -> str:
    """The section of docs/measurement.md."""
    pairs = found.loc[found["study"] == "simulated", "participant"].nunique()
    patients, shares = patients_table(found)
    share, low, high = shares["modelled_pooled"]
    worth = f"{100 * (1 - share):.1f} % fewer patients are needed ({100 * (1 - high):.1f} to {100 * (1 - low):.1f} %)"
    return f"""{BEGIN}
## The blood, read three ways

`background.reading` of the protocol. `core_mean` is the mean of the vein's core, as the published trials read it.
`modelled` explains every PET voxel within 12 mm of a vein by regions blurred with the PET's resolution: the vein, other
veins, lumen and wall of arteries, every labelled neighbour and, by the CT's numbers, lung, fat, bone and soft tissue.
Uptakes follow by least squares, weighted by one over the model because noise rises with uptake, with Huber's weights;
voxels that nothing explains (4 robust SD) are left out with what lies within half a resolution width. Labels are moved
by the shift of the artery beside the vein, and the fit may move them on within that shift's doubt. The resolution is
found at the edge of the lung beside the superior vena cava and joined with the protocol's; without a lung it is the
protocol's, and `measure.json` says so. The standard error holds correlated noise, what the regions leave unexplained,
and the doubt of shift and resolution. A vein has no modelled reading where that error exceeds 10 %, where its uptake
cannot be told from its neighbours' (variance inflation above 10), where most of its voxels are unexplained, or where
the reading exceeds what its core allows; `measure.json` holds the reason. `modelled_pooled` joins all veins, which hold
the same blood, by their covariance; a vein that needs a reader serves only where no other does. Veins that differ
by more than chance (p below 0.001) are pooled with a wider error, and a warning.

{pairs} simulated participants without treatment, two visits each (PET 4 x 4 x 3 mm), a careful reader's labels; the
hybrid study in its own labels (both visits listed). Made by `python benchmarks/blood_estimators.py --pairs {pairs}`.
Weights, what is left out and how the resolution is joined were settled on the hybrid study and the first 12 of these
participants, so neither is a study kept apart. Errors are against the uptake that was painted as blood, so a core that
spill lowers shows it; with veins found automatically they are larger.

{level_table(found)}
![Error of the blood pool against the true blood](figures/blood_estimators.svg)

Each dot is a visit; lines are means of the simulated visits.

What a reading is worth: patients per arm for the published difference (-0.171) at the published residual SD (0.257),
80 % power, two-sided 5 %. The published residual holds the error of the core; what a reading saves of that error (as
the simulated pairs show it, taken to be independent of what the walls do) is taken off. Intervals resample
participants.

{patients}
With the blood of all veins modelled {worth}; the last row
is the floor that no reading of the blood can pass. Walls that change by themselves between visits make most of the
within-subject CV here, so the residual variance seen in so few pairs (last column) cannot tell the readings apart. A
modelled pool is freed of spill, so the level of TBR shifts: the threshold of 2.0 and published levels belong to
`core_mean` and do not carry over.

{END}
"""


def write_section(found: pd.DataFrame) -> None:
    """Replace the section in docs/measurement.md."""
    page = PAGE.read_text()
    before, rest = page.split(BEGIN) if BEGIN in page else page.split("## Every way of measuring")
    after = rest.split(END + "\n")[1] if BEGIN in page else f"## Every way of measuring{rest}"
    write_text(PAGE, f"{before}{section(found)}{after if BEGIN in page else chr(10) + after}")


def main() -> None:
    """Read what is missing, draw and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", type=int, default=48)
    parser.add_argument("--size", default="fast")
    parser.add_argument("--redraw", action="store_true", help="take everything from the table written before")
    options = parser.parse_args()
    found = pd.read_csv(TABLE, sep="\t") if options.redraw else run(options.pairs, options.size)
    draw(found, TABLE.with_suffix(".svg"))
    write_section(found)
    print(PAGE)


if __name__ == "__main__":
    main()
