"""One visit of one participant in memory: CT, PET, regions and truth, without DICOM."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from petflame.labelmap import LabelMap
from petflame.simulate.anatomy import Anatomy, draw_anatomy
from petflame.simulate.ct import draw_ct
from petflame.simulate.lattice import Lattice, centred
from petflame.simulate.pet import Camera, Uptake, add_noise, draw_pet
from petflame.simulate.plan import VisitPlan
from petflame.simulate.regions import label_map, landmarks, seeds
from petflame.simulate.scene import wall_fields
from petflame.simulate.streams import stream
from petflame.space.grid import Array

SizeName = Literal["tiny", "fast", "full"]


@dataclass(frozen=True)
class Size:
    """How finely a visit is drawn.

    Attributes
    ----------
    ct, pet : Lattice
        Voxels of the two series.
    refine : (int, int)
        Parts of a PET voxel, in plane and axially, on which uptake is drawn.
    """

    ct: Lattice
    pet: Lattice
    refine: tuple[int, int]


SIZES: Mapping[str, Size] = {
    "tiny": Size(
        ct=centred(112, 76, 88, 3.9, 4.0, 22.0, -134.0),
        pet=centred(96, 64, 88, 4.5, 4.0, 22.0, -134.0),
        refine=(2, 1),
    ),
    "fast": Size(
        ct=centred(192, 192, 124, 2.5, 3.0, 22.0, -144.0),
        pet=centred(120, 120, 124, 4.0, 3.0, 22.0, -142.5),
        refine=(2, 1),
    ),
    "full": Size(
        ct=centred(512, 512, 195, 0.9766, 2.0, 22.0, -150.0),
        pet=centred(200, 200, 128, 4.0728, 3.0, 22.0, -147.0),
        refine=(3, 2),
    ),
}


@dataclass(frozen=True, eq=False)
class SimulatedVisit:
    """Images and regions of one visit; arrays have shape (slices, rows, columns).

    Attributes
    ----------
    plan : VisitPlan
    size : Size
    ct_hu : int16 array on ``size.ct``
    pet_suv : float32 array on ``size.pet``
        SUVbw with noise; `noiseless_suv` is the same before noise.
    labels : uint8 array on ``size.ct``
        As a careful reader draws them on the CT.
    truth_labels : uint8 array on ``size.pet``
        Regions at the PET's own position; veins are blood-pool cores.
    landmarks_lps_mm, seeds_lps_mm : dict
        In the CT's position.
    """

    plan: VisitPlan
    size: Size
    ct_hu: Array
    pet_suv: Array
    noiseless_suv: Array
    labels: Array
    truth_labels: Array
    landmarks_lps_mm: dict[str, list[float]]
    seeds_lps_mm: dict[str, list[list[float]]]

    def ct(self) -> Any:
        """Return the CT as a `Volume` (HU)."""
        return self.size.ct.volume(self.ct_hu)

    def label_map(self) -> LabelMap:
        """Return the labels on the CT's grid."""
        labels = self.size.ct.volume(self.labels)
        return LabelMap(labels.data, labels.grid)

    def pet(self) -> Any:
        """Return the PET as a `Volume` (SUVbw)."""
        return self.size.pet.volume(self.pet_suv)


def anatomy_of(plan: VisitPlan) -> Anatomy:
    """Return the participant's anatomy, the same at both visits."""
    return draw_anatomy(stream(plan.seed, plan.participant_id, "anatomy"), plan.male, plan.bmi)


def uptake_of(plan: VisitPlan) -> Uptake:
    """Return what the tracer does at this visit."""
    return Uptake(plan.blood_suv, dict(plan.excess), dict(plan.tissue_suv))


def camera_of(plan: VisitPlan) -> Camera:
    """Return how the visit's scanner sees."""
    return Camera(plan.scanner.fwhm_mm, plan.noise_cv)


def pet_image(
    plan: VisitPlan, anatomy: Anatomy, lattice: Lattice, refine: tuple[int, int], noise: bool = True
) -> tuple[Array, Array]:
    """Return the PET with and without noise on any lattice, SUVbw, each (slices, rows, columns).

    Only the part of the lattice that can hold the body is drawn; the rest is air.
    """
    part, box = lattice.cropped(np.array([-262.0, -128.0, -1e4]), np.array([262.0, 172.0, 1e4]))
    clean = np.zeros(lattice.shape, np.float32)
    clean[box] = draw_pet(anatomy, part, plan.pet_pose, uptake_of(plan), camera_of(plan), refine)
    if not noise:
        return clean, clean
    rng = stream(plan.seed, plan.participant_id, plan.visit, "pet noise", lattice.shape)
    return add_noise(clean, lattice, camera_of(plan), rng), clean


def simulate_visit(plan: VisitPlan, size: SizeName = "tiny") -> SimulatedVisit:
    """Draw one visit in memory.

    Parameters
    ----------
    plan : VisitPlan
        From `plan_trial`.
    size : {'tiny', 'fast', 'full'}
    """
    chosen = SIZES[size]
    anatomy = anatomy_of(plan)
    names = (plan.participant_id, plan.visit)
    walls = wall_fields(anatomy, chosen.ct, plan.ct_pose)
    noise = stream(plan.seed, *names, "ct noise", size)
    hu = draw_ct(anatomy, chosen.ct, plan.ct_pose, noise, plan.scanner.ct_noise_hu, walls)
    noisy, clean = pet_image(plan, anatomy, chosen.pet, chosen.refine)
    return SimulatedVisit(
        plan=plan,
        size=chosen,
        ct_hu=hu,
        pet_suv=noisy,
        noiseless_suv=clean,
        labels=label_map(anatomy, chosen.ct, plan.ct_pose, walls=walls),
        truth_labels=label_map(anatomy, chosen.pet, plan.pet_pose, cores=True),
        landmarks_lps_mm=landmarks(anatomy, plan.ct_pose),
        seeds_lps_mm=seeds(anatomy, plan.ct_pose, stream(plan.seed, *names, "seeds")),
    )
