"""What a vessel still needs of a reader, in one word and a few."""

from __future__ import annotations

from collections.abc import Collection

from petflame.anatomy import AORTA
from petflame.protocol import Protocol
from petflame.review.state import VESSELS, VesselRead
from petflame.segment.product import VesselFinding
from petflame.segment.proposals import METHOD as PROPOSAL
from petflame.segment.verdict import verdict


def required_vessels(protocol: Protocol) -> tuple[str, ...]:
    """Return the arteries that a protocol asks for and the veins that their blood is read in."""
    arteries = {*protocol.summary.index_candidates, *protocol.summary.target_vessels}
    veins = {vein for artery in arteries for vein in protocol.background.regions.get(artery, ())}
    return tuple(name for name in VESSELS if name in arteries | veins)


def state_of(vessel: VesselRead, finding: VesselFinding | None) -> str:
    """Return 'accepted', 'rejected', 'painted', 'seeded', 'missing', 'proposed', 'withheld' or 'found'."""
    if vessel.decision is not None:
        return "accepted" if vessel.decision.choice == "accept" else "rejected"
    if vessel.painted or vessel.taken is not None:
        return "painted"
    if vessel.seeds:
        return "seeded"
    if finding is None or not len(finding.centreline_lps_mm):
        return "missing"
    if finding.method == PROPOSAL:
        return "proposed"
    return "withheld" if finding.withheld else "found"


def needs_reader(name: str, vessel: VesselRead, finding: VesselFinding | None, required: Collection[str]) -> bool:
    """Whether a vessel waits for a reader: one that the protocol asks for and nobody has decided on, unless it is sure.

    What a reader has drawn waits for their word too.
    """
    state = state_of(vessel, finding)
    if state in ("painted", "seeded"):
        return True
    return name in required and state in ("missing", "proposed", "withheld")


def why(name: str, vessel: VesselRead, finding: VesselFinding | None) -> str:
    """Say what a vessel's state rests on."""
    state = state_of(vessel, finding)
    if vessel.decision is not None:
        return f"{state}: {vessel.decision.words}" if vessel.decision.words else state
    if vessel.is_prefilled:
        return "prefilled points wait to be confirmed"
    if state in ("painted", "seeded"):
        return "drawn; accept or reject it"
    if state == "missing" or finding is None:
        return "not found: set points along it"
    return verdict(finding).words if name not in AORTA or finding.checks else state
