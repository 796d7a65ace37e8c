"""What the geometric segmenter hands over."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from petflame.errors import Fault
from petflame.space.grid import Array


@dataclass(frozen=True)
class LimitCheck:
    """A figure of one vessel held against a limit.

    Attributes
    ----------
    name : str
        Name of the check.
    value : float
        Measured figure; its unit is part of the message.
    limit : float
        Figure that `value` is held against.
    passed : bool
        Whether the vessel passes.
    message : str
        What was measured, with figure and unit.
    """

    name: str
    value: float
    limit: float
    passed: bool
    message: str


def at_least(name: str, value: float, limit: float, words: str) -> LimitCheck:
    """Make a check that `value` is no less than `limit`."""
    return LimitCheck(name, value, limit, value >= limit, f"{value:.2f} {words} (at least {limit:g})")


def at_most(name: str, value: float, limit: float, words: str) -> LimitCheck:
    """Make a check that `value` is no more than `limit`."""
    return LimitCheck(name, value, limit, value <= limit, f"{value:.2f} {words} (at most {limit:g})")


def within(name: str, value: float, limits: tuple[float, float], words: str) -> LimitCheck:
    """Make a check that `value` lies between two limits."""
    passed = limits[0] <= value <= limits[1]
    nearest = limits[0] if value < sum(limits) / 2 else limits[1]
    return LimitCheck(name, value, nearest, passed, f"{value:.2f} {words} (between {limits[0]:g} and {limits[1]:g})")


@dataclass(frozen=True, eq=False)
class TubeFinding:
    """What was found of one vessel.

    Attributes
    ----------
    centreline_lps_mm : (n, 3) array
        Centres of the sections; from the heart outwards for the aorta, from the head downwards for the SVC. n = 0 where
        nothing was found.
    radius_mm : (n,) array
        Radius of the circle of equal area, per section.
    confidence : float
        0 to 1: share of the boundary with an edge, times the share of the checks that pass.
    checks : tuple of LimitCheck
        Every check made.
    withheld : bool
        True where a reader must look before the vessel is measured.
    reason : str
        Why it is withheld, or empty.
    """

    centreline_lps_mm: Array
    radius_mm: Array
    confidence: float
    checks: tuple[LimitCheck, ...]
    withheld: bool
    reason: str

    @classmethod
    def missing(cls, reason: str) -> TubeFinding:
        """Make the finding of a vessel that was not found."""
        return cls(np.zeros((0, 3)), np.zeros(0), 0.0, (), True, reason)


@dataclass(frozen=True, eq=False)
class Proposal:
    """A vessel of the neck that a reader has yet to accept, or to find where none is offered.

    Attributes
    ----------
    line_lps_mm : (n, 3) array
        Centres in axial planes 2 mm apart, from below upwards; also where it is not offered, as far as there is one.
    evidence : float
        Median evidence of its circles, -0.5 to 1.5.
    checks : tuple of LimitCheck
        What its being offered rests on.
    start_lps_mm : (float, float, float)
        Where such a vessel usually lies low in this neck: a place to start looking.
    refused : str
        Why it is not offered; empty where it is.
    """

    line_lps_mm: Array
    evidence: float
    checks: tuple[LimitCheck, ...]
    start_lps_mm: tuple[float, float, float]
    refused: str


@dataclass(frozen=True, eq=False)
class GeometricResult:
    """Label map and findings.

    Attributes
    ----------
    labels : (I, J, K) uint8 array
        Numbers of `petflame.anatomy`, on the grid of the CT that was given.
    vessels : dict
        Finding of ``aorta_ascending``, ``aorta_arch``, ``aorta_descending`` and ``svc``, found or not.
    landmarks_lps_mm : dict
        Name to (x, y, z): ``carina`` and ``right_pulmonary_artery_level`` where found.
    scope_faults : tuple of Fault
        Reasons why the scan is outside what this method is made for; then nothing is measured.
    proposals : dict
        Carotids and jugular veins, offered to a reader or not; not part of `labels`.
    """

    labels: Array
    vessels: dict[str, TubeFinding]
    landmarks_lps_mm: dict[str, tuple[float, float, float]]
    scope_faults: tuple[Fault, ...]
    proposals: dict[str, Proposal] = field(default_factory=dict)
