"""Damaged inputs of every kind by the thousand: each ends in a result or a refusal, and never in a fault of ours.

``./run long`` runs them. ``PETFLAME_MUTATIONS`` is how many of each kind (default 400), ``PETFLAME_SEED`` where they
begin; a failure names the number that makes it again alone.
"""

from __future__ import annotations

import json
import os
import random
import resource
import shutil
import signal
import sys
import warnings
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import SimpleITK as sitk  # noqa: N813
import yaml

import petflame.cli
from petflame.errors import PetflameError
from petflame.files import read_json
from petflame.protocol import Protocol
from petflame.space.grid import Volume
from petflame.workflow import plan_workflow

sys.path[:0] = [str(Path(__file__).parent), str(Path(__file__).parents[1] / "segment" / "imports")]

import mutations  # noqa: E402
import writers  # noqa: E402

pytestmark = pytest.mark.long
COUNT = int(os.environ.get("PETFLAME_MUTATIONS", "400"))
SEED = int(os.environ.get("PETFLAME_SEED", "1"))
# Against hanging for ever; nothing here takes a hundredth of it.
ALARM_S = 120
MOST_MEMORY_MB = 1536
OVERRIDES = [{"key": "weight_kg", "value": 70, "reason": "from the worksheet", "who": "AB"}]


def verb(*words: object) -> int:
    """Run a verb of the command line; anything but done (0) or refused (2) is raised."""
    sys.argv = ["petflame", *map(str, words)]
    try:
        petflame.cli.main()
    except SystemExit as end:
        code = end.code or 0
    else:
        code = 0
    assert code in (0, 2), f"exit {code}"
    return int(code)


@pytest.fixture(scope="module")
def study(tmp_path_factory) -> Path:
    """A simulated study of two participants; its first visit converted and segmented, its regions in every format."""
    os.environ["PETFLAME_DEBUG"] = "1"
    root = tmp_path_factory.mktemp("long")
    folder = root / "study"
    assert verb("simulate", folder, "--patients", 2, "--size", "tiny", "--seed", 5) == 0
    scan, visit, labels = folder / "dicom/SIM0001/baseline", root / "visit", folder / "labels/SIM0001_baseline.nii.gz"
    assert verb("convert", scan, "--out", visit) == 0
    assert verb("segment", visit, "--method", "labels", "--from", labels) == 0
    given = root / "given"
    given.mkdir()
    assert verb("export", visit, "--out", given / "map.dcm", "--dicom-dir", scan) == 0
    for name in ("map.nii.gz", "map.json"):
        shutil.copy(labels.with_name(labels.name.replace(".nii.gz", name.removeprefix("map"))), given / name)
    image = nib.load(given / "map.nii.gz")
    nib.save(nib.Nifti1Image(np.asarray(image.dataobj), image.affine), given / "map.nii")
    for name in ("map.nrrd", "map.mha"):
        sitk.WriteImage(sitk.ReadImage(given / "map.nii"), given / name, useCompression=True)
    volume = read_labels(visit)
    lines = {name: writers.traced(mask) for name, mask in writers.by_name(volume).items()}
    writers.write_rtstruct(given / "rois.dcm", lines)
    rois = [
        {"Type": 11, "Name": name, "Point_mm": [[float(x) for x in p] for p in line]}
        for name, drawn in lines.items()
        for line in drawn[:4]
    ]
    (given / "rois.json").write_text(json.dumps({"Images": [{"ImageIndex": 0, "ROIs": rois}]}))
    shutil.copy(folder / "seeds/SIM0001_baseline.json", given / "seeds.json")
    points = json.loads((given / "seeds.json").read_text())
    rows = [f"{name},{x},{y},{z}" for name, line in points.items() if isinstance(line, list) for x, y, z in line]
    (given / "seeds.csv").write_text("\n".join(["vessel,x_mm,y_mm,z_mm", *rows]) + "\n")
    return root


def read_labels(visit: Path) -> Volume:
    from petflame.folders import VisitFolder
    from petflame.segment.product import read_segmentation

    return read_segmentation(VisitFolder(visit)).labels


def outcome(visit: Path, verb_name: str) -> str:
    status = str(read_json(visit / "steps" / f"{verb_name}.json")["status"])
    assert status in ("ok", "refused"), read_json(visit / "steps" / f"{verb_name}.json")
    return status


def convert_mutated(root: Path, rng: random.Random) -> str:
    """One to three files of a visit's DICOM."""
    scan = root / "scan"
    shutil.rmtree(scan, ignore_errors=True)
    shutil.copytree(root / "study/dicom/SIM0001/baseline", scan)
    files = sorted(p for p in scan.rglob("*") if p.is_file())
    every = rng.random() < 0.3
    how = rng.choice([mutations.bytes_of, mutations.elements_of])
    state = rng.getstate()
    for path in files if every else rng.sample(files, rng.randint(1, 3)):
        if every:
            # The same change in all, as an anonymiser makes it.
            rng.setstate(state)
        path.write_bytes(how(rng, path.read_bytes()))
    verb("convert", scan, "--out", root / "converted", "--record")
    return outcome(root / "converted", "convert")


