"""The phantom's own regions: a careful reader's label map, landmarks, and centreline seeds."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from petflame.anatomy import BY_NAME
from petflame.simulate.anatomy import Anatomy
from petflame.simulate.lattice import Lattice
from petflame.simulate.pose import Pose
from petflame.simulate.scene import WallField, wall_fields
from petflame.simulate.shapes import Samples, Tube, stamp
from petflame.space.grid import Array

CORE_DEPTH_MM = 4.0
CORE_THIN_MM = 2.0
SEED_STEP_MM = 14.0
SEED_NOISE_MM = 1.5
LANDMARK_NOISE_MM = 1.5

_VEIN_NAMES = {"svc": "svc", "jugular_right": "jugular_right", "jugular_left": "jugular_left"}
_SOLID = ("liver", "vertebrae", "oesophagus", "thyroid", "lymph_node")


@dataclass(frozen=True)
class Stretch:
    """Part of a vessel between two axial planes (LPS z, mm)."""

    low_z_mm: float
    high_z_mm: float


def stretches(anatomy: Anatomy, pose: Pose) -> dict[str, Stretch]:
    """Return the axial extent that a reader draws of every vessel, in the given pose.

    The arch is what lies above the plane where ascending and descending aorta join; the ascending aorta begins
    about a centimetre above the coronary ostia; carotids run from the thoracic inlet to 15 mm above the bifurcation.
    """
    aorta = anatomy.vessels.artery("aorta")
    samples = aorta.lumen.sampled(pose)
    top = int(np.argmax(samples.points_mm[:, 2]))
    join = float(samples.points_mm[top, 2] - samples.radii_mm[top] - aorta.wall_mm)
    control = pose.apply(aorta.lumen.points_mm)[:, 2]
    out = {
        "aorta_ascending": Stretch(float(control[2] - 3.0), join),
        "aorta_arch": Stretch(join, np.inf),
        "aorta_descending": Stretch(float(control[12] + 12.0), join),
    }
    for side in ("right", "left"):
        line = anatomy.vessels.artery(f"carotid_{side}").lumen.points_mm
        start = line[1 if side == "right" else 3]
        high = pose.apply(anatomy.landmarks_mm[f"carotid_bifurcation_{side}"])[0, 2] + 15.0
        out[f"carotid_{side}"] = Stretch(float(pose.apply(start)[0, 2]), float(high))
        vein = pose.apply(anatomy.vessels.veins[f"jugular_{side}"].points_mm)[:, 2]
        out[f"jugular_{side}"] = Stretch(float(vein[1]), float(vein[4] + 6.0))
    svc = pose.apply(anatomy.vessels.veins["svc"].points_mm)[:, 2]
    out["svc"] = Stretch(float(svc[3]), float(svc[0] - 4.0))
    return out


def label_map(
    anatomy: Anatomy,
    lattice: Lattice,
    pose: Pose,
    cores: bool = False,
    neighbours: bool = True,
    walls: dict[str, WallField] | None = None,
) -> Array:
    """Return the label map: voxel centres inside the outer wall of arteries, the lumen of veins, the neighbours.

    Parameters
    ----------
    anatomy, lattice, pose
        What, where, and how the patient lies.
    cores : bool
        Give the veins' blood-pool cores (at least 4 mm inside the vein, or within 2 mm of the centreline where it is
        thinner) in place of the whole veins.
    neighbours : bool
        Whether to draw the neighbours too.
    walls : dict or None
        What `wall_fields` returns here, if it is known already.

    Returns
    -------
    (slices, rows, columns) uint8 array
        Label numbers of `petflame.anatomy`.
    """
    labels = np.zeros(lattice.shape, np.uint8)
    if neighbours:
        _draw_neighbours(labels, anatomy, lattice, pose)
    extent = stretches(anatomy, pose)
    for name in _VEIN_NAMES:
        _draw_vein(labels, anatomy.vessels.veins[name], extent[name], lattice, pose, BY_NAME[name].label, cores)
    for name, wall in (walls or wall_fields(anatomy, lattice, pose)).items():
        artery = anatomy.vessels.artery(name)
        if artery.group == "other":
            continue
        view = labels[wall.box]
        inside = wall.outer_mm < 0
        z = lattice.z[wall.box[0]][:, None, None]
        if artery.group != "aorta":
            view[inside & _between(z, extent[artery.name])] = BY_NAME[artery.name].label
            continue
        top = int(np.argmax(wall.samples.points_mm[:, 2]))
        before = wall.nearest < top
        for part, side in (("aorta_ascending", before), ("aorta_descending", ~before)):
            view[inside & side & _between(z, extent[part])] = BY_NAME[part].label
        view[inside & _between(z, extent["aorta_arch"])] = BY_NAME["aorta_arch"].label
    return labels


def _between(z: Array, extent: Stretch) -> Array:
    return (z >= extent.low_z_mm) & (z < extent.high_z_mm)


def _draw_neighbours(labels: Array, anatomy: Anatomy, lattice: Lattice, pose: Pose) -> None:
    parts = [p for p in (*anatomy.below, *anatomy.above) if p.name in (*_SOLID, "myocardium")]
    for part in parts:
        field = part.shape.field(lattice, pose, 1.0)
        if field is None:
            continue
        inside = field.distance_mm < 0
        if part.name == "myocardium":
            inside &= field.distance_mm > -part.core_depth_mm
        labels[field.box][inside] = BY_NAME[part.name].label


def _draw_vein(
    labels: Array, tube: Tube, extent: Stretch, lattice: Lattice, pose: Pose, label: int, cores: bool
) -> None:
    samples = tube.sampled(pose)
    if cores:
        radii = np.maximum(samples.radii_mm - CORE_DEPTH_MM, CORE_THIN_MM)
        samples = Samples(samples.points_mm, radii, samples.arc_mm)
    field = stamp(samples, lattice, 1.0)
    if field is not None:
        z = lattice.z[field.box[0]][:, None, None]
        labels[field.box][(field.distance_mm < 0) & _between(z, extent)] = label


def landmarks(anatomy: Anatomy, pose: Pose) -> dict[str, list[float]]:
    """Return the reading landmarks in the given pose, LPS mm."""
    return {name: pose.apply(point)[0].round(3).tolist() for name, point in anatomy.landmarks_mm.items()}


def seeds(anatomy: Anatomy, pose: Pose, rng: np.random.Generator) -> dict[str, list[list[float]]]:
    """Return centreline points of carotids and jugular veins as a reader clicks them, LPS mm, from below upwards.

    Points are at most 15 mm apart and off the centreline by about 1.5 mm in the axial plane. The carotid bifurcations
    are single points with an error of `LANDMARK_NOISE_MM` along each axis.
    """
    extent = stretches(anatomy, pose)
    out = {}
    for name in ("carotid_right", "carotid_left", "jugular_right", "jugular_left"):
        veins = anatomy.vessels.veins
        tube = veins[name] if name in veins else anatomy.vessels.artery(name).lumen
        samples = tube.sampled(pose)
        keep = _between(samples.points_mm[:, 2], extent[name])
        points, arc = samples.points_mm[keep], samples.arc_mm[keep]
        count = int(np.ceil((arc[-1] - arc[0]) / SEED_STEP_MM)) + 1
        at = np.linspace(arc[0], arc[-1], count)
        clicked = np.column_stack([np.interp(at, arc, points[:, k]) for k in range(3)])
        # Half the noise variance in each in-plane direction; the slice is chosen, so z has none.
        clicked[:, :2] += rng.normal(0.0, SEED_NOISE_MM / np.sqrt(2), (count, 2))
        out[name] = clicked.round(2).tolist()
    for side in ("right", "left"):
        name = f"carotid_bifurcation_{side}"
        place = pose.apply(anatomy.landmarks_mm[name])[0] + rng.normal(0.0, LANDMARK_NOISE_MM, 3)
        out[name] = [place.round(2).tolist()]
    return out
