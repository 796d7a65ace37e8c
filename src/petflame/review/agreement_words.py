"""What the console says of the agreement of reads."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from petflame.anatomy import title

TITLES = {"index_vessel": "Index vessel", "index_background": "Its blood"}


def lines(found: Mapping[str, Any]) -> Iterator[str]:
    """Yield a line for each comparison and quantity that was estimated over all visits, and what was left out."""
    yield f"{found['reads']} of {found['planned']} planned reads are finished; {found['prefilled']} prefilled, left out"
    for name, why in found["not_measured"].items():
        yield f"not measured: {name}: {why}"
    for key, document in found["estimates"].items():
        kind, *readers, quantity, rows = key.split("/")
        if rows != "visits":
            continue
        head = f"{kind} {'readers' if kind == 'between' else 'reader'} {', '.join(readers)}, {_title(quantity)}"
        if document is None:
            yield f"{head}: not estimated, see agreement.tsv"
            continue
        agreed = document["icc"]["A,1"]
        said = "ICC not estimable" if agreed is None else f"ICC {_between(agreed, 'estimate', '')}"
        cv = document["within_subject_cv"]
        percent = "no CV" if cv is None else f"CV {100 * cv:.1f} %"
        yield (
            f"{head}: {document['subjects']} pairs, {said}, {percent}, repeatability coefficient "
            f"{_between(document, 'repeatability_coefficient', 'repeatability_coefficient_')}"
        )


def _title(quantity: str) -> str:
    return TITLES[quantity] if quantity in TITLES else title(quantity)


def _between(record: Mapping[str, float], key: str, stem: str) -> str:
    return f"{record[key]:.3f} ({record[f'{stem}low']:.3f} to {record[f'{stem}high']:.3f})"
