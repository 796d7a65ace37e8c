"""Fused PET/CT pictures of a visit: CT in grey, PET in a hot colour map, contours and marks as vector lines.

The raster carries no text; it is a JPEG inside an SVG that adds contours, sides and a scale bar. Nothing in a picture
tells date, identity or where the images came from.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from markupsafe import Markup

from petflame.anatomy import ARTERIES, BY_NAME, title
from petflame.files import read_nifti
from petflame.folders import VisitFolder
from petflame.labelmap import LabelMap
from petflame.report.raster import Canvas, fuse
from petflame.report.views import (
    AXIAL_WIDTH_MM,
    View,
    axial_view,
    curve_extent,
    curved_view,
    cut_region,
    largest_in_slab,
    mean_of_slab,
    sample,
)
from petflame.segment.product import Segmentation, read_segmentation
from petflame.space.grid import Array, Volume, ras_to_lps
from petflame.space.orientation import to_canonical

SLAB_CT_MM = np.array([-2.0, 0.0, 2.0])
SLAB_PET_MM = np.array([-6.0, -3.0, 0.0, 3.0, 6.0])


@dataclass(frozen=True)
class PictureOrder:
    """What to draw of one visit.

    Attributes
    ----------
    folder : VisitFolder
    name : str
        'Baseline' or 'Follow-up', for the alternative text.
    vessel : str
        Vessel to emphasise: the index vessel where there is one.
    targets : tuple of str
        Vessels that the curved view passes through.
    section_z_mm : float or None
        Height of the axial picture, z mm; None leaves it out.
    background : float or None
        Blood pool of `vessel`, in the image's unit; None takes `peak_tbr`.
    peak_tbr : float
        Largest TBR of `vessel`; with `background` None it scales an image without SUV.
    top_tbr : float
        Upper end of the colour window.
    margin_mm : float
        Margin of the measured regions.
    withheld : frozenset of str
        Vessels that the visit's tables keep out, beside those that need a reader themselves.
    """

    folder: VisitFolder
    name: str
    vessel: str
    targets: tuple[str, ...]
    section_z_mm: float | None
    background: float | None
    peak_tbr: float
    top_tbr: float
    margin_mm: float
    withheld: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Picture:
    """A finished picture: the element, what it shows in words, and the size of its raster in bytes."""

    svg: Markup
    caption: str
    raster_bytes: int


@dataclass(frozen=True, eq=False)
class Scene:
    """The images of one visit; `background` is what PET is divided by to be painted, `withheld` counts nowhere."""

    pet: Volume
    ct: Volume | None
    segmentation: Segmentation
    labels: LabelMap
    background: float
    withheld: frozenset[str]


def draw_participant(orders: Sequence[PictureOrder]) -> list[dict[str, Picture]]:
    """Draw the visits of one participant: 'curved', of equal height, and 'axial' where a section is named.

    Raises
    ------
    InputRefused
        When an image of a visit folder cannot be read.
    """
    scenes = [open_scene(order) for order in orders]
    extents = [_extent(scene, order) for scene, order in zip(scenes, orders, strict=True)]
    height = max((high - low for low, high in filter(None, extents)), default=0.0)
    drawn = []
    for order, scene, extent in zip(orders, scenes, extents, strict=True):
        pictures = {}
        if extent is not None:
            view = curved_view(target_lines(scene.segmentation, order.targets), extent[1] - height, extent[1])
            pictures["curved"] = _curved(scene, view, order)
        axial = _axial(scene, order) if order.section_z_mm is not None else None
        if axial is not None:
            pictures["axial"] = axial
        drawn.append(pictures)
    return drawn


def _extent(scene: Scene, order: PictureOrder) -> tuple[float, float] | None:
    """Lowest and highest z of the curved view, mm: where there are vessels and images."""
    lines = target_lines(scene.segmentation, order.targets)
    if not lines:
        return None
    low, high = curve_extent(lines)
    images = [scene.pet.grid] + ([scene.ct.grid] if scene.ct is not None else [])
    ends = [np.sort(g.to_ras(np.array([[0, 0, 0], np.array(g.shape) - 1]))[:, 2]) for g in images]
    return max(low, *(float(e[0]) for e in ends)), min(high, *(float(e[1]) for e in ends))


def target_lines(segmentation: Segmentation, targets: Sequence[str]) -> dict[str, Array]:
    """Centrelines of the target vessels that have one, each (n, 3), LPS mm."""
    found = {name: segmentation.vessels[name].centreline_lps_mm for name in targets if name in segmentation.vessels}
    return {name: line for name, line in found.items() if len(line) > 1}


def open_scene(order: PictureOrder, as_found: bool = False) -> Scene:
    """Read the images and labels that an order is about; with `as_found` the labels before a reader's edits."""
    segmentation = read_segmentation(order.folder, as_found)
    pet = to_canonical(read_nifti(order.folder.pet))
    labels = to_canonical(segmentation.labels)
    ct = read_nifti(order.folder.ct) if order.folder.ct.exists() else None
    background = order.background
    if background is None:
        mask = Volume(labels.mask(order.vessel).data.astype(np.float32), labels.grid)
        inside = sample(mask, _centres(pet), 0.0) > 0.5
        background = float(pet.data[inside].max(initial=1.0)) / order.peak_tbr
    withheld = order.withheld | {name for name, finding in segmentation.vessels.items() if finding.withheld}
    return Scene(pet, ct, segmentation, labels, background, withheld)


