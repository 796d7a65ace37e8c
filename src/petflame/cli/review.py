"""Verbs around a reader's review of the vessels."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from petflame.cli import app
from petflame.cli.options import LogJson
from petflame.console import Console
from petflame.steps import require_upstream, step

review = typer.Typer(
    name="review", help="Show vessels to a reader, and apply the reader's edits.", no_args_is_help=True
)
app.add_typer(review)


@review.command()
def pack(
    visit_dirs: Annotated[list[Path], typer.Argument(metavar="VISIT_DIR...", help="Folders of segmented visits.")],
    out: Annotated[Path, typer.Option("--out", metavar="PACK", help="Folder to write.")],
    log_json: LogJson = False,
) -> None:
    """Write pictures of every vessel with its contours and checks, images to redraw on, and a form for decisions.

    Example: petflame review pack results/trial/visits/* --out pack
    """
    from petflame.review.pack import write_pack

    console = Console(log_json)
    for visit_dir in visit_dirs:
        require_upstream(visit_dir, "segment")
    console.say(f"written to {write_pack(visit_dirs, out)}")


@review.command()
def apply(
    visit_dir: Annotated[Path, typer.Argument(metavar="VISIT_DIR", help="Folder of a segmented visit.")],
    edits: Annotated[Path, typer.Option("--from", metavar="PATH", help="Folder or file with the reader's edits.")],
    log_json: LogJson = False,
) -> None:
    """Put a reader's edits, or a finished read, on the labels of a visit as found; measure it again afterwards.

    Example: petflame review apply results/trial/visits/V1 --from pack/V1
    """
    from petflame.cli.visit import say_vessels
    from petflame.files import read_json
    from petflame.fingerprint import Applied, Source
    from petflame.folders import VisitFolder
    from petflame.segment.run import edit_visit, write_edited

    console = Console(log_json)
    require_upstream(visit_dir, "segment")
    # Refused edits must leave the visit as it was.
    edited = edit_visit(visit_dir, edits)
    earlier = read_json(VisitFolder(visit_dir).step("segment"))
    with step("segment", visit_dir, False, console) as outcome:
        outcome.made_from(Applied("segment", earlier, Source.of(edits)))
        write_edited(edited, VisitFolder(visit_dir))
    if edited.replaced:
        console.warn("other edits lay on these labels before: they were put on the labels as found, without those")
    say_vessels(edited.segmentation, console)
