"""What the Snakefile needs to know before it plans its jobs: configuration, study, tables that must agree."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from petflame.dicom.references import references_path
from petflame.errors import InputRefused, names_refused
from petflame.files import read_json, read_tsv
from petflame.fingerprint import Request, hash_file
from petflame.folders import StudyOut
from petflame.outcome import read_outcome
from petflame.pair.key_table import key_table_holds
from petflame.places import as_written, number_faults, place_faults
from petflame.protocol import Protocol, load_protocol
from petflame.reading import Reading
from petflame.replan import Job, mark
from petflame.requests import (
    analyse_request,
    collect_request,
    convert_request,
    identify_request,
    measure_request,
    outcomes_request,
    pair_request,
    report_request,
    segment_request,
)
from petflame.review.lock import refuse_open_reading
from petflame.review.plan import load_plan, refuse_other_rules
from petflame.segment import Method, Reads
from petflame.set_aside import POOL_IN_DOUBT, fewer_candidates, tally
from petflame.steps import clear
from petflame.study import Study, Visit, keep_blinding_key, load_study, read_visits
from petflame.study_tables import analysis_faults, check_tables
from petflame.trial.choices import TrialTables
from petflame.trial.plan.sealing import SEALED, read_plan
from petflame.typed import validation_faults

SIMULATED = "simulated"


class Settings(BaseModel):
    """The keys of ``config/config.yaml``."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    study: str = SIMULATED
    out: str = "results/trial"
    protocol: str | None = None
    method: Method = "auto"
    strict: bool = False
    require_suv: bool = False
    study_id: str | None = None
    strata: str = ""
    reliability: str | None = None
    reads: Reads | None = None


