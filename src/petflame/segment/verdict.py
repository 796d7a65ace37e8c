"""What is said of a vessel in a few words: wherever it stands, it rests on every check that was made."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from petflame.segment.product import Check, VesselFinding

State = Literal["unknown", "fail", "warn", "pass"]


@dataclass(frozen=True)
class Verdict:
    """A vessel's state.

    Attributes
    ----------
    state : {'unknown', 'fail', 'warn', 'pass'}
        Not found; kept out until a reader decides; counted, with a failed check; counted, without one.
    badge : str
        A few words.
    words : str
        The same with the reasons.
    """

    state: State
    badge: str
    words: str


def verdict(finding: VesselFinding) -> Verdict:
    """Say whether a vessel was found, needs a reader, or failed a check; only one that failed none passed.

    >>> import numpy as np
    >>> from petflame.segment.product import Check
    >>> shift = Check("PET-CT shift", False, "7.9 mm in the axial plane")
    >>> verdict(VesselFinding("seeds", None, (shift,), np.zeros((2, 3)))).words
    'look again: PET-CT shift failed (7.9 mm in the axial plane)'
    """
    if not len(finding.centreline_lps_mm):
        return Verdict("unknown", "not found", f"not found: {finding.reason}")
    if finding.withheld:
        return Verdict("fail", "needs a reader", f"needs a reader: {finding.reason}")
    failed = [check for check in finding.checks if not check.passed]
    if failed:
        badge = ", ".join(f"{c.name} {'not measured' if _is_open(c) else 'failed'}" for c in failed)
        said = "; ".join(f"{c.name} {c.message}" if _is_open(c) else f"{c.name} failed ({c.message})" for c in failed)
        return Verdict("warn", f"look again: {badge}", f"look again: {said}")
    return Verdict("pass", "all checks passed", "all checks passed") if finding.checks else _UNCHECKED


_UNCHECKED = Verdict("unknown", "not checked", "not checked")


def _is_open(check: Check) -> bool:
    """Whether nothing could be measured: that has not failed, and has not passed either."""
    return check.message.startswith("not measured")
