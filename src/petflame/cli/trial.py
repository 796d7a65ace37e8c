"""Verbs on tables of a trial."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated, Literal

import typer

from petflame.cli import app
from petflame.cli.options import LogJson, ProtocolFile, Record, ReliabilityFile
from petflame.console import Console
from petflame.errors import FaultList, InputRefused
from petflame.outside import calling
from petflame.published import EFFECT_PERCENT, PATIENTS_PER_ARM
from petflame.requests import HORIZON_YEARS, LANDMARK_YEARS
from petflame.steps import clear, step
from petflame.trial.plan.model import UNKNOWN_STUDY

Out = Annotated[Path, typer.Option("--out", metavar="DIR", help="Folder to write.")]
Allocation = Annotated[Path, typer.Option(metavar="ALLOCATION.tsv", help="participant_id, arm = active or control.")]
SealedPlanFile = Annotated[
    Path | None,
    typer.Option(
        "--plan",
        metavar="sap.sealed.json",
        help="The sealed analysis plan; default is the one beside the allocation or the participants.",
    ),
]


def say_deviations(deviations: Iterable[Mapping[str, object]], console: Console) -> None:
    """Warn of everything that was done otherwise than planned."""
    for found in deviations:
        console.warn(f"deviates from the plan: {found['item']}: {found['planned']} -> {found['done']}")


def plan_of(plan: Path | None, *tables: Path | None) -> Path | None:
    """Return the sealed plan that was named, or lies beside the tables; refuse one that another one contradicts."""
    from petflame.trial.plan.sealing import plan_beside, read_plan

    beside = plan_beside(*tables)
    if plan is not None and beside is not None and read_plan(plan).seal != read_plan(beside).seal:
        what = "another sealed plan lies beside the allocation or the participants"
        remedy = "leave --plan out, which takes that one, or put the right one there"
        raise InputRefused.of(what, calling(plan, "the plan given by --plan"), remedy)
    return plan or beside


def refuse_missing(given: Mapping[str, Path]) -> None:
    """Raise `InputRefused` with every file that was named and does not exist."""
    faults = FaultList()
    for name, path in given.items():
        if not path.is_file():
            remedy = f"mend the path given for {name}, or leave the option out"
            faults.add("there is no such file", calling(path, f"the file given for {name}"), remedy)
    faults.raise_if_any()


@app.command()
def analyse(
    patients: Annotated[Path, typer.Argument(metavar="PATIENTS.tsv")],
    out: Out,
    vessels: Annotated[Path | None, typer.Option(metavar="VESSELS.tsv", help="A row a vessel.")] = None,
    allocation: Annotated[
        Path | None, typer.Option(metavar="ALLOCATION.tsv", help="Arms; without it the result is pooled and blinded.")
    ] = None,
    participants: Annotated[Path | None, typer.Option(metavar="PARTICIPANTS.tsv", help="Holds the strata.")] = None,
    strata: Annotated[str, typer.Option(metavar="COLUMN,...", help="Columns of PARTICIPANTS to adjust for.")] = "",
    exclusions: Annotated[Path | None, typer.Option(help="exclusions.tsv, to count reasons.")] = None,
    variations: Annotated[
        Path | None, typer.Option(metavar="VARIATIONS.tsv", help="Other ways of measuring, for the sensitivity panel.")
    ] = None,
    analysis_set: Annotated[
        Literal["all_measured", "comparable"] | None,
        typer.Option(help="Pairs that enter the primary analysis; default is the sealed plan's, else the protocol's."),
    ] = None,
    plan: SealedPlanFile = None,
    protocol: ProtocolFile = None,
    reliability_file: ReliabilityFile = None,
    study_id: Annotated[str, typer.Option(help="Identifier of the study in the CDISC datasets.")] = UNKNOWN_STUDY,
    record: Record = False,
    log_json: LogJson = False,
) -> None:
    """Estimate the effect per arm: percentage reduction with its interval.

    Example: petflame analyse patients.tsv --vessels vessels.tsv --allocation allocation.tsv --out arms
    """
    from petflame.chain import refuse_changed_tables
    from petflame.files import written
    from petflame.protocol import load_protocol
    from petflame.requests import analyse_request
    from petflame.review.lock import refuse_open_reading
    from petflame.review.unblinding import keep_primary, reading_record
    from petflame.trial.analyse import analyse as run
    from petflame.trial.choices import AnalysisChoices, TrialTables
    from petflame.trial.plan.deviations import planned_percentage

    chosen = load_protocol(protocol)
    console = Console(log_json, record)
    sealed = plan_of(plan, allocation, participants)
    tables = TrialTables(patients, vessels, allocation, participants, exclusions, reliability_file, variations, sealed)
    refuse_changed_tables(tables.collected)
    columns = tuple(c.strip() for c in strata.split(",") if c.strip())
    if allocation is not None:
        # Before the step begins: a blinded result that lies there must not go for an analysis that is not made.
        refuse_open_reading((patients.parent, out))
    with step("analyse", out, record, console) as outcome:
        refuse_missing(tables.given)
        outcome.made_from(analyse_request(tables, chosen, columns, study_id, analysis_set))
        if allocation is None:
            # Events per arm of an unblinded run must not stand beside a blinded one.
            clear("outcomes", out)
        choices = AnalysisChoices.of(chosen, sealed, columns, analysis_set, study_id)
        results = patients.parent
        collected = {path.name: path for path in tables.collected if path is not None}
        result = run(tables, out, choices, chosen.stamp, reading_record(results, collected))
        primary = result["primary"]
        if allocation is not None:
            with written():
                # No product of this step, which the next one would remove: it outlives every analysis.
                keep_primary(results, collected, primary, result["primary_reason"])
        if primary is None:
            console.say(f"no effect per arm: {result['primary_reason']}; {out / 'arms.json'}")
        else:
            low, high = primary["adjusted_percent_low"], primary["adjusted_percent_high"]
            limits = "no finite interval" if low is None or high is None else f"{low:+.1f} to {high:+.1f}"
            console.say(
                f"difference {primary['difference']:.3f} ({primary['ci_low']:.3f} to {primary['ci_high']:.3f}), "
                f"p {primary['p']:.3g}; {primary['adjusted_percent']:+.1f} % ({limits})"
            )
            percentage = result["plan"]["primary_percentage"]
            if percentage != "adjusted_percent":
                found = planned_percentage(percentage, primary, result["sensitivity"] or {})
                value = "not estimable" if found["p"] is None else f"{found['value']:+.1f}, p {found['p']:.3g}"
                console.say(f"planned as primary: {found['title']} {value}")
        ready = (out / "patients.tsv").exists()
        needed = "" if ready else "put patients.tsv (and vessels.tsv) into that folder, then "
        console.say(f"{out / 'arms.json'} and its tables are written; next: {needed}petflame report {out}")
        console.say(result["plan"]["sentence"])
        say_deviations(result["plan"]["deviations"], console)
        for note in result["notes"]:
            console.warn(note)


@app.command()
def outcomes(
    table: Annotated[
        Path,
        typer.Argument(
            metavar="OUTCOMES.tsv",
            help="participant_id, time_years from randomisation, event: 0 none, 1 event, 2 competing event.",
        ),
    ],
    allocation: Allocation,
    out: Out,
    horizon_years: Annotated[
        float | None,
        typer.Option(
            show_default=False,
            help=f"Time at which risks are compared; default is the sealed plan's, else {HORIZON_YEARS:g}.",
        ),
    ] = None,
    landmark_years: Annotated[
        float | None,
        typer.Option(
            show_default=False,
            help="Start of the comparison of change with events: the second scan or later. IVORY's was about 9 weeks "
            "(0.17 years) after randomisation; where yours differs, give your own. Default is the sealed plan's, else "
            f"{LANDMARK_YEARS:g}.",
        ),
    ] = None,
    patients: Annotated[
        Path | None,
        typer.Option(metavar="PATIENTS.tsv", help="Adds the association of each patient's change with events."),
    ] = None,
    plan: SealedPlanFile = None,
    record: Record = False,
    log_json: LogJson = False,
) -> None:
    """Compare follow-up events between the arms; exploratory.

    Example: petflame outcomes outcomes.tsv --allocation allocation.tsv --patients patients.tsv --out outcomes
    """
    from petflame.chain import refuse_changed_tables
    from petflame.requests import outcomes_request
    from petflame.review.lock import refuse_open_reading
    from petflame.trial.events.outcomes import events_line
    from petflame.trial.events.outcomes import outcomes as run

    console = Console(log_json, record)
    refuse_changed_tables((patients,))
    refuse_open_reading((out, *([patients.parent] if patients is not None else [])))
    with step("outcomes", out, record, console) as outcome:
        sealed = plan_of(plan, allocation)
        outcome.made_from(outcomes_request(table, allocation, patients, horizon_years, landmark_years, sealed))
        # One that no record of a step names may be an older one.
        (out / "outcomes.json").unlink(missing_ok=True)
        result = run(
            table,
            allocation,
            out,
            horizon_years=horizon_years,
            landmark_years=landmark_years,
            patients=patients,
            plan=sealed,
        )
        say_deviations(result["deviations"], console)
        console.say(f"events (exploratory): {events_line(result)}; {out / 'outcomes.json'}")
        console.say(result["sample_needed"]["sentence"])


@app.command()
def reliability(
    readings: Annotated[Path, typer.Argument(metavar="READINGS.tsv", help="subject, rater, value.")],
    out: Out,
    repeated: Annotated[
        Literal["scan_rescan", "reading"] | None,
        typer.Option(
            help="What was repeated: the whole scan, or the reading of one scan. Only scan_rescan may feed the band of "
            "one patient's change and the design of a trial."
        ),
    ] = None,
    log: Annotated[bool, typer.Option("--log", help="Analyse on the logarithmic scale.")] = False,
    record: Record = False,
    log_json: LogJson = False,
) -> None:
    """Estimate agreement between raters or repeat scans.

    Example: petflame reliability readings.tsv --repeated scan_rescan --out reliability
    """
    from petflame.trial.reliability import reliability as run
    from petflame.trial.reliability_words import lines

    console = Console(log_json, record)
    with step("reliability", out, record, console):
        result = run(readings, out, repeated=repeated, log=log)
        for line in lines(result):
            console.say(line)
        console.say(f"written: {out / 'reliability.json'}")
        if repeated is None:
            console.warn("what was repeated was not said (--repeated): no band or design can rest on this file")


@app.command()
def power(
    patients_per_arm: Annotated[int, typer.Option(help="Participants in each arm.")] = PATIENTS_PER_ARM,
    effect_percent: Annotated[
        float, typer.Option(help="True change of TBRmax by the drug, per cent.")
    ] = EFFECT_PERCENT,
    dropout: Annotated[float, typer.Option(help="Share without follow-up.")] = 0.0,
    trials: Annotated[int, typer.Option(min=100, help="Simulated trials.")] = 2000,
    reliability_file: Annotated[
        Path | None,
        typer.Option("--reliability", help="reliability.json of repeated scans: gives the within-subject variation."),
    ] = None,
    interim: Annotated[
        Path | None,
        typer.Option(metavar="PATIENTS.tsv", help="Running trial, no arms: sample size again, blinded."),
    ] = None,
    strata: Annotated[
        str, typer.Option(metavar="COLUMN,...", help="With --interim: strata of the primary model.")
    ] = "",
    participants: Annotated[
        Path | None, typer.Option(metavar="PARTICIPANTS.tsv", help="With --interim: holds the strata.")
    ] = None,
    analysis_set: Annotated[
        Literal["all_measured", "comparable"], typer.Option(help="With --interim: pairs of the primary analysis.")
    ] = "all_measured",
    out: Annotated[Path | None, typer.Option("--out", metavar="DIR", help="Folder for power.json.")] = None,
    log_json: LogJson = False,
) -> None:
    """Design a trial: power by simulation, with the index vessel chosen anew in every trial.

    With --interim the residual SD of the running trial, arms unknown, gives the sample size again; the other options
    then are what was planned, and only the new sample size is printed.

    Example: petflame power --patients-per-arm 40 --effect-percent -6
    """
    from petflame.chain import refuse_changed_tables
    from petflame.errors import InputRefused
    from petflame.trial.design.power import power as run
    from petflame.trial.design.reestimation import Interim
    from petflame.trial.design.words import lines

    if interim is None and (strata or participants is not None):
        raise InputRefused.of("strata belong to an interim table", "--strata", "give --interim PATIENTS.tsv too")
    refuse_changed_tables((interim,))
    columns = tuple(c.strip() for c in strata.split(",") if c.strip())
    console = Console(log_json)
    result = run(
        out,
        patients_per_arm=patients_per_arm,
        effect_percent=effect_percent,
        dropout=dropout,
        trials=trials,
        reliability=reliability_file,
        interim=None if interim is None else Interim(interim, participants, columns, analysis_set),
    )
    for line in lines(result):
        console.say(line)
    console.say(f"written: {out / 'power.json'}" if out else "nothing was written: give --out DIR for power.json")