@dataclass(frozen=True)
class Workflow:
    """A configured run.

    Attributes
    ----------
    settings : Settings
    study : Study
    out : StudyOut
    simulated : bool
        Whether the study is the embedded trial, still to be written.
    doubts : tuple of str
        What the user must know before the run, though it stops nothing.
    """

    settings: Settings
    study: Study
    out: StudyOut
    simulated: bool
    doubts: tuple[str, ...] = ()

    def table(self, name: str) -> Path | None:
        """Path of an optional table of the study, such as ``allocation.tsv``; None where there is none."""
        path = self.study.root / name
        return path if self.simulated or path.exists() else None

    @property
    def protocol_option(self) -> str:
        """The command line's option for the configured protocol."""
        return f"--protocol {shlex.quote(self.settings.protocol)}" if self.settings.protocol else ""

    @property
    def _protocol_file(self) -> Path | None:
        return Path(self.settings.protocol) if self.settings.protocol else None

    @property
    def _reliability(self) -> Path | None:
        return Path(self.settings.reliability) if self.settings.reliability else None

    @property
    def _strata(self) -> tuple[str, ...]:
        return tuple(c.strip() for c in self.settings.strata.split(",") if c.strip())

    @property
    def _study_id(self) -> str:
        planned = self.study.root / SEALED
        if self.settings.study_id is None and planned.exists():
            return read_plan(planned).plan.study_id
        return self.settings.study_id or ("SIMULATED" if self.simulated else self.study.root.resolve().name)

    @property
    def reliability_option(self) -> str:
        """The command line's option for the study's own repeatability."""
        return f"--reliability {shlex.quote(self.settings.reliability)}" if self.settings.reliability else ""

    @property
    def analysis_options(self) -> str:
        """Options of the command line for the analysis: identifier of the study, strata, reliability."""
        given = {
            "--study-id": self._study_id,
            "--strata": self.settings.strata,
            "--reliability": self.settings.reliability,
        }
        return " ".join(f"{option} {shlex.quote(value)}" for option, value in given.items() if value)

    @cached_property
    def protocol(self) -> Protocol:
        """The configured protocol."""
        return load_protocol(self._protocol_file)

    def sources_of(self, visit: Visit) -> dict[str, Any]:
        """Hashes of a visit's regions or seeds, with what lies beside them, and of a reader's edits."""
        edits = self.edits_of(visit)
        request = segment_request(Path(), self.method_of(visit), self.source_of(visit), edits, self.protocol)
        return request.made_from(hash_file)["sources"]

    def jobs(self) -> Iterator[Job]:
        """Yield every step of the study in the order of the road, with what it is to be made from."""
        study, out, protocol = self.study, self.out, self.protocol
        for code, visit in sorted(study.by_code.items()):
            folder = out.visit(code)
            requests = (
                convert_request(visit.dicom_dir, visit.overrides, protocol, self.settings.require_suv),
                segment_request(
                    folder.root, self.method_of(visit), self.source_of(visit), self.edits_of(visit), protocol
                ),
                measure_request(folder.root, protocol),
            )
            earlier = (study.root / "truth.json",) if self.simulated else ()
            for request in requests:
                record = folder.step(request.verb)
                # A visit that was converted without a trace of whose scan it is has to be converted again.
                traced = request.verb == "convert" and folder.pet.exists()
                outputs = (record, out.identity_record(code), references_path(folder.root)) if traced else (record,)
                before = (*earlier, folder.step("identify")) if request.verb == "measure" else earlier
                yield self._job(request, code, record, outputs, before)
                earlier = (record,)
        converted = tuple(out.visit(code).step("convert") for code in study.by_code)
        record = out.step("identify")
        yield self._job(identify_request(study, out), "trial", record, (record, out.identity), converted)
        pairs = []
        for code, visits in sorted(study.pairs.items()):
            first, second = visits
            if first is None or second is None:
                continue
            folders = [out.visit(study.code(v.participant_id, v.visit)) for v in (first, second)]
            glucose = (first.glucose_mmol_l, second.glucose_mmol_l)
            request = pair_request(
                folders[0].root, folders[1].root, first.participant_id, protocol, glucose, self._reliability
            )
            record = out.pair(code).step("pair")
            yield self._job(request, code, record, (record,), tuple(f.step("measure") for f in folders))
            pairs.append(record)
        tables = (out.patients, out.vessels, out.exclusions, out.variations)
        measured = tuple(out.visit(code).step("measure") for code in study.by_code)
        waiting = None if self.reading is None else self.reading.waiting
        request = collect_request(study, out, protocol, waiting)
        job = self._job(request, "trial", out.step("collect"), tables, (*measured, *pairs))
        yield replace(job, local=key_table_holds(study, out))
        allocation, participants = self.table("allocation.tsv"), self.table("participants.tsv")
        given = TrialTables(
            out.patients,
            vessels=out.vessels,
            allocation=allocation,
            participants=participants,
            exclusions=out.exclusions,
            reliability=self._reliability,
            variations=out.variations,
            plan=self.table(SEALED),
        )
        request = analyse_request(given, protocol, self._strata, self._study_id)
        yield self._job(request, "trial", out.step("analyse"), out.analysed, tables)
        made: tuple[Path, ...] = out.analysed
        events = self.table("outcomes.tsv")
        if events is not None and allocation is not None:
            request = outcomes_request(events, allocation, out.patients, plan=self.table(SEALED))
            yield self._job(request, "trial", out.step("outcomes"), (out.step("outcomes"),), (out.patients,))
            made += (out.step("outcomes"),)
        request = report_request(out, study.root, protocol, self._protocol_file)
        yield self._job(request, "trial", out.step("report"), (out.report, out.provenance, out.report_hashes), made)

    def _job(
        self, request: Request, code: str, record: Path, outputs: tuple[Path, ...], earlier: tuple[Path, ...]
    ) -> Job:
        folder = record.parent.parent
        seen = self.out.root / "key" / "seen" / f"{folder.name}.{request.verb}.json"
        return Job(request, record, self.out.plan(request.verb, code), seen, outputs, earlier)

    def mark_stale(self) -> list[str]:
        """Mark the steps that are to be made again; return a line a reason, for the user."""
        reasons = mark(self.jobs(), self.settings.strict)
        return [f"to be made again: {reason} ({count})" for reason, count in reasons.items()]

    @cached_property
    def reading(self) -> Reading | None:
        """The finished reads, where the configuration takes them."""
        return Reading(self.study, self.out) if self.settings.reads == "review" else None

    def check_reads(self) -> list[str]:
        """Say which visits wait for a reader.

        Raises
        ------
        InputRefused
            With every visit that has edits in the table and a finished read as well; in a strict run also with every
            read that cannot count.
        """
        if self.reading is None:
            return []
        self.reading.require_one_word()
        faults = self.reading.faults() if self.settings.strict else []
        if faults:
            raise InputRefused(faults)
        return self.reading.told()

    def edits_of(self, visit: Visit) -> Path | None:
        """A reader's edits of a visit: those of the table, or the finished read that counts."""
        if visit.edits is not None or self.reading is None:
            return visit.edits
        return self.reading.read_of(visit)

    @property
    def reads_option(self) -> str:
        """The command line's option for where finished reads are taken from."""
        return f"--reads {self.settings.reads}" if self.settings.reads else ""

    def stale(self, verb: str, code: str = "trial") -> list[Path]:
        """Return the marker of a step that planning found to be made again, as one more input of its rule."""
        marker = self.out.plan(verb, code)
        return [marker] if marker.exists() else []

    def begin(self) -> None:
        """Make the folder of the results with its private one, and keep the key, once jobs are to run."""
        keep_blinding_key(self.study, self.out.root)
        if not (self.table("outcomes.tsv") and self.table("allocation.tsv")):
            # Events of a table that was withdrawn must not stand beside another analysis.
            clear("outcomes", self.out.root)

    @property
    def record_option(self) -> str:
        """Refusals are recorded unless the run is strict."""
        return "" if self.settings.strict else "--record"

    def source_of(self, visit: Visit) -> Path | None:
        """Label map or seeds that the configured method takes for a visit."""
        method = self.settings.method
        if method in ("auto", "labels") and visit.labels is not None:
            return visit.labels
        return visit.seeds if method in ("auto", "seeds") else None

    def method_of(self, visit: Visit) -> str:
        """Segmentation method of a visit: a reader's label map wins under `auto`."""
        if self.settings.method == "auto" and visit.labels is not None:
            return "labels"
        return self.settings.method


