"""Choosing the index vessel and the locked sections from baseline alone, and sealing the choice."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from petflame.protocol import Protocol

if TYPE_CHECKING:
    import pandas as pd

TIE_TOLERANCE = 1e-12


@dataclass(frozen=True)
class Choice:
    """An index vessel and what it was chosen among.

    Attributes
    ----------
    index : str or None
        None where no candidate has a value.
    considered : tuple of str
        Candidates that it was chosen among, in the protocol's order.
    left_out : dict
        The other candidates, and why each was not considered.
    ties : tuple of str
        Said of candidates that share the highest value.
    """

    index: str | None
    considered: tuple[str, ...]
    left_out: dict[str, str]
    ties: tuple[str, ...] = ()

    @property
    def notes(self) -> tuple[str, ...]:
        """Ties, and candidates that could not be considered, in words."""
        return (*(f"{name} {why}" for name, why in self.left_out.items()), *self.ties)


def choose_index_vessel(vessels: pd.DataFrame, protocol: Protocol) -> Choice:
    """Choose the candidate with the highest mean TBRmax at baseline (Elkhawad 2012); ties go by candidate order.

    Parameters
    ----------
    vessels : DataFrame
        ``vessels.tsv`` of the baseline visit.
    protocol : Protocol
    """
    rows = {str(row["vessel"]): row for row in vessels.to_dict("records")}
    left_out: dict[str, str] = {}
    values: dict[str, float] = {}
    for name in protocol.summary.index_candidates:
        value = float(rows[name]["mean_tbr_max"]) if name in rows else float("nan")
        if math.isnan(value):
            left_out[name] = "has no mean TBRmax at baseline and was not considered"
        elif int(rows[name]["valid_sections"]) < protocol.summary.index_minimum_sections:
            left_out[name] = f"has {rows[name]['valid_sections']} valid section(s) at baseline: too few to consider"
        elif rows[name]["withheld"]:
            left_out[name] = f"is withheld at baseline ({rows[name]['reason']}) and was not considered"
        else:
            values[name] = value
    if not values:
        return Choice(None, (), left_out)
    top = max(values.values())
    tied = [name for name, value in values.items() if top - value <= TIE_TOLERANCE]
    ties = (f"{', '.join(tied)} tie; {tied[0]} comes first",) if len(tied) > 1 else ()
    return Choice(tied[0], tuple(values), left_out, ties)


def locked_sections(slices: pd.DataFrame, vessels: pd.DataFrame, protocol: Protocol) -> dict[str, dict[str, list[int]]]:
    """Sections of each vessel that form the most diseased segment, and those that are active, at baseline."""
    locked = {}
    spans = dict(zip(vessels["vessel"], vessels["mds_sections"], strict=True))
    for name, rows in slices.groupby("vessel", sort=False):
        valid = rows[rows["valid"].astype(bool)]
        active = valid.loc[valid["tbr_max"] >= protocol.summary.active_threshold, "section"]
        span = spans.get(name)
        first, last = map(int, span.split("-")) if isinstance(span, str) else (0, -1)
        locked[str(name)] = {"mds": list(range(first, last + 1)), "active": [int(s) for s in active]}
    return locked
