"""Verb that writes labels for other tools."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from petflame.cli import app
from petflame.cli.options import LogJson
from petflame.console import Console
from petflame.steps import require_upstream


@app.command()
def export(
    visit_dir: Annotated[Path, typer.Argument(metavar="VISIT_DIR", help="Folder of a visit.")],
    out: Annotated[
        Path, typer.Option("--out", metavar="FILE", help="File to write: .dcm (DICOM segmentation) or .nii.gz.")
    ],
    dicom_dir: Annotated[
        Path | None, typer.Option("--dicom-dir", help="Folder of the visit's DICOM files, for a DICOM segmentation.")
    ] = None,
    log_json: LogJson = False,
) -> None:
    """Write the vessels as a DICOM segmentation with coded names, or as NIfTI with a table of names.

    Example: petflame export visits/V1 --out vessels.dcm --dicom-dir scans/P001/baseline
    """
    from petflame.segment.exports import export_labels

    console = Console(log_json)
    require_upstream(visit_dir, "segment")
    for warning in export_labels(visit_dir, out, dicom_dir):
        console.warn(warning)
    console.say(f"written to {out}")
