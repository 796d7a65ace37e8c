"""The plan's files in a study: the draft, its words, and the seal over plan and protocol before an allocation."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, get_args

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from petflame import __version__
from petflame.anatomy import ARTERIES
from petflame.errors import Fault, FaultList, InputRefused
from petflame.files import read_json, write_json, write_text
from petflame.outside import calling, read_yaml
from petflame.protocol import Protocol, digest_of
from petflame.seal import read_sealed, sealed
from petflame.trial.endpoints import COVARIATES, ENDPOINTS
from petflame.trial.plan.blocks import Deviation
from petflame.trial.plan.changes import changed
from petflame.trial.plan.draft import draft_plan, plan_words
from petflame.trial.plan.model import VESSELS, AnalysisPlan, Multiplicity, Percentage
from petflame.typed import validation_faults

PLAN, WORDS, SEALED = "sap.yaml", "sap.md", "sap.sealed.json"
HEADER = (
    "# Statistical analysis plan, the form that is sealed (petflame sap seal). Change what your trial does otherwise,\n"
    "# run `petflame sap` again to renew sap.md, and seal it before an allocation exists.\n"
    f"# key_secondary.endpoints: {', '.join((VESSELS, *ARTERIES, *(e.name for e in ENDPOINTS)))}\n"
    f"# primary.percentage: {', '.join(get_args(Percentage))}; multiplicity: {', '.join(get_args(Multiplicity))}\n"
    f"# covariates: {', '.join((*(c.name for c in COVARIATES), 'all'))}; strata: columns of participants.tsv\n"
    "# responder: configured (the band of this protocol), or published_<limit>_percent with a limit of the protocol\n"
)


RESTORE = "put the sealed plan back as it was; a plan is never edited after its seal"


Day = Annotated[str, Field(pattern=r"^\d{4}-\d{2}-\d{2}$")]


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class _Earlier(_Part):
    seal: str
    sealed_on: Day | None
    amended_because: str
    changes: list[Deviation]


class _Document(_Part):
    plan: AnalysisPlan
    protocol: dict[str, Any]
    protocol_sha256: str
    petflame: str
    sealed_on: Day | None
    earlier: list[_Earlier]
    seal: str


@dataclass(frozen=True)
class Amendment:
    """Why a sealed plan was sealed anew, and what changed."""

    because: str
    changes: tuple[Deviation, ...]


@dataclass(frozen=True)
class SealedPlan:
    """A plan as it was sealed.

    Attributes
    ----------
    plan : AnalysisPlan
    protocol : mapping
        Every choice of the measurement protocol that was sealed with it.
    protocol_sha256 : str
    petflame : str
        Version that the plan was sealed with.
    sealed_on : str or None
        Day, as the sealing machine told it.
    seal : str
        SHA-256 of all of this.
    amendments : tuple of Amendment
        Those that came after the first seal.
    """

    plan: AnalysisPlan
    protocol: Mapping[str, Any]
    protocol_sha256: str
    petflame: str
    sealed_on: str | None
    seal: str
    amendments: tuple[Amendment, ...] = ()


def draft(study: Path, study_id: str, protocol: Protocol, strata: tuple[str, ...] = ()) -> bool:
    """Write ``sap.yaml`` where there is none, and ``sap.md`` from it; return whether it was drafted now.

    Raises
    ------
    InputRefused
        When the folder does not exist, or a plan that lies there cannot be read.
    """
    import yaml

    if not study.is_dir():
        raise InputRefused.of("there is no such folder", str(study), "name the folder of the study's tables")
    path, new = study / PLAN, not (study / PLAN).exists()
    if new:
        document = draft_plan(study_id, protocol, strata).model_dump(mode="json")
        text = yaml.safe_dump(document, sort_keys=False, allow_unicode=True, width=110)
        write_text(path, HEADER + text)
    write_text(study / WORDS, plan_words(load_plan(path), protocol))
    return new


def load_plan(path: Path) -> AnalysisPlan:
    """Read ``sap.yaml``.

    Raises
    ------
    InputRefused
        When it is absent, or with every unknown key and bad value.
    """
    where = calling(path, "the analysis plan")
    document = read_yaml(path, where=where, remedy="draft one with `petflame sap STUDY`")
    if not isinstance(document, dict):
        raise InputRefused.of("it is not a mapping of choices", where, "draft one with `petflame sap STUDY`")
    try:
        plan = AnalysisPlan.model_validate({str(k): v for k, v in document.items()})
    except ValidationError as error:
        raise InputRefused(validation_faults(error, where)) from None
    try:
        known_analyses(plan)
    except ValueError as error:
        raise InputRefused.of(str(error), where, "mend the names") from None
    return plan


def known_analyses(plan: AnalysisPlan) -> None:
    """Raise `ValueError` where the plan names sensitivity analyses that do not exist."""
    from petflame.trial.arms.sensitivity import SENSITIVITY

    known = [s.name for s in SENSITIVITY]
    unknown = [name for name in plan.sensitivity if name not in known]
    if unknown:
        what = f"the sensitivity analyses {', '.join(unknown)} do not exist; there are {', '.join(known)}"
        raise ValueError(what)


def seal_plan(study: Path, protocol: Protocol, amend: str | None = None, today: str | None = None) -> SealedPlan:
    """Seal the study's plan with the protocol, and write ``sap.sealed.json``.

    Parameters
    ----------
    study : Path
    protocol : Protocol
        That the results will be measured by.
    amend : str, optional
        Why a plan that is already sealed changes; the earlier seal is kept inside the new one.
    today : str, optional
        ISO day to note.

    Raises
    ------
    InputRefused
        When an allocation lies in the study, the strata are no columns of its participants, there is no plan, or a
        seal exists and no reason to amend it is given.
    """
    plan = load_plan(study / PLAN)
    faults = FaultList()
    for path in _of_the_arms(study):
        what = "an allocation lies in the study: a plan that is sealed now was not fixed before the arms could be known"
        faults.add(what, str(path), "seal the plan before an allocation, or a result by arm, is put there")
    faults.extend(_unknown_columns(study, plan))
    now = plan.model_dump(mode="json")
    earlier: list[dict[str, Any]] = []
    if (study / SEALED).exists():
        read_plan(study / SEALED)
        before = read_sealed(study / SEALED, RESTORE)
        if amend is None:
            faults.add("a sealed plan exists", str(study / SEALED), 'give `--amend "why"` to seal an amended one')
        because = (amend or "").strip()
        changes = changed({**before["plan"], "protocol": before["protocol"]}, {**now, "protocol": protocol.as_dict()})
        last = {
            "seal": before["seal"],
            "sealed_on": before["sealed_on"],
            "amended_because": because,
            "changes": changes,
        }
        earlier = [*before["earlier"], last]
        if amend is not None and not because:
            faults.add("no reason is given for the amendment", "--amend", "say why the plan changes")
        if amend is not None and not changes:
            faults.add("neither plan nor protocol differs from what is sealed", str(study / PLAN), "change it first")
    elif amend is not None:
        faults.add("there is no sealed plan to amend", str(study), "leave `--amend` out")
    faults.raise_if_any()
    write_text(study / WORDS, plan_words(plan, protocol))
    document = sealed(
        {
            "plan": now,
            "protocol": protocol.as_dict(),
            "protocol_sha256": protocol.digest,
            "petflame": __version__,
            "sealed_on": today,
            "earlier": earlier,
        }
    )
    write_json(study / SEALED, document)
    return read_plan(study / SEALED)


def _of_the_arms(study: Path) -> list[Path]:
    """Return what in the study's folder and the folders in it tells the arms: allocations by name, results by arm."""
    places = [study, *(p for p in study.iterdir() if p.is_dir() and not p.is_symlink())]
    files = [path for place in places for path in sorted(place.iterdir()) if path.is_file()]
    told = ("allocation", "randomi", "unblind")
    found = [p for p in files if p.name.lower().startswith(told) and not p.name.endswith("_columns.json")]
    results = [path for path in files if path.name == "arms.json"]
    return found + [path for path in results if read_json(path).get("primary") is not None]


