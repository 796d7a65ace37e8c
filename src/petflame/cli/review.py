"""Verbs around a reader's review of the vessels."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from petflame.cli import app
from petflame.cli.options import LogJson, ProtocolFile
from petflame.console import Console
from petflame.steps import require_upstream, step

review = typer.Typer(
    name="review", help="Show vessels to a reader, and apply the reader's edits.", no_args_is_help=True
)
app.add_typer(review)


@review.command()
def serve(
    results: Annotated[Path, typer.Argument(metavar="RESULTS", help="Folder of the results, or of visits.")],
    reader: Annotated[str, typer.Option("--reader", metavar="NAME", help="Code of the reader; no name.")] = "reader",
    port: Annotated[int, typer.Option("--port", metavar="N", min=0, max=65535, help="0 takes a free one.")] = 0,
    visits: Annotated[
        list[str] | None,
        typer.Option("--visits", metavar="CODE", help="Only these visits, commas between; may be given again."),
    ] = None,
    show_values: Annotated[
        bool, typer.Option("--show-values", help="Show TBR before a vessel is accepted, too.")
    ] = False,
    no_browser: Annotated[bool, typer.Option("--no-browser", help="Only say the address.")] = False,
    protocol: ProtocolFile = None,
    log_json: LogJson = False,
) -> None:
    """Read visits in a browser on this machine: see, draw, correct, decide; every action is kept at once.

    Nobody else on the network can reach it; through ssh: ssh -L PORT:127.0.0.1:PORT. Ctrl-C ends it; what was done
    stays, and the next serving goes on there.

    Example: petflame review serve results/trial --reader R1
    """
    from petflame.protocol import load_protocol
    from petflame.review.server import session_of
    from petflame.review.serving import serve as run

    console = Console(log_json)
    session = session_of(
        results,
        reader,
        [code for given in visits or () for code in given.split(",")],
        load_protocol(protocol),
        show_values,
    )
    console.say(f"{len(session.items)} visits for reader {reader}; Ctrl-C ends")
    run(session, port, not no_browser, console.say)


@review.command()
def pack(
    visit_dirs: Annotated[list[Path], typer.Argument(metavar="VISIT_DIR...", help="Folders of segmented visits.")],
    out: Annotated[Path, typer.Option("--out", metavar="PACK", help="Folder to write.")],
    dicom: Annotated[
        bool, typer.Option("--dicom", help="Write the images as DICOM too, for OsiriX or Horos; nobody's, and undated.")
    ] = False,
    log_json: LogJson = False,
) -> None:
    """Write pictures of every vessel with its contours and checks, images to redraw on, and a form for decisions.

    Example: petflame review pack results/trial/visits/* --out pack
    """
    from petflame.review.pack import write_pack

    console = Console(log_json)
    for visit_dir in visit_dirs:
        require_upstream(visit_dir, "segment")
    console.say(f"written to {write_pack(visit_dirs, out, dicom)}")


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
