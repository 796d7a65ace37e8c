"""Words and tables of what is missing: whom an estimate lacks and why, what was imputed, how far that may be wrong."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Any

from petflame.report.read import Row
from petflame.report.words import between, count, number, p_clause, percent, readable
from petflame.trial.arms.absent import NONE_LEFT
from petflame.trial.arms.composite import is_exact

REASONS_SHOWN = 4
ARMS = ("active", "control")


def counted(block: Row) -> str:
    """Give the patients of an estimate by arm, and those of the analysis set who are not among them, by reason.

    >>> lost = [{"participant_id": "7", "arm": "active", "reason": "vessel withheld"}]
    >>> counted({"n": {"active": 9, "control": 10}, "missing": lost})
    '9 active, 10 control; without 1 active (vessel withheld)'
    """
    there = f"{block['n']['active']} active, {block['n']['control']} control" if block["n"] else ""
    without = missing_words(block["missing"])
    return "; ".join(part for part in (there, f"without {without}" if without else "") if part)


def missing_words(missing: list[Row]) -> str:
    """Count those missing by reason and arm, the most frequent reason first."""
    reasons = Counter(str(row["reason"]) for row in missing).most_common()
    shown = []
    for reason, _ in reasons[:REASONS_SHOWN]:
        by_arm = Counter(row["arm"] for row in missing if row["reason"] == reason)
        shown.append(f"{', '.join(f'{by_arm[arm]} {arm}' for arm in ARMS if by_arm[arm])} ({readable(reason)})")
    rest = sum(total for _, total in reasons[REASONS_SHOWN:])
    return ", ".join([*shown, *([count(rest, "for another reason", "for other reasons")] if rest else [])])


def endpoint_note(block: Row, sentence: str) -> str:
    """Say what an endpoint is, whom it rests on, and where those it lacks make it misleading."""
    note = ". ".join(part for part in (block["reason"] or sentence, counted(block)) if part)
    gone = sum(row["reason"] == NONE_LEFT for row in block["missing"])
    if gone:
        whom = "The one with none left is" if gone == 1 else "Those with none left are"
        note += f". {whom} not counted here though it is the best result: see the composite below"
    return note


def imputed_note(block: Row) -> str:
    """Say how many were imputed, and what beside arm and baseline told of them."""
    n = block["imputed"]
    if n is None:
        return ""
    people = sum(n.values())
    used = [a for a in block["auxiliaries"] if a["used"]]
    told = "; ".join(f"{a['meaning']} ({_known(a['n_of_imputed'], people)})" for a in used)
    words = f" Imputed: {n['active']} active, {n['control']} control."
    if told:
        return f"{words} Auxiliaries: {told}."
    why = {a["reason"] for a in block["auxiliaries"]}
    whom = "that one" if people == 1 else "them"
    return f"{words} Nothing beside arm, baseline and strata tells of {whom}: {'; '.join(sorted(map(str, why)))}."


def _known(n: int, people: int) -> str:
    if people == 1:
        return "known of that one" if n else "not known of that one"
    return f"known of {n} of them"


def _way(delta: float) -> str:
    return f"{number(abs(delta))} {'higher' if delta > 0 else 'lower'}"


def tipping_sentences(arms: Row) -> list[str]:
    """Say how far what is imputed must be wrong before p reaches alpha, in one arm and in both."""
    tipping: Row = arms["sensitivity"]["tipping_point"]
    alpha = arms["plan"]["alpha"]
    blocks = {"active": tipping, "control": tipping["control"]}
    if tipping["control"] is None:
        return [_sentence(tipping["reason"])]
    said = []
    imputed = arms["sensitivity"]["multiple_imputation"]["imputed"]
    for arm, block in blocks.items():
        if block["delta"] is not None:
            whom = f"The missing {arm} patient" if imputed and imputed[arm] == 1 else f"Missing {arm} patients"
            said.append(
                f"{whom} would have to be {_way(block['delta'])} in TBRmax than imputed "
                f"({number(abs(block['delta_in_residual_sd']), 1)} residual SD) before p reaches {alpha:g}."
            )
        else:
            said.append(_sentence(f"{arm} arm: {block['reason']}"))
    if tipping["reason"] and tipping["reason"] == tipping["control"]["reason"]:
        return [_sentence(tipping["reason"])]
    nearest = tipping["nearest"]
    if nearest["reason"] and imputed and all(imputed.values()):
        said.append(_sentence(f"both arms together: {nearest['reason']}"))
    if nearest["active_delta"] and nearest["control_delta"]:
        said.append(
            f"The nearest combination: active {_way(nearest['active_delta'])} and control "
            f"{_way(nearest['control_delta'])} than imputed ({number(nearest['distance_in_residual_sd'], 1)} residual "
            "SD in all)."
        )
    return said


def _sentence(words: str) -> str:
    return readable(f"{words[:1].upper()}{words[1:]}.")


@dataclass(frozen=True)
class DeltaTable:
    """Results over deltas in both arms.

    Attributes
    ----------
    columns : tuple
        Deltas of the control arm, in TBR and in residual SD.
    rows : tuple
        Delta of the active arm, likewise, and the cells: words, p, and whether p is below alpha.
    caption : str
    """

    columns: tuple[tuple[str, str], ...]
    rows: tuple[tuple[tuple[str, str], tuple[Row, ...]], ...]
    caption: str


def delta_table(arms: Row) -> DeltaTable | None:
    """Return the table of deltas; None where blinded or where no follow-up is imputed."""
    block = arms["sensitivity"] and arms["sensitivity"]["delta_grid"]
    if not block or block["cells"] is None:
        return None
    cells, sd = block["cells"], block["residual_sd"]
    alpha = arms["plan"]["alpha"]
    active = sorted({c["active_in_residual_sd"] for c in cells})
    control = sorted({c["control_in_residual_sd"] for c in cells})
    found = {(c["active_in_residual_sd"], c["control_in_residual_sd"]): c for c in cells}

    def heading(steps: float) -> tuple[str, str]:
        if steps == 0:
            return "0", "as imputed"
        return number(steps * sd, signed=True), f"{number(steps, 1, signed=True)} SD"

    def cell(row: Row) -> dict[str, Any]:
        return {"words": number(row["difference"], 3), "p": p_clause(row["p"]), "below": row["p"] < alpha}

    rows = tuple((heading(a), tuple(cell(found[a, c]) for c in control)) for a in active)
    n = block["imputed"]
    which, verb = ("follow-up", "is") if sum(n.values()) == 1 else ("follow-ups", "are")
    caption = (
        f"Difference in TBRmax where the imputed {which} ({n['active']} active, {n['control']} control) {verb} higher "
        f"or lower than imputed by a delta: rows, in the active arm; columns, in the control arm. SD: of the primary "
        f"model's residuals, {number(sd, 3)}. p below {alpha:g} is bold and has an asterisk."
    )
    return DeltaTable(tuple(map(heading, control)), rows, caption)


def composite_sentences(arms: Row) -> list[str]:
    """Say how the arms compare on active sections where none left is the best result; empty where not estimated."""
    block = arms["active_composite"]
    if not block or block["p"] is None:
        return []
    n, none, strata = block["n"], block["none_left"], block["strata"]
    return [
        "Patients with an active section at baseline, ranked by the mean TBRmax of their active sections at follow-up; "
        "none left is the best rank (composite strategy of ICH E9 R1).",
        f"No active section left at follow-up: {none['active']} of {n['active']} active and {none['control']} of "
        f"{n['control']} control (Fisher's exact test {p_clause(none['fisher_p'])}).",
        f"Of all pairs of an active and a control patient{', whatever their strata' if strata > 1 else ''}, the active "
        f"one fared better in {percent(100 * block['win_probability'], 0, signed=False)}, ties counting half (95 % "
        f"confidence interval {between(100 * block['win_low'], 100 * block['win_high'], 0)}; 50 is no difference). "
        f"{_rank_test(sum(n.values()), strata)}: {p_clause(block['p'])}; adjusted for baseline, by random exchange "
        f"of the arms, {p_clause(block['p_adjusted'])}. The interval (Newcombe's) and the tests are different "
        "methods, which need not agree in small samples.",
        *([f"Not ranked: {missing_words(block['missing'])}."] if block["missing"] else []),
    ]


def _rank_test(patients: int, strata: int) -> str:
    if strata > 1:
        return f"Van Elteren's rank test, which compares patients of one stratum only ({strata} strata)"
    return "Exact rank-sum test" if is_exact(patients, strata) else "Rank-sum test by random exchange of the arms"
