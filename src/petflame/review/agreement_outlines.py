"""How far reads agree in what they decide and in what they outline."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from itertools import combinations
from pathlib import Path
from typing import Any

from petflame.folders import VisitFolder
from petflame.review.agreement_columns import OVERLAP
from petflame.review.comparison import Comparison, OneRead, pairs_of
from petflame.review.differences import LEFT, AsFound, choice_of, overlap_of
from petflame.review.measured import apart_mm

INDEX = "index_vessel"


def overlaps(
    out: Path, reads: Sequence[OneRead], comparisons: Sequence[Comparison], vessels: Sequence[str]
) -> Iterable[dict[str, Any]]:
    """Yield the rows of ``overlap.tsv``; a vessel that a read rejects, or leaves out, has no outline to compare."""
    for compared in (c for c in comparisons if c.kind == "between" or len(c.readers) > 1 or len(comparisons) == 1):
        for one, other in pairs_of(reads, compared):
            found = AsFound(VisitFolder(out / "visits" / one.code))
            for vessel in vessels:
                choices = [choice_of(r.read, vessel, found) for r in (one, other)]
                if "rejected" in choices or LEFT in choices:
                    continue
                lines = [r.measured["centrelines"].get(vessel, ()) for r in (one, other)]
                apart = apart_mm(*lines)
                yield {
                    "comparison": compared.kind,
                    "readers": ", ".join(dict.fromkeys((one.reader, other.reader))),
                    "visit": one.code,
                    "vessel": vessel,
                    "dice": overlap_of(one.read, other.read, vessel, found),
                    "mean_apart_mm": float("nan") if apart is None else apart[0],
                    "most_apart_mm": float("nan") if apart is None else apart[1],
                    "found_by_both": vessel not in one.read.drawn and vessel not in other.read.drawn,
                }


def summary(rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Median and lowest overlap of each vessel that at least one reader drew."""
    import pandas as pd

    table = pd.DataFrame(rows, columns=list(OVERLAP))
    drawn = table[~table["found_by_both"].astype(bool)]
    return [
        {
            "comparison": comparison,
            "vessel": vessel,
            "n": len(own),
            "dice_median": float(own["dice"].median()),
            "dice_lowest": float(own["dice"].min()),
            "mean_apart_mm_median": float(own["mean_apart_mm"].median()),
        }
        for (comparison, vessel), own in drawn.groupby(["comparison", "vessel"], sort=True)
    ]


def decisions(
    out: Path, reads: Sequence[OneRead], comparisons: Sequence[Comparison], vessels: Sequence[str]
) -> Iterable[dict[str, Any]]:
    """Yield the rows of ``decisions.tsv``: a row a vessel and pair of readers, and one for the index vessel."""
    for compared in comparisons:
        pairs = pairs_of(reads, compared)
        if len(compared.raters) > 2:
            two = [Comparison(compared.kind, pair, pair) for pair in combinations(compared.raters, 2)]
            yield from decisions(out, reads, two, vessels)
            continue
        found = {code: AsFound(VisitFolder(out / "visits" / code)) for code in {one.code for one, _ in pairs}}
        for vessel in vessels:
            given = [tuple(choice_of(r.read, vessel, found[r.code]) for r in pair) for pair in pairs]
            yield {**compared.label, "vessel": vessel, **kappa_of(given)}
        index = [
            tuple(str(r.measured["index"]) for r in pair)
            for pair in pairs
            if not any(r.measured["reason"] for r in pair)
        ]
        yield {**compared.label, "vessel": INDEX, **kappa_of(index)}


def kappa_of(given: Sequence[tuple[str, ...]]) -> dict[str, Any]:
    """Return Cohen's kappa of pairs of words with its large-sample 95 % limits; none where only one word was used.

    References
    ----------
    Cohen J. Educ Psychol Meas 1960;20:37-46. Fleiss JL, Cohen J, Everitt BS. Psychol Bull 1969;72:323-327.

    >>> found = kappa_of([("yes", "yes")] * 20 + [("yes", "no")] * 5 + [("no", "yes")] * 10 + [("no", "no")] * 15)
    >>> found["n"], found["agree"], round(found["kappa"], 3)
    (50, 35, 0.4)
    """
    import numpy as np
    from statsmodels.stats.inter_rater import cohens_kappa

    row: dict[str, Any] = {"n": len(given), "agree": sum(a == b for a, b in given), "reason": ""}
    words = sorted({word for pair in given for word in pair})
    if len(words) < 2:
        return {**row, "reason": f"every decision is {words[0]}" if words else "nothing was read twice"}
    counts = Counter(given)
    table = np.array([[counts[a, b] for b in words] for a in words])
    with np.errstate(divide="ignore", invalid="ignore"):
        found = cohens_kappa(table)
    if not found.std_kappa > 0:
        return {**row, "kappa": float(found.kappa), "reason": "no limits: one of the two used one word alone"}
    return {
        **row,
        "kappa": float(found.kappa),
        "kappa_low": float(found.kappa_low),
        "kappa_high": float(found.kappa_upp),
    }
