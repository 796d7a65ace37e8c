"""A small finished study made through the real steps: tubes as vessels, eight participants, one refused visit."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from petflame.anatomy import BY_NAME, REGIONS
from petflame.files import write_json, write_nifti
from petflame.folders import StudyOut, VisitFolder
from petflame.labelmap import LabelMap
from petflame.measure.folder import measure_visit
from petflame.pair.collect import collect
from petflame.pair.run import pair_visits
from petflame.protocol import Protocol
from petflame.segment.product import Segmentation, VesselFinding, write_segmentation
from petflame.space.grid import Grid, Volume
from petflame.study import Study, load_study
from petflame.trial.analyse import analyse
from petflame.trial.choices import AnalysisChoices, TrialTables
from petflame.trial.events.outcomes import outcomes

CT = Grid((60, 60, 40), np.array([[-2.0, 0, 0, 60], [0, -2.0, 0, 60], [0, 0, 3.0, 0], [0, 0, 0, 1]]))
PET = Grid((32, 32, 30), np.array([[4.0, 0, 0, -62], [0, 4.0, 0, -62], [0, 0, 4.0, 0], [0, 0, 0, 1]]))
# Vessel: x, y (LPS mm; negative x is the patient's right), radius, lowest and highest z.
TUBES = {
    "aorta_ascending": (-8.0, -10.0, 13.0, 6.0, 48.0),
    "carotid_right": (-24.0, 4.0, 5.0, 66.0, 108.0),
    "carotid_left": (24.0, 4.0, 5.0, 66.0, 108.0),
    "svc": (-38.0, -6.0, 9.0, 6.0, 48.0),
    "jugular_right": (-40.0, 2.0, 6.0, 66.0, 108.0),
    "jugular_left": (40.0, 2.0, 6.0, 66.0, 108.0),
}
REFUSED = {"what": "one slice is missing", "where": "/data/Doe^Jane/scan/x.dcm", "remedy": "fetch the series again"}


@dataclass(frozen=True)
class MadeStudy:
    """Folder of the tables and folder of the results."""

    root: Path
    out: Path
    study: Study


def inside(grid: Grid, name: str) -> np.ndarray:
    """Voxels of a tube."""
    ijk = np.stack(np.meshgrid(*[np.arange(n) for n in grid.shape], indexing="ij"), axis=-1)
    lps = grid.to_ras(ijk) * [-1, -1, 1]
    x, y, radius, low, high = TUBES[name]
    near = np.hypot(lps[..., 0] - x, lps[..., 1] - y) <= radius
    return near & (lps[..., 2] >= low) & (lps[..., 2] <= high)


def write_visit(
    folder: VisitFolder,
    wall: dict[str, float],
    rng: np.random.Generator,
    suv: bool = True,
    withheld: tuple[str, ...] = (),
) -> None:
    """Write what `convert` and `segment` would leave; `wall` is the uptake of arteries, and of veins that differ."""
    pet = rng.normal(0.6, 0.05, PET.shape)
    hu = np.full(CT.shape, -60, np.int16)
    labels = np.zeros(CT.shape, np.uint8)
    for name in TUBES:
        region = inside(PET, name)
        pet[region] = rng.normal(wall.get(name, 1.0), 0.05, int(region.sum()))
        hu[inside(CT, name)] = 45
        labels[inside(CT, name)] = BY_NAME[name].label
    write_nifti(folder.pet, Volume((pet if suv else pet * 4e3).astype(np.float32), PET))
    write_nifti(folder.ct, Volume(hu, CT))
    write_json(
        folder.pet_json,
        {"suv_factor": 2.5e-4 if suv else None, "uptake_min": 90.0, "model": "<b>Model</b>", "suv_refused": []},
    )
    vessels = {}
    for region in REGIONS:
        line = np.zeros((0, 3))
        if region.name in TUBES:
            x, y, _, low, high = TUBES[region.name]
            line = np.array([[x, y, z] for z in np.arange(low, high + 1, 3.0)])
        vessels[region.name] = VesselFinding(
            "labels", None, (), line, region.name in withheld, "no reader" if region.name in withheld else ""
        )
    write_segmentation(Segmentation(LabelMap(labels, CT), "ct", vessels), folder)


def make_study(
    root: Path,
    participants: int = 8,
    uptake: Mapping[tuple[str, str], dict[str, float]] | None = None,
    withheld: Mapping[tuple[str, str], tuple[str, ...]] | None = None,
) -> MadeStudy:
    """Make study and results; the last participant's follow-up is refused.

    `uptake` and `withheld` give vessels of a (participant, visit) another uptake, or have them need a reader.
    """
    study_dir, out = root / "study", root / "out"
    study_dir.mkdir(parents=True)
    ids = [f"P{n:02d}" for n in range(1, participants + 1)]
    arms = ["active" if n % 2 else "control" for n in range(participants)]
    (study_dir / "blinding.key").write_text("ab" * 32)
    rows = [{"participant_id": p, "visit": v, "dicom_dir": f"{p}_{v}"} for p in ids for v in ("baseline", "followup")]
    pd.DataFrame(rows).to_csv(study_dir / "visits.tsv", sep="\t", index=False)
    pd.DataFrame({"participant_id": ids, "arm": arms}).to_csv(study_dir / "allocation.tsv", sep="\t", index=False)
    pd.DataFrame({"participant_id": ids}).to_csv(study_dir / "participants.tsv", sep="\t", index=False)
    events = pd.DataFrame({"participant_id": ids, "time_years": 3.0, "event": 0})
    events.loc[events.index[[0, 2]], ["time_years", "event"]] = [1.0, 1]
    events.to_csv(study_dir / "outcomes.tsv", sep="\t", index=False)
    study = load_study(study_dir, out)
    results, rng = StudyOut(out), np.random.default_rng(5)
    for participant, arm in zip(ids, arms, strict=True):
        level = float(rng.uniform(1.9, 2.6))
        for visit in ("baseline", "followup"):
            folder = results.visit(study.code(participant, visit))
            if participant == ids[-1] and visit == "followup":
                for step in ("convert", "segment", "measure"):
                    write_json(folder.step(step), {"status": "refused", "verb": step, "reasons": [REFUSED]})
                continue
            fall = 0.88 if arm == "active" and visit == "followup" else rng.uniform(0.96, 1.04)
            wall = {"aorta_ascending": level * fall, "carotid_right": 1.6 * fall, "carotid_left": 1.7 * fall}
            own = (participant, visit)
            write_visit(
                folder, wall | (uptake or {}).get(own, {}), rng, participant != ids[1], (withheld or {}).get(own, ())
            )
            measure_visit(folder.root, Protocol())
            for step in ("convert", "segment", "measure"):
                write_json(folder.step(step), {"status": "ok", "verb": step, "reasons": []})
        pair = results.pair(study.code(participant, "pair"))
        if participant == ids[-1]:
            write_json(pair.status, {"status": "upstream_refused", "verb": "pair", "reasons": [REFUSED]})
            continue
        first, second = (results.visit(study.code(participant, v)).root for v in ("baseline", "followup"))
        pair_visits(first, second, pair.root, participant, Protocol())
        write_json(pair.status, {"status": "ok", "verb": "pair", "reasons": []})
    collect(study, out, Protocol())
    made = MadeStudy(study_dir, out, study)
    run_analysis(made)
    return made


def run_analysis(made: MadeStudy, blinded: bool = False, reliability: Path | None = None) -> None:
    """Analyse the made study."""
    results = StudyOut(made.out)
    allocation = None if blinded else made.root / "allocation.tsv"
    tables = TrialTables(
        results.patients,
        vessels=results.vessels,
        allocation=allocation,
        participants=made.root / "participants.tsv",
        reliability=reliability,
        variations=results.variations,
    )
    about = {v.name: v.about for v in Protocol().sensitivity}
    analyse(tables, made.out, AnalysisChoices(permutations=200, about_variations=about))
    if not blinded:
        outcomes(made.root / "outcomes.tsv", made.root / "allocation.tsv", made.out, patients=results.patients)


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory) -> MadeStudy:
    """A finished study that tests must not change."""
    return make_study(tmp_path_factory.mktemp("report"))


@pytest.fixture(scope="session")
def doubted(tmp_path_factory: pytest.TempPathFactory) -> MadeStudy:
    """P01 lacks two candidates at baseline, P03 one; at P05's follow-up one jugular holds less than half the blood."""
    short = ("aorta_ascending", "carotid_left")
    return make_study(
        tmp_path_factory.mktemp("doubts"),
        uptake={("P05", "followup"): {"jugular_left": 0.4}},
        withheld={("P01", "baseline"): short, ("P03", "baseline"): short[:1], ("P04", "followup"): ("carotid_left",)},
    )


@pytest.fixture
def own_copy(finished: MadeStudy, tmp_path: Path) -> MadeStudy:
    """A finished study without images, which a test may change."""
    shutil.copytree(finished.out, tmp_path / "out", ignore=shutil.ignore_patterns("*.nii.gz"))
    return MadeStudy(finished.root, tmp_path / "out", finished.study)


@pytest.fixture
def reanalyse() -> Callable[..., None]:
    """The analysis, to run again on a copy."""
    return run_analysis
