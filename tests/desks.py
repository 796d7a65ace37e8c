"""Small visits to read: a carotid and a jugular vein of known course, stored in any axis order and direction."""

import json

import nibabel as nib
import numpy as np

import necks
from petflame.files import write_json, write_nifti
from petflame.folders import VisitFolder
from petflame.protocol import Protocol
from petflame.review.desk import Desk
from petflame.review.needs import required_vessels
from petflame.review.visit import read_visit_files
from petflame.segment.run import segment_visit
from petflame.space.grid import Grid, Volume

CODE = "V0123456789"
# What stands first along i, j, k; a turn in degrees about each axis.
STORED = {
    "RAS": ("RAS", 0.0),
    "LPS": ("LPS", 0.0),
    "permuted": ("SLA", 0.0),
    "oblique": ("LPS", 7.0),
    "oblique and permuted": ("PIR", -5.0),
}


def turn(degrees):
    """Rotation about x by an angle, then about z by half of it."""
    a, b = np.deg2rad([degrees, degrees / 2])
    x = np.array([[1, 0, 0], [0, np.cos(a), -np.sin(a)], [0, np.sin(a), np.cos(a)]])
    z = np.array([[np.cos(b), -np.sin(b), 0], [np.sin(b), np.cos(b), 0], [0, 0, 1]])
    whole = np.eye(4)
    whole[:3, :3] = z @ x
    return whole


def stored(volume, how):
    """Return a volume in another order of axes, the whole patient turned with it."""
    axes, degrees = STORED[how]
    orient = nib.orientations.ornt_transform(
        nib.io_orientation(volume.grid.affine), nib.orientations.axcodes2ornt(tuple(axes))
    )
    data = np.asfortranarray(nib.apply_orientation(volume.data, orient))
    affine = volume.grid.affine @ nib.orientations.inv_ornt_aff(orient, volume.grid.shape)
    return Volume(data, Grid(data.shape, turn(degrees) @ affine))


def turned_lps(points, how):
    """Return places of the patient, LPS mm, turned as `stored` turns the images."""
    flip = np.diag([-1.0, -1.0, 1.0])
    return np.asarray(points) @ (flip @ turn(STORED[how][1])[:3, :3] @ flip).T


def points_of(name, how="RAS", count=4, seed=None):
    """Return points on a vessel's true course, off by 1 mm where seeded."""
    line = necks.LINES[name]
    points = line[np.linspace(4, len(line) - 5, count).astype(int)].copy()
    if seed is not None:
        points[:, :2] += np.random.default_rng(seed).normal(0, 1.0, (count, 2))
    return turned_lps(points, how)


def make_visit(root, how="RAS", seeds=None):
    """Write a converted visit, segmented by seeds of a jugular vein (as found), below a folder."""
    root.mkdir(parents=True)
    visit = VisitFolder(root)
    write_nifti(visit.ct, stored(necks.ct(outside_hu=-80.0), how))
    write_nifti(visit.pet, stored(necks.pet(wall=2.0), how))
    write_json(visit.pet_json, {"suv_factor": 1.0, "suv_refused": []})
    given = {"jugular_left": points_of("jugular_left", how).tolist()} if seeds is None else seeds
    file = root.parent / f"{root.name}.seeds.json"
    file.write_text(json.dumps(given))
    segment_visit(root, "seeds", file)
    return root


def desk_of(root, review=None, reader="R1"):
    """Open a visit for a reader."""
    folder = (review or root.parent / "review") / reader
    return Desk(read_visit_files(root), root.name, reader, folder, required_vessels(Protocol()))


def act(desk, **action):
    """Do one action on the head as it is."""
    return desk.act(action, desk.head)


def seed(desk, vessel, points, snap=False):
    """Set points along a vessel."""
    for point in points:
        act(desk, kind="seed", op="add", vessel=vessel, lps_mm=[float(v) for v in point], snap=snap)
