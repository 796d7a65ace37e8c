"""How far reads of one visit agree, between readers and within one: values, decisions, outlines. Blind to the arms.

A row is a visit. Two visits of one participant are not independent: what a reader adds to the error of a value is
estimated from all of them, while limits of correlations, which rest on how visits differ, are given from one visit a
participant too.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

from petflame import __version__
from petflame.chain import key_rows
from petflame.errors import Fault, InputRefused
from petflame.files import write_json, write_tsv
from petflame.folders import StudyOut
from petflame.protocol import Protocol
from petflame.review.agreement_columns import AGREEMENT, DECISIONS, OVERLAP, READINGS
from petflame.review.agreement_outlines import INDEX, decisions, overlaps, summary
from petflame.review.comparison import Comparison, OneRead
from petflame.review.counting import NotFinished, finished_read
from petflame.review.measured import ReadToMeasure, measured_read
from petflame.review.needs import required_vessels
from petflame.review.places import ReviewPlaces
from petflame.review.plan import Plan, load_plan, refuse_other_rules

INDEX_BACKGROUND = "index_background"


def agreement(out: Path, protocol: Protocol, to: Path | None = None, cores: int = 1) -> dict[str, Any]:
    """Measure every finished read of a study's plan, and write how far they agree.

    Parameters
    ----------
    out : Path
        The study's results.
    protocol : Protocol
    to : Path, optional
        Folder to write; default ``review/agreement`` of the results.
    cores : int
        Processes that measure.

    Returns
    -------
    dict
        The content of ``agreement.json``.

    Raises
    ------
    InputRefused
        When there is no plan, the protocol is another than planned, or a read is damaged.
    """
    import pandas as pd

    plan = load_plan(out)
    if plan is None:
        remedy = "plan the reading with `petflame review plan` before anybody reads"
        raise InputRefused.of("without a plan nobody is held against anybody", str(out / "review"), remedy)
    refuse_other_rules(plan, protocol)
    if plan.protocol_sha256 != protocol.digest:
        what = f"the reading was planned with the protocol {plan.protocol}, and this is {protocol.name} or differs"
        raise InputRefused.of(what, "--protocol", "name the protocol's file that the plan was made with")
    to = to or ReviewPlaces(out).agreement
    reads = finished_reads(out, plan, protocol, cores)
    counting = [one for one in reads if not one.read.prefilled]
    comparisons = comparisons_of(plan)
    quantities = [*_arteries(protocol), INDEX, INDEX_BACKGROUND]
    write_tsv(to / "readings.tsv", pd.DataFrame(_readings(reads, quantities), columns=list(READINGS)), READINGS)
    participants = participants_of(out)
    rows, documents = [], {}
    for compared in comparisons:
        for quantity in quantities:
            for kind in ("visits", "one_a_participant"):
                row, document = _estimated(compared, quantity, kind, reads, plan, participants, to)
                rows.append(row)
                documents["/".join([compared.kind, *compared.readers, quantity, kind])] = document
    write_tsv(to / "agreement.tsv", pd.DataFrame(rows, columns=list(AGREEMENT)), AGREEMENT)
    overlap = list(overlaps(out, counting, comparisons, required_vessels(protocol)))
    write_tsv(to / "overlap.tsv", pd.DataFrame(overlap, columns=list(OVERLAP)), OVERLAP)
    decided = list(decisions(out, counting, comparisons, required_vessels(protocol)))
    write_tsv(to / "decisions.tsv", pd.DataFrame(decided, columns=list(DECISIONS)), DECISIONS)
    result = {
        "plan": plan.seal,
        "petflame": __version__,
        **protocol.stamp,
        "reads": len(reads),
        "planned": sum(map(len, plan.readers.values())),
        "prefilled": len(reads) - len(counting),
        "not_measured": {f"{o.reader} {o.code}": o.measured["reason"] for o in reads if o.measured["reason"]},
        "estimates": documents,
        "overlap": summary(overlap),
        "definitions": {name: meaning for name, (meaning, _) in {**AGREEMENT, **DECISIONS, **OVERLAP}.items()},
    }
    write_json(to / "agreement.json", result)
    return result


def finished_reads(out: Path, plan: Plan, protocol: Protocol, cores: int = 1) -> list[OneRead]:
    """Return every finished read of the plan's readers, measured; sorted by visit, reader and occasion.

    Raises
    ------
    InputRefused
        With every read that is damaged, another's or against the protocol.
    """
    places, found, faults = ReviewPlaces(out), [], list[Fault]()
    for reader, items in plan.readers.items():
        for item in items:
            code = plan.visit_of(item)
            try:
                read = finished_read(places, reader, item, code, plan)
            except NotFinished:
                continue
            except InputRefused as refusal:
                faults.extend(refusal.faults)
                continue
            found.append((code, reader, 2 if plan.is_repeat(item) else 1, read, ReadToMeasure(out, reader, item, code)))
    if faults:
        raise InputRefused(faults)
    found.sort(key=lambda one: one[:3])
    measure = partial(measured_read, protocol=protocol)
    orders = [one[4] for one in found]
    if cores > 1 and len(orders) > 1:
        with ProcessPoolExecutor(cores) as pool:
            measured = list(pool.map(measure, orders))
    else:
        measured = list(map(measure, orders))
    return [OneRead(*one[:4], values) for one, values in zip(found, measured, strict=True)]


def comparisons_of(plan: Plan) -> list[Comparison]:
    """Return what a plan lets be compared: readers with each other, and each with their second reads."""
    readers = tuple(plan.readers)
    found = [Comparison("between", readers, readers)] if len(readers) > 1 else []
    if plan.visits:
        occasions = ("first", "second")
        found.append(Comparison("within", readers, occasions))
        found += [Comparison("within", (reader,), occasions) for reader in readers if len(readers) > 1]
    return found


def participants_of(out: Path) -> dict[str, str]:
    """Return the participant of each visit's code, from the private key table; empty where there is none."""
    return {code: participant for code, participant, visit in key_rows(StudyOut(out)) if visit != "pair"}