@names_refused()
def plan_workflow(config: Mapping[str, Any], given: Iterable[str] | None = None) -> Workflow:
    """Validate the configuration and the study's tables, before any job runs; nothing is written.

    Parameters
    ----------
    config : mapping
        As snakemake read it from files and command line.
    given : iterable of str, optional
        ``KEY=VALUE`` of the command line, as they were written there.

    Raises
    ------
    InputRefused
        With every unknown key, bad value, folder that cannot be used, faulty table row, and every participant that
        the tables disagree on.
    """
    config = as_written(config, given)
    faults = number_faults(config)
    if faults:
        raise InputRefused(faults)
    try:
        settings = Settings.model_validate(dict(config))
    except ValidationError as error:
        raise InputRefused(validation_faults(error, "config")) from None
    faults = place_faults(settings.study, settings.out)
    if faults:
        raise InputRefused(faults)
    protocol = load_protocol(Path(settings.protocol) if settings.protocol else None)
    out = Path(settings.out)
    if (reading := load_plan(out)) is not None:
        refuse_other_rules(reading, protocol)
    if settings.study == SIMULATED:
        from petflame.simulate.plan import DEFAULT_SEED, plan_trial

        # Inside the results, so that no folder of the user's can be taken for it.
        root = out / "simulated_study"
        if (root / "visits.tsv").exists() and not (root / "truth.json").exists():
            what = "the folder for the simulated trial holds another study"
            raise InputRefused.of(what, str(root), "name your study with study=DIR, or results elsewhere with out=DIR")
        # Its allocation is drawn with it.
        refuse_open_reading((out,))
        plan = plan_trial(60, DEFAULT_SEED)
        study = Study(root, read_visits(plan.visits, root, "simulated visits"), bytes.fromhex(plan.blinding_key))
        return Workflow(settings, study, StudyOut(out), True)
    root = Path(settings.study)
    if not root.is_dir():
        raise InputRefused.of("there is no such folder", f"study={root}", "name a folder that holds visits.tsv")
    study = load_study(root, out, keep_key=False)
    found = check_tables(study)
    if (root / "allocation.tsv").exists():
        refuse_open_reading((out,))
    faults = analysis_faults(study, settings.strata, settings.reliability)
    if faults:
        raise InputRefused(faults)
    doubts = [*(f"follow-up events will not be compared: {fault}" for fault in (*found.exploratory, *found.early))]
    doubts += [str(fault) for fault in found.unread]
    return Workflow(settings, study, StudyOut(out), False, tuple(doubts))


