"""Put petflame and other converters before the same PET series, and write docs/converters.md.

    PETFLAME_REFERENCE_DATA=/path python benchmarks/peers_dicom.py --peers PYTHON [--node FOLDER]

PYTHON is an interpreter into which the peers were installed (pip install mirp z-rad pysuv dcm2niix SimpleITK
dicom2nifti nibabel); FOLDER holds node_modules with @cornerstonejs/calculate-suv. A peer that is not there is named
as not installed. Every tool runs in a process of its own; the verdicts are worked out here and never by hand.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path

import numpy as np
from peers_cases import hazard_cases, suv_cases

from petflame.dicom.reference_catalogue import START_BQML

SUV_TOOLS = ("petflame", "MIRP", "Z-Rad", "pysuv", "calculate-suv")
VOLUME_TOOLS = ("petflame", "MIRP", "Z-Rad", "SimpleITK", "dicom2nifti", "dcm2niix")
PACKAGES = {
    **{name: name for name in ("petflame", "pysuv", "SimpleITK", "dicom2nifti", "dcm2niix")},
    "MIRP": "mirp",
    "Z-Rad": "z-rad",
}
HERE = Path(__file__).resolve().parent
# Distance between the phantom's coldest and hottest voxel, which no axis flip or permutation changes.
HOT_TO_COLD_MM = float(np.linalg.norm([3 * 3.0, 2 * 4.0, 2 * 5.0]))
INTRODUCTION = """\
# Converters side by side

Written by `benchmarks/peers_dicom.py`; nothing here is edited by hand.

*Right*: SUVbw inside the mask is 0.20 at least, 1.00 in the median and 4.00 at most, to 0.005 (DRO_2_3: its published
values; the patient: a maximum of 66.52), and for the broken series the voxel sizes and the distance between the
hottest and the coldest voxel are true. *Refused*: an error, or no single volume
(two images, a 4-D image). **Wrong**: an image with other numbers
or another geometry, or an image where none can be right, without an error; some tools print a warning beside it.
*Refused (no need)*: an error where the headers hold everything.

Whose truth: the plain names are petflame's own reference objects (`petflame validate` makes them; their values follow
from the physics of the injection); DRO_* are the published objects; header_* is the phantom under real scanners'
headers, whose scan start or factor is the published evaluation of calculate-suv's authors; STS_001 is the IBSI
reference volume. We chose the cases, so the counts say what the tools do here, not how good they are.