def segment_mutated(*names: str) -> Callable[[Path, random.Random], str]:
    """A file of regions, or the one beside it."""

    def run(root: Path, rng: random.Random) -> str:
        folder, name = root / "mutated", rng.choice(names)
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        path = folder / name
        for companion in (name, f"{name.split('.')[0]}.json"):
            if (root / "given" / companion).exists():
                shutil.copy(root / "given" / companion, folder / companion)
        beside = path.with_name(f"{name.split('.')[0]}.json")
        target = beside if beside.exists() and rng.random() < 0.3 else path
        content = target.read_bytes()
        if target.suffix == ".json" and rng.random() < 0.7:
            content = mutations.document_of(rng, json.loads(content))
        elif target.suffix == ".csv" and rng.random() < 0.7:
            content = mutations.cells_of(rng, content, ",")
        elif target.suffix == ".dcm" and rng.random() < 0.6:
            content = mutations.elements_of(rng, content)
        else:
            content = mutations.bytes_of(rng, content)
        target.write_bytes(content)
        method = "seeds" if name.startswith("seeds") else "labels"
        verb("segment", root / "visit", "--method", method, "--from", path, "--record")
        return outcome(root / "visit", "segment")

    return run


def plan_mutated(root: Path, rng: random.Random) -> str:
    """A table of the study, while the run is planned, and the verbs that read it again."""
    folder = root / "tables"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    for path in (root / "study").iterdir():
        if path.is_file():
            shutil.copy(path, folder / path.name)
        else:
            (folder / path.name).symlink_to(path)
    path = folder / rng.choice(["visits.tsv", "participants.tsv", "outcomes.tsv", "allocation.tsv"])
    how = rng.choice([mutations.bytes_of, mutations.cells_of, mutations.cells_of])
    path.write_bytes(how(rng, path.read_bytes()))
    said = "ok"
    try:
        plan_workflow({"study": str(folder), "out": str(root / "planned")})
    except PetflameError:
        said = "refused"
    if path.name == "outcomes.tsv":
        verb("outcomes", path, "--allocation", folder / "allocation.tsv", "--out", root / "outcomes.json")
    return said


def choose_mutated(root: Path, rng: random.Random) -> str:
    """A protocol, or a table of overrides in YAML."""
    if rng.random() < 0.5:
        path, document = root / "protocol.yaml", Protocol().as_dict()
    else:
        path, document = root / "overrides.yaml", OVERRIDES
    dump = lambda d: yaml.dump(d, allow_unicode=True)  # noqa: E731
    if rng.random() < 0.7:
        content = mutations.document_of(rng, document, dump)
    else:
        content = mutations.bytes_of(rng, dump(document).encode())
    path.write_bytes(content)
    if path.stem == "protocol":
        return "ok" if verb("protocol", "show", path) == 0 else "refused"
    from petflame.dicom.overrides import load_overrides

    try:
        load_overrides(path)
    except PetflameError:
        return "refused"
    return "ok"


KINDS: dict[str, Callable[[Path, random.Random], str]] = {
    "dicom": convert_mutated,
    "labels": segment_mutated("map.nii", "map.nii.gz", "map.nrrd", "map.mha", "map.dcm"),
    "regions": segment_mutated("rois.dcm", "rois.json"),
    "seeds": segment_mutated("seeds.json", "seeds.csv"),
    "tables": plan_mutated,
    "yaml": choose_mutated,
}


@pytest.mark.parametrize("kind", KINDS)
def test_damaged_input_ends_in_a_result_or_a_refusal(
    kind: str, study: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    ends: Counter[str] = Counter()
    wrong: list[str] = []

    def ring(*_: object) -> None:
        raise TimeoutError("it hangs")

    signal.signal(signal.SIGALRM, ring)
    for number in range(SEED, SEED + COUNT):
        signal.alarm(ALARM_S)
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                ends[KINDS[kind](study, random.Random(f"{kind} {number}"))] += 1
        except Exception as error:
            wrong.append(f"PETFLAME_SEED={number}: {type(error).__name__}: {str(error)[:500]}")
        finally:
            signal.alarm(0)
        capsys.readouterr()
    memory_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    with capsys.disabled():
        print(f"\n{kind}: {dict(ends)}, {len(wrong)} faults, at most {memory_mb:.0f} MB")
    assert not wrong, "\n".join(wrong[:20])
    assert memory_mb < MOST_MEMORY_MB
    # Neither all nor none: what is damaged must reach the readers, and be seen by them.
    assert len(ends) == 2 or COUNT < 100, ends
