"""Bones: spine, ribs, sternum, shoulder girdle, arms, jaw and skull base."""

from __future__ import annotations

import numpy as np

from petflame.simulate.build import Morph, Part, mirrored
from petflame.simulate.shapes import smooth_curve
from petflame.space.grid import Array

_SPINE = np.array(
    [(-270, 46), (-160, 46), (-80, 50), (0, 44), (40, 38), (75, 31), (110, 22), (150, 16), (190, 14), (225, 15)], float
)
_THORACIC_MM = 22.0
_CERVICAL_MM = 17.5
_FIRST_THORACIC_Z = 66.0


def spine_y(z_mm: Array) -> Array:
    """Return the y of the vertebral bodies' centres at reference heights."""
    return smooth_curve(_SPINE[:, 0], _SPINE[:, 1:], np.asarray(z_mm, float))[:, 0]


def vertebra_heights() -> Array:
    """Return the heights of the vertebral centres in the reference anatomy, from below to above."""
    thoracic = _FIRST_THORACIC_Z - _THORACIC_MM * np.arange(14)[::-1]
    cervical = _FIRST_THORACIC_Z + _CERVICAL_MM * np.arange(1, 8)
    return np.concatenate([thoracic, cervical])


def spine(morph: Morph) -> list[Part]:
    """Return discs, vertebrae with arches and processes, canal and cord."""
    heights = vertebra_heights()
    column = [(0.0, float(y), float(z)) for z, y in zip(heights, spine_y(heights), strict=True)]
    radii = np.interp(heights, [-200, 0, 66, 100, 200], [17.5, 15.5, 14.0, 10.5, 9.5])
    parts = [Part("disc", morph.tube(column, (radii - 1.5).tolist()), "disc")]
    canal = [(0.0, y + r + 7.5, z) for (_, y, z), r in zip(column, radii, strict=True)]
    for (x, y, z), r in zip(column, radii, strict=True):
        half = 0.5 * (_THORACIC_MM if z < 70 else _CERVICAL_MM) - 3.0
        thoracic = z < 70
        behind, drop = y + r + 13.0, (16.0 if thoracic else 4.0)
        spinous = [(0, behind, z - 2), (0, behind + (26.0 if thoracic else 17.0), z - 2 - drop)]
        parts.append(Part("spinous", morph.tube(spinous, [4.0, 3.2]), "cortical_bone", "rib_marrow", 1.5))
        reach = 33.0 if thoracic else 24.0
        for side in (-1, 1):
            process = [(side * 10, y + r + 5, z), (side * reach, y + (r + 14 if thoracic else 4), z + 3)]
            parts.append(Part("transverse", morph.tube(process, [5.0, 4.0]), "cortical_bone", "rib_marrow", 1.5))
        body = morph.stack(
            [(z - half, x, y, r, 0.8 * r), (z, x, y, r - 1, 0.78 * r), (z + half, x, y, r, 0.8 * r)], 2.3
        )
        parts.append(Part("vertebrae", body, "cortical_bone", "marrow", 1.4))
    parts.append(Part("canal_bone", morph.tube(canal, 11.5), "cortical_bone", "marrow", 1.5))
    parts.append(Part("canal", morph.tube(canal, 8.5), "soft"))
    parts.append(Part("cord", morph.tube(canal, 4.8), "cord"))
    return parts


def ribs(morph: Morph) -> list[Part]:
    """Return eleven pairs of ribs with their costal cartilages."""
    parts = []
    around = np.linspace(-0.42 * np.pi, 0.40 * np.pi, 13)
    for number in range(1, 12):
        start = _FIRST_THORACIC_Z - _THORACIC_MM * (number - 1)
        fall = np.interp(number, [1, 3, 7, 11], [22, 45, 75, 85])
        points = []
        for angle in around:
            progress = (np.sin(-angle) + 1) / 2
            z = start - fall * progress
            y0 = np.interp(z, [-190, -110, 0, 40, 70], [14, 13, 12, 16, 20])
            half_width = np.interp(z, [-190, -110, -50, 0, 30, 50, 66], [140, 143, 142, 131, 115, 93, 70])
            half_depth = np.interp(z, [-190, -110, -50, 0, 30, 50, 66], [96, 99, 95, 86, 73, 57, 42])
            points.append((half_width * np.cos(angle), y0 + half_depth * np.sin(angle), z))
        bony, soft = points[3:], points[:4]
        bony.append((24.0, float(spine_y(np.array([start]))[0]) + 18, start + 1))
        for mirror in (list, mirrored):
            parts.append(Part("rib_cartilage", morph.tube(mirror(soft), 5.0), "cartilage"))
            parts.append(Part("rib", morph.tube(mirror(bony), 5.0), "cortical_bone", "rib_marrow", 1.4))
    return parts


def girdle(morph: Morph) -> list[Part]:
    """Return sternum, clavicles, scapulae and humeri."""
    sternum = [
        (-95, 0, -81, 10, 6),
        (-60, 0, -79, 18, 6),
        (0, 0, -70, 15, 6),
        (22, 0, -63, 22, 6.5),
        (48, 0, -52, 29, 7),
    ]
    parts = [Part("sternum", morph.stack(sternum, 2.6), "cortical_bone", "marrow", 1.5)]
    clavicle = [(17, -46, 50), (52, -46, 57), (96, -22, 64), (142, 4, 72)]
    blade = [((110, 76, 4), (5, 31, 54), (0.5, 1.0, 0.1)), ((126, 50, 54), (26, 7, 8), (-0.5, 0.3, 0.8))]
    shaft = [(164, 19, 48), (180, 20, 16), (191, 22, -40), (195, 20, -190)]
    for side in (1, -1):
        mirror = list if side == 1 else mirrored
        parts.append(Part("clavicle", morph.tube(mirror(clavicle), 6.0), "cortical_bone", "rib_marrow", 1.8))
        for centre, radii, normal in blade:
            flat = morph.ellipsoid(
                (side * centre[0], centre[1], centre[2]),
                (radii[1], radii[2], radii[0]),
                (side * normal[0], normal[1], normal[2]),
            )
            parts.append(Part("scapula", flat, "cortical_bone", "rib_marrow", 1.6))
        parts.append(
            Part("humerus", morph.ellipsoid((side * 158, 18, 54), (23, 22, 23)), "cortical_bone", "rib_marrow", 1.8)
        )
        parts.append(Part("humerus", morph.tube(mirror(shaft), [13, 11, 11, 11]), "cortical_bone", "marrow_limb", 3.5))
    return parts


def skull(morph: Morph) -> list[Part]:
    """Return skull base with brain, mandible and hyoid."""
    jaw = [(50, 4, 226), (49, 0, 200), (45, -14, 178), (33, -48, 168), (0, -70, 166)]
    jaw += [(-x, y, z) for x, y, z in jaw[-2::-1]]
    hyoid = [(18, -18, 150), (12, -34, 148), (0, -40, 147), (-12, -34, 148), (-18, -18, 150)]
    return [
        Part("skull", morph.ellipsoid((0, 30, 262), (66, 66, 66)), "cortical_bone", "brain", 7.0),
        Part("maxilla", morph.ellipsoid((0, -54, 206), (28, 26, 15)), "cortical_bone", "rib_marrow", 4.0),
        Part("mandible", morph.tube(jaw, [6, 7, 7.5, 7.5, 8, 7.5, 7.5, 7, 6]), "cortical_bone", "rib_marrow", 2.5),
        Part("hyoid", morph.tube(hyoid, 2.6), "cortical_bone"),
    ]
