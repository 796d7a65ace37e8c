"""By which rules vessels were found without a reader, kept with the labels and held against the protocol."""

from __future__ import annotations

from dataclasses import replace

from petflame.anatomy import AutomaticRegions
from petflame.errors import InputRefused
from petflame.segment.product import ACCEPTED, Segmentation

SOFTWARE = ("geometric", "totalsegmentator")
# Regions of TotalSegmentator are alike by either rule, but that the ends of one vein are then cut by the PET, or not.
ENDS_CUT = "svc"
REGIONS = "regions"
# Labels from before there was a choice name none.
BEFORE_THE_CHOICE = "former"


def found_by_rule(segmentation: Segmentation) -> list[str]:
    """Name the vessels whose region, or absence, depends on the rules, in the order of the file."""
    makers = {name: finding.method.removesuffix(ACCEPTED) for name, finding in segmentation.vessels.items()}
    return [n for n, m in makers.items() if m == SOFTWARE[0] or (m in SOFTWARE and n == ENDS_CUT)]


def with_rules(segmentation: Segmentation, regions: AutomaticRegions) -> Segmentation:
    """Write into the provenance by which rules vessels were found; nothing where none depends on them."""
    if not found_by_rule(segmentation):
        return segmentation
    return replace(segmentation, provenance=segmentation.provenance | {REGIONS: regions})


def require_rules(segmentation: Segmentation, regions: AutomaticRegions, where: str) -> None:
    """Refuse regions that were found by other rules than the protocol's; a reader's own are never refused.

    Raises
    ------
    InputRefused
        With the vessels and both rules.
    """
    names = found_by_rule(segmentation)
    kept = segmentation.provenance.get(REGIONS, BEFORE_THE_CHOICE)
    if names and kept != regions:
        what = f"its {', '.join(names)} were found by the rules `{kept}`, and the protocol asks for `{regions}`"
        remedy = "run `petflame segment` with this --protocol, or measure by the protocol of the segmentation"
        raise InputRefused.of(what, where, remedy)