def _centres(volume: Volume) -> Array:
    return ras_to_lps(volume.grid.to_ras(volume.grid.voxels()))


def region_mask(scene: Scene, name: str, low_z_mm: float = -np.inf, high_z_mm: float = np.inf) -> Volume | None:
    """The region's own box, cut to a range of heights; None where nothing is left."""
    if not scene.labels.has(name):
        return None
    part = scene.labels.cut(name)
    heights = part.grid.affine[2, 3] + part.grid.affine[2, 2] * np.arange(part.grid.shape[2])
    keep = np.flatnonzero((heights >= low_z_mm) & (heights <= high_z_mm))
    if not len(keep):
        return None
    part = part.cropped((slice(None), slice(None), slice(keep[0], keep[-1] + 1)))
    return part if part.data.any() else None


def _curved(scene: Scene, view: View, order: PictureOrder) -> Picture:
    hu = None if scene.ct is None else mean_of_slab(scene.ct, view, SLAB_CT_MM, -1000.0)
    tbr = largest_in_slab(scene.pet, view, SLAB_PET_MM) / scene.background
    shown = [name for name in ARTERIES if scene.labels.has(name)]
    words = (
        f"{order.name}: curved coronal PET/CT through {_listed([title(n).lower() for n in order.targets])}; "
        f"{title(order.vessel).lower()} outlined{withheld_words(scene, shown)}; PET as ratio to blood, 0 to "
        f"{order.top_tbr:g}"
    )
    canvas = Canvas(fuse(hu, tbr, order.top_tbr), view, words)
    for name in ARTERIES:
        mask = region_mask(scene, name)
        if mask is not None:
            canvas.contour(cut_region(mask, view, order.margin_mm).outlines, contour_class(name, order.vessel, scene))
    canvas.furniture(50)
    return Picture(canvas.drawing.markup(), "Curved coronal view", canvas.raster_bytes)


def _axial(scene: Scene, order: PictureOrder) -> Picture | None:
    z = float(order.section_z_mm or 0.0)
    reach = 2.0 * scene.labels.grid.spacing_mm[2] + 1.0
    mask = region_mask(scene, order.vessel, z - reach, z + reach)
    if mask is None:
        return None
    middle = ras_to_lps(mask.grid.to_ras(np.argwhere(mask.data)).mean(axis=0))
    width = AXIAL_WIDTH_MM["carotid" if order.vessel.startswith("carotid") else "aorta"]
    view = axial_view(np.array([middle[0], middle[1], z]), width)
    hu = None if scene.ct is None else sample(scene.ct, view.points_lps_mm, -1000.0)
    tbr = sample(scene.pet, view.points_lps_mm, 0.0) / scene.background
    shown = [n for n in scene.labels.boxes if BY_NAME[n].kind != "neighbour"]
    words = (
        f"{order.name}: axial PET/CT at the section of {title(order.vessel).lower()} that was hottest at baseline; "
        f"arteries and veins outlined{withheld_words(scene, shown)}, highest uptake marked; "
        f"PET as ratio to blood, 0 to {order.top_tbr:g}"
    )
    canvas = Canvas(fuse(hu, tbr, order.top_tbr), view, words)
    for name in scene.labels.boxes:
        kind = BY_NAME[name].kind
        part = mask if name == order.vessel else region_mask(scene, name, z - reach, z + reach)
        if part is None or kind == "neighbour":
            continue
        cut = cut_region(part, view, order.margin_mm if kind == "artery" else 0.0)
        canvas.contour(cut.outlines, contour_class(name, order.vessel, scene))
        if name == order.vessel and cut.inside.any():
            canvas.peak(np.unravel_index(int(np.argmax(np.where(cut.inside, tbr, -np.inf))), tbr.shape))
    canvas.furniture(20)
    return Picture(canvas.drawing.markup(), "Axial view", canvas.raster_bytes)


def contour_class(name: str, chosen: str, scene: Scene) -> str:
    """Return the style of a region's contour: what is withheld is never drawn like what counts."""
    kind = "chosen" if name == chosen else BY_NAME[name].kind
    return f"contour {kind}{' withheld' if name in scene.withheld else ''}"


def withheld_words(scene: Scene, shown: Sequence[str]) -> str:
    """Name the outlines that are dashed because the vessel is withheld; empty where none is."""
    names = [title(name).lower() for name in shown if name in scene.withheld]
    return f" (dashed, as withheld: {_listed(names)})" if names else ""


def _listed(words: list[str]) -> str:
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"