def value_of(one: OneRead, quantity: str) -> tuple[float | None, str, str]:
    """Return a read's value of a quantity, the vessel that it is of, and why there is none.

    What a reader rejects, or leaves withheld, has no value.
    """
    if one.measured["reason"]:
        return None, "", one.measured["reason"]
    name = one.measured["index"] if quantity in (INDEX, INDEX_BACKGROUND) else quantity
    if name is None:
        return None, "", "; ".join(one.measured.get("index_notes", ()))
    row = one.measured["vessels"].get(name)
    if row is None:
        return None, name, "not in the label map"
    if row["withheld"]:
        return None, name, row["reason"] or "withheld"
    value = row["background_suv" if quantity == INDEX_BACKGROUND else "mean_tbr_max"]
    return value, name, "" if value is not None else row["reason"] or "it has no value"


def _arteries(protocol: Protocol) -> list[str]:
    return list(dict.fromkeys((*protocol.summary.index_candidates, *protocol.summary.target_vessels)))


def _readings(reads: Iterable[OneRead], quantities: Sequence[str]) -> list[dict[str, Any]]:
    rows = []
    for one in reads:
        for quantity in quantities:
            value, vessel, why = value_of(one, quantity)
            rows.append(
                {
                    "visit": one.code,
                    "reader": one.reader,
                    "occasion": one.occasion,
                    "quantity": quantity,
                    "value": float("nan") if value is None else value,
                    "vessel": vessel,
                    "prefilled": one.read.prefilled,
                    "reason": why,
                }
            )
    return rows


def _estimated(
    compared: Comparison,
    quantity: str,
    kind: str,
    reads: Sequence[OneRead],
    plan: Plan,
    participants: Mapping[str, str],
    to: Path,
) -> tuple[dict[str, Any], dict[str, Any] | None]:
    """Estimate the agreement of one quantity; return its row and the whole document."""
    import pandas as pd

    from petflame.trial.reliability import reliability

    codes = set(plan.codes)
    if kind == "one_a_participant":
        first: dict[str, str] = {}
        for code in sorted(codes):
            first.setdefault(participants.get(code, code), code)
        codes = set(first.values())
    taken = [(compared.rater(one), one) for one in reads if one.code in codes and compared.rater(one) is not None]
    wanted = _wanted(compared, plan, codes)
    prefilled = {compared.subject(one) for _, one in taken if one.read.prefilled}
    cells = {(compared.subject(one), rater): value_of(one, quantity)[0] for rater, one in taken}
    whole = {s for s in wanted if all((s, r) in cells for r in compared.raters)} - prefilled
    filled = {s for s in whole if all(cells[s, r] is not None for r in compared.raters)}
    row: dict[str, Any] = {
        **compared.label,
        "quantity": quantity,
        "rows": kind,
        "n": len(filled),
        "not_read": len(wanted - whole - prefilled),
        "no_value": len(whole - filled),
        "prefilled": len(prefilled),
        "reason": "",
    }
    if kind == "one_a_participant" and not participants:
        return {**row, "reason": "the key table is not there, so nobody knows which visits belong together"}, None
    folder = to / "estimates" / "_".join([compared.kind, *compared.readers]) / quantity / kind
    table = [{"subject": s, "rater": r, "value": cells[s, r]} for s in sorted(filled) for r in compared.raters]
    readings = {"subject": ("visit, for two reads of all readers with the reader", ""), "rater": ("read", ""),
                "value": READINGS["value"]}  # fmt: skip
    if len(filled) < 2:
        (folder / "reliability.json").unlink(missing_ok=True)
        return {**row, "reason": f"{len(filled)} rows have a value of every read"}, None
    write_tsv(folder / "readings.tsv", pd.DataFrame(table), readings)
    try:
        found = reliability(folder / "readings.tsv", folder, repeated="reading", provenance={"plan": plan.seal})
    except InputRefused as refusal:
        return {**row, "reason": "; ".join(fault.what for fault in refusal.faults)}, None
    return {**row, **_columns(found)}, found


def _wanted(compared: Comparison, plan: Plan, codes: set[str]) -> set[str]:
    """Return the subjects that the plan asks for."""
    if compared.kind == "between":
        return codes
    rows = {(r, plan.visit_of(i)) for r in compared.readers for i in plan.readers[r] if plan.is_repeat(i)}
    return {code if len(compared.readers) == 1 else f"{r} {code}" for r, code in rows if code in codes}


def _columns(found: Mapping[str, Any]) -> dict[str, Any]:
    """Take the columns of a ``reliability.json``."""
    agreed, altman = found["icc"]["A,1"], found["bland_altman"]
    consistent = found["icc"]["C,1"]
    row = {name: found[name] for name in AGREEMENT if name in found and name not in ("n", "icc")}
    row["reason"] = "" if agreed is not None else str(found["icc"].get("reason", ""))
    if agreed is not None:
        row |= {"icc": agreed["estimate"], "icc_low": agreed["low"], "icc_high": agreed["high"]}
        row["icc_consistency"] = consistent["estimate"]
    return row | {k: altman[k] for k in ("bias", "bias_low", "bias_high", "limit_lower", "limit_upper") if k in altman}
