"""What the Snakefile needs to know before it plans its jobs: configuration, study, tables that must agree."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from petflame import __version__
from petflame.errors import FaultList, InputRefused
from petflame.files import read_tsv
from petflame.folders import StudyOut
from petflame.places import as_written, look_alike_faults, number_faults, place_faults
from petflame.protocol import Protocol, load_protocol, validation_faults
from petflame.study import Study, Visit, keep_blinding_key, load_study, read_visits

SIMULATED = "simulated"
ARMS = ("active", "control")


class Settings(BaseModel):
    """The keys of ``config/config.yaml``."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    study: str = SIMULATED
    out: str = "results/trial"
    protocol: str | None = None
    method: Literal["auto", "geometric", "totalsegmentator", "labels", "seeds"] = "auto"
    strict: bool = False
    require_suv: bool = False
    study_id: str | None = None
    strata: str = ""
    reliability: str | None = None


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
    """

    settings: Settings
    study: Study
    out: StudyOut
    simulated: bool

    def table(self, name: str) -> Path | None:
        """Path of an optional table of the study, such as ``allocation.tsv``; None where there is none."""
        path = self.study.root / name
        return path if self.simulated or path.exists() else None

    @property
    def protocol_option(self) -> str:
        """The command line's option for the configured protocol."""
        return f"--protocol {shlex.quote(self.settings.protocol)}" if self.settings.protocol else ""

    @property
    def analysis_options(self) -> str:
        """Options of the command line for the analysis: identifier of the study, strata, reliability."""
        given = {
            "--study-id": self.settings.study_id or ("SIMULATED" if self.simulated else self.study.root.resolve().name),
            "--strata": self.settings.strata,
            "--reliability": self.settings.reliability,
        }
        return " ".join(f"{option} {shlex.quote(value)}" for option, value in given.items() if value)

    @property
    def protocol(self) -> Protocol:
        """The configured protocol."""
        return load_protocol(Path(self.settings.protocol) if self.settings.protocol else None)

    @property
    def choices(self) -> str:
        """Version and protocol hash: what a change of either must make anew."""
        return f"{__version__} {self.protocol.digest}"

    def state_of(self, *paths: Path | None) -> str:
        """Newest change and number of the files at or below some paths, so that changed input is taken anew.

        The simulated trial's files are made by the workflow itself and need no watching.
        """
        if self.simulated:
            return ""
        times = []
        for path in filter(None, paths):
            files = [path, *path.rglob("*")] if path.is_dir() else [path]
            times += [f.stat().st_mtime_ns for f in files if f.exists()]
        return f"{len(times)} {max(times, default=0)}"

    def sources_of(self, visit: Visit) -> str:
        """State of a visit's label map or seeds, with the names beside a label map, and of a reader's edits."""
        source = self.source_of(visit)
        beside = None
        if source is not None:
            stem = source.name.removesuffix(".gz").removesuffix(".nii")
            beside = source.with_name(f"{stem}.json")
        return self.state_of(source, beside, visit.edits) if source is not None or visit.edits is not None else ""

    def begin(self) -> None:
        """Make the folder of the results with its private one, and keep the key, once jobs are to run."""
        keep_blinding_key(self.study, self.out.root)

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
    load_protocol(Path(settings.protocol) if settings.protocol else None)
    out = Path(settings.out)
    if settings.study == SIMULATED:
        from petflame.simulate.plan import DEFAULT_SEED, plan_trial

        # Inside the results, so that no folder of the user's can be taken for it.
        root = out / "simulated_study"
        if (root / "visits.tsv").exists() and not (root / "truth.json").exists():
            what = "the folder for the simulated trial holds another study"
            raise InputRefused.of(what, str(root), "name your study with study=DIR, or results elsewhere with out=DIR")
        plan = plan_trial(60, DEFAULT_SEED)
        study = Study(root, read_visits(plan.visits, root, "simulated visits"), bytes.fromhex(plan.blinding_key))
        return Workflow(settings, study, StudyOut(out), True)
    root = Path(settings.study)
    if not root.is_dir():
        raise InputRefused.of("there is no such folder", f"study={root}", "name a folder that holds visits.tsv")
    study = load_study(root, out, keep_key=False)
    check_tables(study)
    return Workflow(settings, study, StudyOut(out), False)


