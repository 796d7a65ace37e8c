"""Verbs on a whole study."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from petflame.cli import app
from petflame.cli.options import LogJson, ProtocolFile, Record
from petflame.console import Console
from petflame.errors import Fault
from petflame.published import PATIENTS
from petflame.segment import Reads

if TYPE_CHECKING:
    pass

StudyDir = Annotated[Path, typer.Argument(metavar="STUDY", help="Folder with visits.tsv.")]
StudyOutDir = Annotated[Path, typer.Argument(metavar="STUDY_OUT", help="Folder of the results.")]


@app.command()
def simulate(
    out: Annotated[Path, typer.Argument(metavar="OUT", help="Folder to write the study into.")],
    patients: Annotated[int, typer.Option(min=2, help="Participants, two visits each.")] = PATIENTS,
    size: Annotated[Literal["tiny", "fast", "full"], typer.Option(help="Image size.")] = "fast",
    seed: Annotated[int | None, typer.Option(help="Same seed, same bytes.")] = None,
    cores: Annotated[int, typer.Option(min=1, help="Processes to use.")] = 1,
    log_json: LogJson = False,
) -> None:
    """Write a whole simulated trial as DICOM, with its tables and its truth.

    Example: petflame simulate study --patients 12 --size tiny
    """
    from petflame.simulate.plan import DEFAULT_SEED
    from petflame.simulate.trial import simulate_trial

    console = Console(log_json)
    with console.progress("visits written", 2 * patients) as advance:
        simulate_trial(out, patients, size, DEFAULT_SEED if seed is None else seed, cores, lambda *_: advance())
    console.say(f"simulated trial of {patients} participants in {out}")


@app.command()
def init(
    dicom_root: Annotated[Path, typer.Argument(metavar="DICOM_ROOT", help="Folder with the trial's DICOM.")],
    out: Annotated[Path, typer.Option("--out", metavar="STUDY", help="Folder to write the tables into.")],
    log_json: LogJson = False,
) -> None:
    """Draft participants.tsv and visits.tsv from what lies in a folder of DICOM.

    Example: petflame init /data/trial --out study
    """
    from petflame.intake import draft_study

    console = Console(log_json)
    for line in draft_study(dicom_root, out):
        console.say(line)


@app.command()
def check(
    study: StudyDir,
    protocol: ProtocolFile = None,
    require_suv: Annotated[bool, typer.Option("--require-suv", help="Count a refused SUV as a fault.")] = False,
    pixels: Annotated[
        bool, typer.Option("--pixels", help="Read the images too, to find a scan given twice under other headers.")
    ] = False,
    out: Annotated[
        Path | None, typer.Option(metavar="STUDY_OUT", help="Folder of the results, to tell what waits for a reader.")
    ] = None,
    log_json: LogJson = False,
) -> None:
    """Find every fault of tables, keys, headers and identities before hours of work.

    Example: petflame check study
    """
    from petflame.intake import check_study
    from petflame.protocol import load_protocol
    from petflame.reading import told_of_reads

    console = Console(log_json)
    report = check_study(study, load_protocol(protocol), require_suv, console.progress, pixels)
    waits = [] if out is None else told_of_reads(study, out)
    for warning in (*report.warnings, *waits):
        console.warn(warning)
    console.say(f"{report.visits} visits checked, {len(report.faults)} fault(s), {len(report.warnings)} warning(s)")
    for line in report.later:
        console.say(f"asked later: {line}")
    if report.faults:
        from petflame.errors import InputRefused

        raise InputRefused(report.faults)


@app.command()
def identify(
    study: StudyDir,
    out: Annotated[Path, typer.Option("--out", metavar="STUDY_OUT", help="Folder with visits/ and key/.")],
    record: Record = False,
    log_json: LogJson = False,
) -> None:
    """Compare who was scanned over all converted visits: one scan given twice, visits exchanged or crossed.

    Example: petflame identify study --out results
    """
    from petflame.errors import InputRefused
    from petflame.folders import StudyOut
    from petflame.identity.finding import FLAGGED, REFUSED
    from petflame.identity.run import identify as run
    from petflame.identity.run import words
    from petflame.requests import identify_request
    from petflame.steps import step
    from petflame.study import load_study

    console, subjects = Console(log_json, record), load_study(study, out)
    with step("identify", out, False, console) as outcome:
        outcome.made_from(identify_request(subjects, StudyOut(out)))
        found = run(subjects, out)
        console.say(words(found))
        for finding in found:
            if finding.outcome == FLAGGED:
                console.warn(f"{', '.join(finding.codes)}: {finding.fault.what}")
        faults = [Fault(f.fault.what, ", ".join(f.codes), f.fault.remedy) for f in found if f.outcome == REFUSED]
        if faults and not record:
            raise InputRefused(faults)
        console.faults(faults, "refused")


@app.command()
def collect(
    study: StudyDir,
    out: Annotated[Path, typer.Option("--out", metavar="STUDY_OUT", help="Folder with visits/ and pairs/.")],
    protocol: ProtocolFile = None,
    reads: Annotated[
        Reads | None, typer.Option(help="Where finished reads are taken from: tell which visits wait for one.")
    ] = None,
    log_json: LogJson = False,
) -> None:
    """Gather visits and pairs into patients.tsv, vessels.tsv and exclusions.tsv.

    Example: petflame collect study --out results
    """
    from petflame.chain import AFTER_COLLECT, refuse_broken
    from petflame.folders import StudyOut
    from petflame.pair.collect import collect as run
    from petflame.protocol import load_protocol
    from petflame.reading import Reading
    from petflame.requests import collect_request
    from petflame.steps import step
    from petflame.study import load_study

    console = Console(log_json, recorded=True)
    choices, subjects = load_protocol(protocol), load_study(study, out)
    with step("collect", out, False, console) as outcome:
        reading = Reading(subjects, StudyOut(out))
        waiting, behind = (reading.waiting, reading.behind) if reads else (None, [])
        outcome.made_from(collect_request(subjects, StudyOut(out), choices, waiting))
        # Who is who it compares itself, so that scripted verbs need no `identify` in between.
        refuse_broken(
            out, ("identify", "collect", *AFTER_COLLECT), images=False, codes={*subjects.by_code, *subjects.pairs}
        )
        counts = run(subjects, out, choices, waiting or (), behind)
    console.say(
        f"{counts['measured']} of {counts['participants']} participants measured; refused: {counts['refused']}; "
        f"failed: {counts['failed']}; kept with a flag: {counts['flagged']}; see {out / 'exclusions.tsv'}",
        **{name: n if isinstance(n, int) else asdict(n) for name, n in counts.items()},
    )


@app.command()
def report(
    out: StudyOutDir,
    study: Annotated[Path | None, typer.Option(help="Folder of the study's tables, to hash them.")] = None,
    protocol: ProtocolFile = None,
    cores: Annotated[int, typer.Option(min=1, help="Processes that draw the pictures.")] = 1,
    log_json: LogJson = False,
) -> None:
    """Write the offline report and the provenance of a finished run.

    Example: petflame report results
    """
    from petflame.chain import refuse_broken
    from petflame.folders import StudyOut
    from petflame.private_record import write_private_record
    from petflame.protocol import load_protocol
    from petflame.report.page import write_report
    from petflame.requests import report_request
    from petflame.steps import step
    from petflame.study import load_study

    console, choices = Console(log_json, recorded=True), load_protocol(protocol)
    with step("report", out, False, console) as outcome:
        outcome.made_from(report_request(StudyOut(out), study, choices, protocol))
        # Hashing what lies there would bless whatever it is.
        refuse_broken(out, ("identify", "report"))
        path = write_report(out, study, choices, protocol, cores)
        write_private_record(out, None if study is None else load_study(study, out, keep_key=False))
    console.say(f"report: {path}")


@app.command()
def verify(
    out: StudyOutDir,
    study: Annotated[
        Path | None, typer.Option(help="Folder of the study, to compare its tables, DICOM and readers' files too.")
    ] = None,
    protocol: ProtocolFile = None,
    reliability: Annotated[Path | None, typer.Option(help="reliability.json that the analysis was given.")] = None,
    log_json: LogJson = False,
) -> None:
    """Hash a finished run again and walk the chain from DICOM to report; name what changed and what restores it.

    Example: petflame verify results --study study
    """
    from petflame.verification import verify_run

    console = Console(log_json)
    verified = verify_run(out, study, protocol, reliability)
    console.say(f"{verified.files} files are as the run left them, {verified.steps} steps follow from one another")
    for line in verified.not_covered:
        console.say(f"not covered: {line}")


protocol_app = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="Show and compare protocols.")
app.add_typer(protocol_app, name="protocol")
ProtocolPath = Annotated[Path, typer.Argument(metavar="FILE", help="Protocol file (YAML).")]


@protocol_app.command()
def show(file: Annotated[Path | None, typer.Argument(metavar="FILE")] = None) -> None:
    """Print every choice of a protocol (the default one without FILE) and its hash.

    Example: petflame protocol show config/protocols/ivory.yaml
    """
    import yaml

    from petflame.protocol import load_protocol

    protocol = load_protocol(file)
    print(f"# sha256 {protocol.digest}")
    print(yaml.safe_dump(protocol.as_dict(), sort_keys=False), end="")


@protocol_app.command()
def diff(first: ProtocolPath, second: ProtocolPath) -> None:
    """Print the choices in which two protocols differ.

    Example: petflame protocol diff config/protocols/ivory.yaml config/protocols/reference.yaml
    """
    from petflame.protocol import load_protocol
    from petflame.trial.plan.changes import changed, flat

    a, b = (load_protocol(path).as_dict() for path in (first, second))
    before, after = flat(a), flat(b)
    for key in sorted(row["item"] for row in changed(a, b)):
        print(f"{key}: {before.get(key)} -> {after.get(key)}")
