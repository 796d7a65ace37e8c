"""Verbs on one visit or one pair of visits."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from petflame.cli import app
from petflame.cli.options import LogJson, ProtocolFile, Record, ReliabilityFile
from petflame.console import Console
from petflame.pathwords import private_words
from petflame.segment import Method
from petflame.steps import require_upstream, step

if TYPE_CHECKING:
    from petflame.segment.product import Segmentation

VisitDir = Annotated[Path, typer.Argument(metavar="VISIT_DIR", help="Folder of a visit.")]


@app.command()
def convert(
    dicom_dir: Annotated[Path, typer.Argument(help="Folder with the visit's DICOM files, however nested.")],
    out: Annotated[Path, typer.Option("--out", metavar="VISIT_DIR", help="Folder to write.")],
    protocol: ProtocolFile = None,
    tracer: Annotated[
        Literal["FDG", "any"] | None, typer.Option(help="Tracer to accept; default is the protocol's.")
    ] = None,
    overrides: Annotated[
        Path | None, typer.Option(help="Table of header values to replace: key, value, reason, who.")
    ] = None,
    require_suv: Annotated[
        bool, typer.Option("--require-suv", help="Refuse a visit whose SUV cannot be computed.")
    ] = False,
    record: Record = False,
    log_json: LogJson = False,
) -> None:
    """Convert a visit's DICOM to SUV and HU images with sidecars.

    Below a folder called visits, keyed hashes of who was scanned are kept beside it, in key/identity.

    Example: petflame convert scans/P001/baseline --out visits/V1
    """
    from petflame.dicom.convert import convert_visit
    from petflame.protocol import load_protocol
    from petflame.requests import convert_request

    console = Console(log_json, record)
    private = private_words({"dicom_dir": dicom_dir, "overrides": overrides})
    with step("convert", out, record, console, private) as outcome:
        choices = load_protocol(protocol)
        outcome.made_from(convert_request(dicom_dir, overrides, choices, require_suv, tracer))
        warnings = convert_visit(
            dicom_dir,
            out,
            protocol=choices,
            tracer=tracer,
            overrides=overrides,
            require_suv=require_suv,
        )
        for warning in warnings:
            console.warn(warning)
        console.say(f"converted to {out}")


@app.command()
def segment(
    visit_dir: VisitDir,
    method: Annotated[Method, typer.Option(help="How to find vessels.")] = "auto",
    source: Annotated[
        Path | None,
        typer.Option(
            "--from",
            metavar="PATH",
            help="A reader's regions (NIfTI, NRRD, SEG, RTSTRUCT, OsiriX), or points along vessels in LPS mm: JSON "
            '{"carotid_right": [[x, y, z], ...]}, CSV with vessel, x_mm, y_mm, z_mm, 3D Slicer (.mrk.json, .fcsv), or '
            "a folder of them, one a vessel.",
        ),
    ] = None,
    edits: Annotated[
        Path | None,
        typer.Option("--edits", metavar="PATH", help="A reader's edits, which come last: see petflame review."),
    ] = None,
    protocol: ProtocolFile = None,
    record: Record = False,
    log_json: LogJson = False,
) -> None:
    """Find or import arteries and blood pools.

    Example: petflame segment visits/V1 --method labels --from labels.nii.gz
    """
    from petflame.protocol import load_protocol
    from petflame.requests import segment_request
    from petflame.segment.run import refuse_to_lose_edits, segment_visit

    console = Console(log_json, record)
    if edits is None and not record:
        # Before the step begins: what was measured on the edited labels stays as it is.
        refuse_to_lose_edits(visit_dir)
    private = private_words({"labels or seeds": source, "edits": edits})
    with step("segment", visit_dir, record, console, private) as outcome:
        choices = load_protocol(protocol)
        outcome.made_from(segment_request(visit_dir, method, source, edits, choices))
        require_upstream(visit_dir, "convert")
        say_vessels(segment_visit(visit_dir, method, source, edits, choices.segmentation.regions), console)


def say_vessels(segmentation: Segmentation, console: Console) -> None:
    """Report what was found and what needs a reader."""
    for warning in segmentation.warnings:
        console.warn(warning)
    present = {name: finding for name, finding in segmentation.vessels.items() if len(finding.centreline_lps_mm)}
    ready = [name for name, finding in present.items() if not finding.withheld]
    withheld = [name for name, finding in present.items() if finding.withheld]
    console.say(f"found {', '.join(ready) or 'no vessel'}")
    if withheld:
        console.say(f"for a reader to accept or mend: {', '.join(withheld)}")
    missing = [name for name in segmentation.vessels if name not in present]
    if missing:
        console.say(f"not found, for a reader to set points along: {', '.join(missing)}")


@app.command()
def measure(
    visit_dir: VisitDir,
    protocol: ProtocolFile = None,
    exclusions: Annotated[
        Path | None,
        typer.Option(
            help="Sections a reader leaves out: vessel, section or z_min_mm and z_max_mm, words. "
            "Default is left_out.tsv in VISIT_DIR, if it is there."
        ),
    ] = None,
    record: Record = False,
    log_json: LogJson = False,
) -> None:
    """Measure the uptake of every vessel section against its blood pool.

    Example: petflame measure visits/V1
    """
    from petflame.measure.folder import measure_visit
    from petflame.protocol import load_protocol
    from petflame.requests import measure_request

    console = Console(log_json, record)
    private = private_words({"exclusions": exclusions})
    with step("measure", visit_dir, record, console, private) as outcome:
        choices = load_protocol(protocol)
        outcome.made_from(measure_request(visit_dir, choices, exclusions))
        require_upstream(visit_dir, "convert", "identify", "segment")
        result = measure_visit(visit_dir, choices, exclusions)
        for warning in result.details["warnings"]:
            console.warn(warning)
        for row in result.vessels.to_dict("records"):
            value = row["mean_tbr_max"]
            known = value is not None and value == value
            recovery = f" (expected recovery of the wall {row['expected_recovery']:.2f})" if known else ""
            text = f"mean TBRmax {value:.3f}{recovery}" if known else row["reason"]
            withheld = f"; withheld: {row['reason']}" if known and row["withheld"] else ""
            console.say(f"{row['vessel']}: {text}{withheld}")


@app.command()
def pair(
    baseline_dir: Annotated[Path, typer.Argument(help="Visit folder before treatment.")],
    followup_dir: Annotated[Path, typer.Argument(help="Visit folder after treatment.")],
    out: Annotated[Path, typer.Option("--out", metavar="PAIR_DIR", help="Folder to write.")],
    participant: Annotated[str | None, typer.Option(help="Participant; default is the name of PAIR_DIR.")] = None,
    visits: Annotated[Path | None, typer.Option(help="visits.tsv, for glucose.")] = None,
    protocol: ProtocolFile = None,
    reliability: ReliabilityFile = None,
    record: Record = False,
    log_json: LogJson = False,
) -> None:
    """Pair two visits: seal the index vessel from baseline, match sections, express the change.

    Example: petflame pair visits/V1 visits/V2 --out pairs/P1 --participant P001
    """
    from petflame.errors import InputRefused
    from petflame.identity.run import doubts_of_pair
    from petflame.pair.run import glucose_from_visits, pair_followup
    from petflame.pair.sealing import seal_baseline
    from petflame.protocol import load_protocol
    from petflame.repeatability import Repeatability
    from petflame.requests import pair_request

    console = Console(log_json, record)
    with step("pair", out, record, console) as outcome:
        choices = load_protocol(protocol)
        name = participant or out.name
        glucose = glucose_from_visits(visits, name) if visits is not None else (None, None)
        outcome.made_from(pair_request(baseline_dir, followup_dir, name, choices, glucose, reliability))
        before, after = doubts_of_pair(baseline_dir, followup_dir)
        if before:
            raise InputRefused(before)
        require_upstream(baseline_dir, "convert", "identify", "segment", "measure")
        # The seal comes before follow-up is even looked at, and stays when follow-up turns out to be unusable.
        sealed = seal_baseline(baseline_dir, out, choices)
        if after:
            raise InputRefused(after)
        require_upstream(followup_dir, "convert", "identify", "segment", "measure")
        noise = Repeatability.of(choices.change).measured(reliability)
        row = pair_followup(sealed, followup_dir, name, glucose, noise)
        if row["percent_change"] is None:
            console.warn(f"{name}: {row['reason']}")
        else:
            console.say(
                f"{name}: index vessel {row['index_vessel']}, mean TBRmax {row['tbr_max_baseline']:.3f} to "
                f"{row['tbr_max_followup']:.3f}, {row['percent_change']:+.1f} % (repeatability band "
                f"{row['percent_low']:+.1f} to {row['percent_high']:+.1f} %), comparability {row['comparability']}"
            )