def check_tables(study: Study) -> None:
    """Check that participants, visits and allocation agree.

    Raises
    ------
    InputRefused
        With every unknown arm, duplicate, participant with scans but without an arm, and unknown participant.
    """
    faults = FaultList()
    scanned = {v.participant_id for v in study.visits}
    known = _ids(study.root / "participants.tsv", faults)
    if known is not None:
        for participant in sorted(scanned - set(known)):
            faults.add(f"{participant} has visits but no row", "participants.tsv", "add the participant")
    allocation = study.root / "allocation.tsv"
    arms = _ids(allocation, faults, ("arm",))
    if arms is not None:
        for participant in sorted(scanned - set(arms)):
            faults.add(f"{participant} has visits but no arm", "allocation.tsv", "add the row, or remove the visits")
        if not scanned & set(arms):
            faults.add("no participant has both visits and an arm", "allocation.tsv", "use the same participant_id")
        table = read_tsv(allocation, text=("participant_id", "arm"))
        for row in table[~table["arm"].isin(ARMS)].to_dict("records"):
            faults.add(
                f"{row['participant_id']} has the arm {row['arm']!r}", "allocation.tsv", "write active or control"
            )
    followed = _ids(study.root / "outcomes.tsv", faults, ("time_years", "event"))
    tables = {"visits": scanned, "participants": known, "allocation": arms, "outcomes": followed}
    faults.extend(look_alike_faults({f"{name}.tsv": ids for name, ids in tables.items() if ids}))
    faults.raise_if_any()


def _ids(path: Path, faults: FaultList, columns: tuple[str, ...] = ()) -> list[str] | None:
    if not path.exists():
        return None
    try:
        table = read_tsv(path, required=("participant_id", *columns), text=("participant_id", *columns))
    except InputRefused as error:
        faults.extend(error.faults)
        return None
    ids = [str(p) for p in table["participant_id"]]
    for participant in sorted({p for p in ids if ids.count(p) > 1}):
        faults.add(f"{participant} stands twice", path.name, "keep one row a participant")
    return ids


def closing_summary(out: StudyOut) -> str:
    """Say in a few lines what the run found and what it set aside."""
    import json

    lines = [f"report: {out.report}"]
    if out.arms.exists():
        primary = json.loads(out.arms.read_text(encoding="utf-8"))["primary"]
        if primary:
            lines.append(
                f"effect on mean TBRmax: {primary['difference']:+.3f} "
                f"({primary['ci_low']:+.3f} to {primary['ci_high']:+.3f}), p {primary['p']:.3g}; "
                f"{primary['adjusted_percent']:+.1f} % ({primary['adjusted_percent_low']:+.1f} to "
                f"{primary['adjusted_percent_high']:+.1f} %)"
            )
    if out.exclusions.exists():
        rows = read_tsv(out.exclusions, text=("participant_id",)).to_dict("records")
        refused: dict[str, list[str]] = {}
        for r in rows:
            if r["kind"] == "refused":
                refused.setdefault(f"{r['participant_id']} {r['visit']} ({r['step']})", []).append(r["what"])
        flagged = sum(r["kind"] == "flagged" for r in rows)
        lines.append(f"refused: {len(refused)}; kept with a flag: {flagged} (see {out.exclusions})")
        lines += [f"  refused {name}: {'; '.join(reasons)}" for name, reasons in refused.items()]
        doubted = [r for r in rows if r["kind"] == "flagged" and r["step"] == "identify"]
        lines += [f"  flagged {r['participant_id']} {r['visit']} (identify): {r['what']}" for r in doubted]
    return "\n".join(lines)
