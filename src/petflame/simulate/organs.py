"""Heart, airways, lungs' vessels, upper abdomen, glands and lymph nodes."""

from __future__ import annotations

import numpy as np

from petflame.simulate.build import Morph, Part, mirrored

_HEART_AXIS = (0.62, -0.55, -0.56)


def abdomen(morph: Morph, dome_mm: float) -> list[Part]:
    """Return liver, spleen and stomach; `dome_mm` raises the diaphragm."""
    return [
        Part("liver", morph.ellipsoid((-62, 8, -178 + dome_mm), (80, 82, 78)), "liver"),
        Part("liver", morph.ellipsoid((10, -30, -180 + dome_mm), (70, 50, 50)), "liver"),
        Part("stomach", morph.ellipsoid((66, -2, -184 + dome_mm), (58, 60, 66)), "stomach"),
        Part("spleen", morph.ellipsoid((88, 50, -176 + dome_mm), (34, 40, 44)), "spleen"),
    ]


def heart(morph: Morph) -> list[Part]:
    """Return pericardium, chambers and the left ventricle with its myocardium."""
    return [
        Part("pericardium", morph.ellipsoid((20, -36, -86), (66, 50, 50), _HEART_AXIS), "mediastinal_fat"),
        Part("left_atrium", morph.ellipsoid((4, 4, -62), (34, 18, 23)), "atrium_wall", "blood", 2.0),
        Part("right_atrium", morph.ellipsoid((-38, -26, -78), (24, 27, 33)), "atrium_wall", "blood", 2.0),
        Part("right_ventricle", morph.ellipsoid((8, -58, -92), (28, 26, 46), _HEART_AXIS), "atrium_wall", "blood", 3.0),
        Part("myocardium", morph.ellipsoid((44, -32, -100), (32, 31, 47), _HEART_AXIS), "myocardium", "blood", 10.0),
    ]


def airways(morph: Morph) -> list[Part]:
    """Return pharynx air, larynx, trachea and main bronchi; air is painted after the wall."""
    trachea: list[tuple[float, float, float]] = [(0, -27, 122), (0, -24, 100), (-1, -10, 62), (-4, 0, 28), (0, 3, 2)]
    right: list[tuple[float, float, float]] = [(0, 3, 4), (-17, 8, -14), (-36, 14, -27), (-50, 16, -45)]
    left: list[tuple[float, float, float]] = [(0, 3, 4), (20, 9, -16), (42, 17, -31), (54, 20, -46)]
    throat: list[tuple[float, float, float]] = [(0, -28, 120), (0, -18, 140), (0, -8, 165), (0, -4, 190), (0, -12, 215)]
    tubes: list[tuple[list[tuple[float, float, float]], list[float]]] = [
        (trachea, [8.5, 9, 9.5, 9.5, 9]),
        (right, [8, 7.5, 6, 4.5]),
        (left, [7.5, 6.5, 5.5, 4]),
        (throat, [6, 8, 7, 9, 12]),
    ]
    parts = [Part("larynx", morph.ellipsoid((0, -30, 124), (19, 17, 17)), "cartilage", "soft", 3.0)]
    parts += [
        Part("airway_wall", morph.tube(points, [r + 1.6 for r in radii]), "airway_wall") for points, radii in tubes
    ]
    parts += [Part("airway", morph.tube(points, radii), "air") for points, radii in tubes]
    parts.append(Part("nose", morph.ellipsoid((0, -42, 224), (14, 34, 14)), "air"))
    return parts


def lung_vessels(morph: Morph, rng: np.random.Generator) -> list[Part]:
    """Return sixteen branching pulmonary vessels a side, fanning out from the hila."""
    parts = []
    for side in (1, -1):
        hilum = np.array([side * 46.0, 6.0, -22.0])
        for angle in np.linspace(0, 2 * np.pi, 16, endpoint=False) + rng.uniform(-0.15, 0.15, 16):
            lateral, reach = rng.uniform(0.45, 1.0), rng.uniform(45, 75)
            away = np.array([side * lateral, 0.75 * np.cos(angle), 1.1 * np.sin(angle)])
            away /= np.linalg.norm(away)
            bend = rng.normal(0, 6, (3, 3))
            line = [hilum + away * reach * t + bend[k] * t for k, t in enumerate((0.33, 0.66, 1.0))]
            parts.append(Part("lung_vessel", morph.tube(np.array([hilum, *line]), [4.6, 3.2, 2.2, 1.2]), "lung_vessel"))
            fork = line[0] + (line[1] - line[0]) * 0.4
            turn = away + rng.normal(0, 0.5, 3)
            twig = [fork, fork + turn * 16, fork + turn * 34 + rng.normal(0, 3, 3)]
            parts.append(Part("lung_vessel", morph.tube(np.array(twig), [2.4, 1.8, 1.1]), "lung_vessel"))
    return parts


def oesophagus(morph: Morph) -> list[Part]:
    """Return the oesophagus, from the cricoid to the hiatus."""
    line = [(1, -6, 108), (5, 6, 70), (6, 16, 35), (5, 21, 0), (8, 24, -50), (10, 20, -110), (16, 8, -165)]
    return [Part("oesophagus", morph.tube(line, [6, 6.5, 6.5, 6.5, 7, 7, 8]), "oesophagus")]


def glands(morph: Morph, rng: np.random.Generator) -> list[Part]:
    """Return thyroid, salivary glands and tonsils."""
    parts = []
    size = rng.uniform(0.85, 1.2)
    lobe = [(15, -22, 82), (17, -22, 94), (19, -20, 106), (18, -16, 116)]
    for side in (1, -1):
        mirror = list if side == 1 else mirrored
        radii = [6 * size, 8.5 * size, 7.5 * size, 4 * size]
        parts.append(Part("thyroid", morph.tube(mirror(lobe), radii), "thyroid"))
        parts.append(Part("gland", morph.ellipsoid((side * 51, 12, 192), (9, 15, 20)), "gland"))
        parts.append(Part("gland", morph.ellipsoid((side * 30, -24, 160), (10, 14, 12)), "gland"))
        parts.append(Part("tonsil", morph.ellipsoid((side * 15, -14, 178), (6, 8, 10)), "tonsil"))
    parts.append(Part("thyroid", morph.tube([(-14, -33, 90), (0, -37, 91), (14, -33, 90)], [4.5, 3.5, 4.5]), "thyroid"))
    return parts


def lymph_nodes(morph: Morph, rng: np.random.Generator) -> list[Part]:
    """Return cervical, mediastinal, hilar and axillary nodes that vary from patient to patient."""
    sites = [
        (43, -4, 152),
        (45, 8, 132),
        (44, 12, 108),
        (-14, -6, 14),
        (13, 2, -24),
        (-8, 12, -28),
        (48, 10, -24),
        (140, 10, 26),
    ]
    parts = []
    for x, y, z in sites:
        for side in (1, -1) if abs(x) > 20 else (1,):
            if rng.random() < 0.7:
                centre = np.array([side * x, y, z]) + rng.normal(0, 2, 3)
                radii = rng.uniform(2.6, 4.2) * rng.uniform(0.8, 1.25, 3)
                parts.append(Part("lymph_node", morph.ellipsoid(centre.tolist(), radii.tolist()), "lymph_node"))
    return parts
