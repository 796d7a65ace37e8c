"""The outline of the body, its muscles, and the compartments of neck and thorax."""

from __future__ import annotations

from dataclasses import dataclass

from petflame.simulate.build import Morph, Part, mirrored
from petflame.simulate.shapes import Shape, Stack

# Rows are (z, centre x, centre y, half width, half depth) about the carina, LPS mm.
_TORSO = [
    (-260, 0, 16, 158, 108),
    (-160, 0, 14, 160, 112),
    (-90, 0, 12, 164, 114),
    (-20, 0, 12, 164, 108),
    (30, 0, 15, 158, 98),
    (56, 0, 17, 146, 88),
    (72, 0, 17, 116, 77),
    (88, 0, 14, 80, 69),
    (102, 0, 12, 63, 65),
    (116, 0, 11, 58, 64),
    (150, 0, 12, 57, 64),
    (185, 0, 17, 60, 66),
    (215, 0, 20, 68, 78),
    (300, 0, 20, 66, 80),
]
_FACE = [
    (150, 0, -8, 20, 30),
    (160, 0, -20, 40, 46),
    (172, 0, -24, 55, 58),
    (190, 0, -22, 63, 66),
    (215, 0, -16, 68, 74),
    (300, 0, -8, 68, 78),
]
_THORAX = [
    (-190, 0, 16, 132, 90),
    (-110, 0, 13, 136, 92),
    (-50, 0, 10, 134, 88),
    (0, 0, 10, 124, 79),
    (30, 0, 14, 108, 66),
    (50, 0, 18, 86, 50),
    (66, 0, 22, 60, 34),
    (76, 0, 25, 34, 16),
]
_MEDIASTINUM = [
    (-190, 5, -10, 60, 60),
    (-110, 12, -14, 64, 62),
    (-60, 8, -18, 54, 56),
    (-25, 2, -18, 46, 54),
    (5, 2, -14, 40, 50),
    (35, 1, -12, 40, 44),
    (60, 0, -8, 40, 40),
    (80, 0, 0, 42, 36),
]
_NECK_SPACE = [
    (66, 0, 14, 62, 46),
    (84, 0, 10, 56, 54),
    (105, 0, 8, 49, 54),
    (150, 0, 8, 47, 53),
    (190, 0, 8, 50, 54),
    (225, 0, 12, 54, 58),
]


@dataclass(frozen=True, eq=False)
class Outline:
    """Skin surface as shapes that are joined with a rounded seam, and the fat beneath it.

    Attributes
    ----------
    trunk : Stack
        Torso and neck.
    others : tuple of (Shape, float)
        Further shapes, each with the width of its seam (mm).
    fat_mm : float
        Thickness of the subcutaneous fat of the trunk.
    """

    trunk: Stack
    others: tuple[tuple[Shape, float], ...]
    fat_mm: float


def outline(morph: Morph, fat_mm: float) -> Outline:
    """Return the body's surface for a patient with the given subcutaneous fat (mm)."""
    extra = fat_mm - 14.0
    side = [(42, 34, 128), (78, 34, 100), (120, 28, 80), (158, 20, 58)]
    arm = [(158, 20, 58), (180, 20, 28), (191, 22, -30), (194, 22, -100), (196, 18, -190)]
    others: list[tuple[Shape, float]] = [(morph.stack(_FACE, 2.3), 16.0)]
    for mirror in (list, mirrored):
        others.append((morph.tube(mirror(side), [18 + extra, 23 + extra, 27 + extra, 34 + extra]), 32.0))
        others.append((morph.tube(mirror(arm), [35 + extra, 40 + extra, 38 + extra, 35 + extra, 32 + extra]), 14.0))
    return Outline(morph.stack(_TORSO, 2.35, grow_mm=extra), tuple(others), fat_mm)


def compartments(morph: Morph) -> list[Part]:
    """Return neck space, lungs and mediastinum, in painting order."""
    return [
        Part("neck_space", morph.stack(_NECK_SPACE, 2.2), "deep_fat"),
        Part("lung", morph.stack(_THORAX, 2.3), "lung"),
        Part("mediastinum", morph.stack(_MEDIASTINUM, 2.2), "mediastinal_fat"),
    ]


def muscles(morph: Morph) -> list[Part]:
    """Return the muscles that lie in the fat of the neck and beside the spine."""
    paired: dict[str, tuple[list[tuple[float, float, float]], list[float]]] = {
        "sternomastoid": (
            [(14, -50, 62), (26, -36, 92), (40, -14, 125), (50, 12, 165), (54, 26, 195)],
            [6, 8, 9, 9, 8],
        ),
        "scalene": ([(52, 12, 80), (36, 16, 98), (26, 18, 130), (22, 18, 170)], [11, 11, 10, 8]),
        "levator": ([(58, 44, 84), (42, 38, 120), (34, 32, 160), (32, 26, 195)], [10, 11, 9, 8]),
        "semispinalis": (
            [(16, 66, 66), (17, 56, 100), (17, 50, 140), (19, 50, 185), (22, 56, 215)],
            [13, 14, 15, 16, 16],
        ),
        "splenius": ([(32, 60, 80), (34, 50, 115), (35, 46, 150), (38, 44, 195)], [9, 10, 10, 10]),
        "erector": ([(26, 82, -250), (26, 80, -80), (25, 74, 10), (20, 66, 70)], [19, 20, 17, 13]),
        "longus": ([(8, 10, 95), (8, 2, 130), (8, -2, 170), (8, -2, 205)], [5, 6, 6, 5]),
        "strap": ([(8, -42, 72), (12, -44, 95), (13, -46, 120), (10, -46, 142)], [4, 4, 4.5, 5]),
        "pterygoid": ([(40, -10, 178), (42, -8, 200), (40, -6, 230)], [9, 11, 12]),
    }
    parts = [
        Part(name, morph.tube(mirror(points), radii), "muscle")
        for name, (points, radii) in paired.items()
        for mirror in (list, mirrored)
    ]
    parts.append(
        Part("paraspinal", morph.stack([(-260, 0, 66, 46, 34), (0, 0, 58, 42, 32), (72, 0, 50, 40, 30)], 2.4), "soft")
    )
    parts.append(
        Part(
            "pharynx",
            morph.tube([(0, -16, 118), (0, -14, 145), (0, -12, 175), (0, -14, 210)], [13, 16, 18, 17]),
            "soft",
        )
    )
    parts.append(Part("tongue", morph.ellipsoid((0, -46, 178), (24, 30, 18)), "tongue"))
    parts.append(Part("mouth_floor", morph.ellipsoid((0, -36, 160), (26, 30, 11)), "muscle"))
    return parts
