"""Vessels that the software proposes, and a reader must accept before they count; and where it proposes none."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from petflame.anatomy import BY_NAME
from petflame.segment.product import Check, VesselFinding
from petflame.segment.seeds import SeededVessel, label_vessels
from petflame.segment.usual import usual_of
from petflame.space.grid import Array, Grid

if TYPE_CHECKING:
    from petflame.segment.geometric import Proposal

METHOD = "proposal"
REASON = "a proposal that no reader has accepted: accept it (petflame review), or set seeds or a label"
NONE = "no proposal"
TO_DO = "set points along it in the workbench (petflame review serve), or give seeds or a label"


def draw_proposals(proposals: dict[str, Proposal], grid: Grid) -> tuple[Array, dict[str, VesselFinding]]:
    """Draw the proposed vessels that are offered, with their usual radius.

    Returns
    -------
    labels : uint8 array
        Numbers of `petflame.anatomy`, on `grid`.
    findings : dict
        One for each proposal, withheld; one that is not offered is not found, says why, and where to start looking.
    """
    drawn = {
        name: SeededVessel(proposal.line_lps_mm, usual_of(name).radius_mm, False, float("nan"), 0.0)
        for name, proposal in proposals.items()
        if not proposal.refused
    }
    labels, voxels = label_vessels(drawn, grid)
    findings = {}
    for name, proposal in proposals.items():
        checks = tuple(Check(c.name, c.passed, c.message) for c in proposal.checks)
        if proposal.refused:
            words = f"{NONE}: {proposal.refused}; {TO_DO}"
            findings[name] = VesselFinding(
                "none", None, checks, np.zeros((0, 3)), True, words, start_lps_mm=proposal.start_lps_mm
            )
        elif voxels[name]:
            line = proposal.line_lps_mm if BY_NAME[name].kind == "artery" else proposal.line_lps_mm[::-1]
            evidence = Check("circle evidence", False, f"{proposal.evidence:.2f} mean evidence of round sections")
            confidence = round(float(np.clip(proposal.evidence, 0.0, 1.0)), 3)
            findings[name] = VesselFinding(
                METHOD, confidence, (evidence, *checks), line, True, REASON, start_lps_mm=proposal.start_lps_mm
            )
    return labels, findings