def closing_summary(out: StudyOut) -> str:
    """Say in a few lines what the run found and what it set aside."""
    lines = [f"report: {out.report}"]
    if out.arms.exists():
        document = read_json(out.arms)
        primary = document.get("primary")
        if primary:
            low, high = primary["adjusted_percent_low"], primary["adjusted_percent_high"]
            # Few patients may leave a ratio's interval without an end.
            limits = "no finite interval" if low is None or high is None else f"{low:+.1f} to {high:+.1f} %"
            lines.append(
                f"effect on mean TBRmax: {primary['difference']:+.3f} "
                f"({primary['ci_low']:+.3f} to {primary['ci_high']:+.3f}), p {primary['p']:.3g}; "
                f"{primary['adjusted_percent']:+.1f} % ({limits})"
            )
        else:
            lines.append(f"no effect per arm: {document.get('primary_reason') or 'arms.json gives no reason'}")
        lines += [f"set aside: {note}" for note in (p.get("part") for p in document.get("set_aside") or []) if note]
    events = read_outcome(out.step("outcomes"))
    if events is not None and not events.is_ok:
        lines.append(f"follow-up events were not compared: {'; '.join(r.what for r in events.reasons)}")
    if out.exclusions.exists():
        rows = _rows(read_tsv(out.exclusions, text=("participant_id",)))
        told: dict[str, dict[str, list[str]]] = {"refused": {}, "failed": {}}
        for r in rows:
            if r["kind"] in told:
                name = f"{r['participant_id']} {r['visit']} ({r['step']})"
                place = f" ({r['where']})" if ", line " in str(r["where"]) else ""
                told[r["kind"]].setdefault(name, []).append(f"{r['what']}{place}")
        lines.append(f"refused: {tally(rows, 'refused')}")
        lines.append(f"kept with a flag: {tally(rows, 'flagged')}; every reason is in {out.exclusions}")
        lines += _without_a_change(out)
        if told["failed"]:
            lines.append(
                f"failed: {tally(rows, 'failed')}, by a fault of petflame: run the same line again; if it comes again, "
                f"report it with the file in {out.root / 'key' / 'failures'}, after a look that it names nobody"
            )
        for kind, names in told.items():
            lines += [f"  {kind} {name}: {'; '.join(reasons)}" for name, reasons in names.items()]
        lines += _index_in_doubt(out, rows)
        doubted = [r for r in rows if r["kind"] == "flagged" and r["step"] == "identify"]
        lines += [f"  flagged {r['participant_id']} {r['visit']} (identify): {r['what']}" for r in doubted]
    return "\n".join(lines)


def _index_in_doubt(out: StudyOut, rows: list[dict[str, Any]]) -> list[str]:
    """Say whose index vessel was chosen among fewer candidates, and which vessels rest on a blood pool in doubt."""
    lines = []
    if out.patients.exists():
        fewer = fewer_candidates(_rows(read_tsv(out.patients, text=("participant_id",))))
        if fewer.groups:
            lines.append(str(fewer))
            lines += [f"  among {k} of {n}: {', '.join(who)}" for (k, n), who in fewer.groups]
    doubted: dict[tuple[str, str, str], list[str]] = {}
    for r in rows:
        vessel, found, why = str(r["what"]).partition(f" {POOL_IN_DOUBT}: ")
        if r["kind"] == "flagged" and found:
            doubted.setdefault((r["participant_id"], r["visit"], why), []).append(vessel)
    # One blood pool serves several arteries: they stand together.
    lines += [
        f"  flagged {participant} {visit}: a blood pool is in doubt, on which {', '.join(names)} rest: {why}"
        for (participant, visit, why), names in doubted.items()
    ]
    return lines


def _rows(table: Any) -> list[dict[str, Any]]:
    return [{str(k): v for k, v in row.items()} for row in table.to_dict("records")]


def _without_a_change(out: StudyOut) -> list[str]:
    """Name the participants whose visits were kept and whose index vessel nobody could measure at both."""
    if not out.patients.exists():
        return []
    table = read_tsv(out.patients, text=("participant_id", "status"))
    lost = sorted(table.loc[table["status"] == "not_measurable", "participant_id"])
    return [f"kept, and no change measured: {', '.join(lost)}; see reason in {out.patients}"] if lost else []