Each tool runs with its defaults, asked for SUV by body weight; petflame with `--tracer any --require-suv`. SimpleITK,
dicom2nifti and dcm2niix give stored units and no SUV, so only the broken series are put to them (their values are
divided by the phantom's known Bq/mL).
"""


def verdict(case: dict, answer: dict | None, tool: str) -> str:
    if answer is None:
        return "crashed"
    if "refused" in answer:
        return "refused" if case["want"] is None else "refused (no need)"
    if case["want"] is None:
        return "**wrong**"
    values = np.array(answer["values"])
    if tool in ("SimpleITK", "dicom2nifti", "dcm2niix"):
        values /= START_BQML
    pairs = [(a, b) for a, b in zip(values, case["want"], strict=True) if b is not None]
    if any(abs(a - b) > max(0.005, 0.001 * b) for a, b in pairs):
        return "**wrong** (" + " ".join(f"{v:.2f}" for v in values) + ")"
    if case["group"] == "hazard" and (
        not np.allclose(answer["spacing"], [3, 4, 5], atol=1e-2) or abs(answer["distance"] - HOT_TO_COLD_MM) > 0.05
    ):
        return "**wrong** (geometry)"
    return "right"


def run(tool: str, cases: list[dict], python: str, env: dict[str, str], scratch: Path) -> dict[str, dict]:
    listing = scratch / "cases.json"
    listing.write_text(json.dumps([{k: str(c[k]) for k in ("name", "folder", "mask") if k in c} for c in cases]))
    command = [python, str(HERE / "peers_tools.py"), tool, str(listing)]
    ran = subprocess.run(command, capture_output=True, text=True, env=env, cwd=scratch, timeout=1800)
    answers = [json.loads(line) for line in ran.stdout.splitlines() if line.startswith("{")]
    return {a["name"]: a for a in answers}


def version_of(tool: str, python: str, node: Path | None) -> str | None:
    if tool == "calculate-suv":
        package = node / "node_modules" / "@cornerstonejs" / "calculate-suv" / "package.json" if node else None
        return (
            json.loads(package.read_text())["version"]
            if package and package.exists() and shutil.which("node")
            else None
        )
    if tool == "petflame":
        return importlib.metadata.version("petflame")
    ask = f"import importlib.metadata as m; print(m.version({PACKAGES[tool]!r}))"
    ran = subprocess.run([python, "-c", ask], capture_output=True, text=True)
    return ran.stdout.strip() or None


def table(cases: list[dict], tools: list[str], answers: dict[str, dict[str, dict]]) -> list[str]:
    lines = ["| case | what it is | " + " | ".join(tools) + " |", "|---|---|" + "---|" * len(tools)]
    for c in cases:
        told = [verdict(c, answers[t].get(c["name"]), t) for t in tools]
        lines.append(f"| {c['name']} | {c['about']} | " + " | ".join(told) + " |")
    return [*lines, ""]


def summary(cases: list[dict], tools: list[str], answers: dict[str, dict[str, dict]]) -> list[str]:
    kinds = ("right", "refused", "refused (no need)", "**wrong**", "crashed")
    lines = [
        "| tool | right | rightly refused | refused without need | silently wrong | crashed |",
        "|---|---|---|---|---|---|",
    ]
    for tool in tools:
        count = Counter(verdict(c, answers[tool].get(c["name"]), tool).split(" (0")[0] for c in cases)
        total = {
            k: sum(n for told, n in count.items() if told == k or (k == "**wrong**" and told.startswith(k)))
            for k in kinds
        }
        lines.append(f"| {tool} | " + " | ".join(str(total[k]) for k in kinds) + " |")
    return [*lines, ""]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--peers", default=sys.executable, help="Python interpreter that has the peers")
    parser.add_argument("--node", type=Path, help="folder with node_modules")
    parser.add_argument("--out", type=Path, default=HERE.parent / "docs" / "converters.md")
    given = parser.parse_args()
    data = os.environ.get("PETFLAME_REFERENCE_DATA")
    env = {**os.environ, "PEERS_NODE": str(given.node or "")}
    names = tuple(dict.fromkeys(SUV_TOOLS + VOLUME_TOOLS))
    versions = {tool: version_of(tool, given.peers, given.node) for tool in names}
    lines = [INTRODUCTION, "| tool | version |", "|---|---|"]
    lines += [f"| {tool} | {versions[tool] or 'not installed here'} |" for tool in names]
    lines.append("")
    with tempfile.TemporaryDirectory() as scratch:
        root = Path(scratch)
        parts = (
            ("SUV", SUV_TOOLS, suv_cases(root / "suv", Path(data) if data else None)),
            ("Broken series", VOLUME_TOOLS, hazard_cases(root / "hazards")),
        )
        for title, wanted, cases in parts:
            tools = [tool for tool in wanted if versions[tool]]
            answers = {}
            for tool in tools:
                python = sys.executable if tool == "petflame" else given.peers
                answers[tool] = run(tool, cases, python, env, root)
                told = Counter(verdict(c, answers[tool].get(c["name"]), tool) for c in cases)
                print(title, tool, dict(told), file=sys.stderr)
            lines += [f"## {title}", "", *summary(cases, tools, answers), *table(cases, tools, answers)]
    given.out.parent.mkdir(exist_ok=True)
    given.out.write_text("\n".join(lines).rstrip() + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