def _unknown_columns(study: Path, plan: AnalysisPlan) -> list[Fault]:
    """Return a fault where the strata are no columns of ``participants.tsv``."""
    from petflame.files import read_tsv

    table = study / "participants.tsv"
    if not plan.strata or not table.exists():
        return []
    columns = list(map(str, read_tsv(table).columns))
    unknown = [s for s in plan.strata if s not in columns]
    remedy = f"name strata among its columns: {', '.join(columns)}"
    return [Fault(f"the plan's strata {', '.join(unknown)} are no columns", calling(table), remedy)] if unknown else []


def read_plan(path: Path) -> SealedPlan:
    """Read a sealed plan.

    Raises
    ------
    InputRefused
        When it is absent, was changed after it was sealed, or is no plan.
    """
    document = read_sealed(path, RESTORE)
    try:
        whole = _Document.model_validate(document)
        known_analyses(whole.plan)
        Protocol.model_validate(whole.protocol)
        if digest_of(whole.protocol) != whole.protocol_sha256:
            raise ValueError("the protocol's hash is another's")
    except (ValidationError, ValueError) as error:
        what = f"it is no sealed plan ({type(error).__name__})"
        raise InputRefused.of(what, str(path), "seal a plan with `petflame sap seal STUDY`") from None
    amendments = tuple(Amendment(e.amended_because, tuple(e.changes)) for e in whole.earlier)
    return SealedPlan(
        whole.plan, whole.protocol, whole.protocol_sha256, whole.petflame, whole.sealed_on, whole.seal, amendments
    )


def plan_beside(*tables: Path | None) -> Path | None:
    """Return the sealed plan that lies beside the study's tables.

    Raises
    ------
    InputRefused
        When different plans lie beside them.
    """
    found = [t.parent / SEALED for t in tables if t is not None and (t.parent / SEALED).is_file()]
    if len({read_plan(path).seal for path in found}) > 1:
        what = "different sealed plans lie beside the allocation and the participants"
        raise InputRefused.of(what, SEALED, "give tables of one study")
    return found[0] if found else None
