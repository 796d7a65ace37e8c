"""Weight-free segmentation of the thoracic aorta and superior vena cava on unenhanced low-dose CT."""

from petflame.segment.geometric.finder import find_vessels
from petflame.segment.geometric.result import GeometricResult, LimitCheck, Proposal, TubeFinding

__all__ = ["GeometricResult", "LimitCheck", "Proposal", "TubeFinding", "find_vessels"]
