"""The reader pack: every vessel of a visit with its contours and checks, and a form for the reader's decisions.

A pack tells neither identity, date, visit order nor arm: it names visits by the name of their folder.
"""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from markupsafe import Markup

from petflame import __version__
from petflame.anatomy import ARTERIES, BY_NAME, REGIONS, VEINS, title
from petflame.errors import InputRefused
from petflame.files import write_text, write_tsv
from petflame.folders import VisitFolder
from petflame.report.page import TEMPLATES, content_policy, environment
from petflame.report.pictures import PictureOrder, Scene, contour_class, open_scene, region_mask
from petflame.report.raster import Canvas, fuse
from petflame.report.views import axial_view, cut_region, sample
from petflame.review.dicom_images import write_dicom
from petflame.segment.binding import Binding, binding_of
from petflame.segment.edits_folder import COLUMNS, DECISIONS, DICOM, IMAGES
from petflame.segment.product import VesselFinding
from petflame.segment.run import labels_as_found
from petflame.segment.verdict import Verdict, verdict
from petflame.space.grid import Array, Volume, ras_to_lps

OWN = Path(__file__).parent / "templates"
SECTIONS = 6
WIDTH_MM = {"aorta": 130.0, "neck": 90.0}
END_SHARE = 0.08
COLOURS = {"artery": (230, 60, 60), "vein": (70, 130, 255), "neighbour": (240, 200, 70)}


@dataclass(frozen=True)
class _Vessel:
    name: str
    title: str
    finding: VesselFinding
    verdict: Verdict
    pictures: list[Markup]


def write_pack(visits: Sequence[Path], out: Path, dicom: bool = False) -> Path:
    """Write a reader pack of segmented visits.

    For each visit a folder with ``decisions.tsv`` to fill in, and below it the images, labels and a colour table to
    open in a viewer; for all of them one page, ``review.html``. What is shown are the labels as found, before
    any edits, since edits are put on those.

    Parameters
    ----------
    visits : sequence of Path
        Folders of segmented visits.
    out : Path
    dicom : bool
        Write the images as DICOM too.

    Returns
    -------
    Path
        The page.

    Raises
    ------
    InputRefused
        When a folder is not segmented, two folders have the same name, or the pack exists already.
    """
    names = [visit.resolve().name for visit in visits]
    if len(set(names)) < len(names):
        raise InputRefused.of("two visits have the same name", ", ".join(sorted(names)), "rename one of the folders")
    if out.exists() and any(out.iterdir()):
        raise InputRefused.of("it is not empty, and decisions in it would be lost", str(out), "name a new folder")
    pages: list[dict[str, object]] = []
    for name, root in zip(names, visits, strict=True):
        folder = VisitFolder(root)
        labels, _, as_found = labels_as_found(folder)
        scene = open_scene(PictureOrder(folder, name, "", (), None, 1.0, 1.0, 1.0, 0.0), as_found)
        pages.append({"name": name, "vessels": _vessels(scene), "warnings": scene.segmentation.warnings})
        _write_form(out / name, scene, binding_of(folder, labels))
        # Apart from the form, so that the labels as they are do not pass for an edit.
        images = out / name / IMAGES
        images.mkdir()
        for path, called in ((folder.ct, folder.ct), (folder.pet, folder.pet), (labels, folder.labels)):
            if path.exists():
                shutil.copyfile(path, images / called.name)
        write_text(images / "labels.ctbl", _colour_table())
        if dicom:
            write_dicom(folder, scene.segmentation, out / name / DICOM)
    page = out / "review.html"
    write_text(page, _page(pages, dicom))
    return page


def _write_form(folder: Path, scene: Scene, bound: Binding) -> None:
    import pandas as pd

    folder.mkdir(parents=True, exist_ok=True)
    rows = [
        {"vessel": name, "decision": "", "words": "", "method": finding.method, "state": verdict(finding).words}
        | vars(bound)
        for name, finding in scene.segmentation.vessels.items()
    ]
    write_tsv(folder / DECISIONS, pd.DataFrame(rows, columns=list(COLUMNS)), COLUMNS)


def _vessels(scene: Scene) -> list[_Vessel]:
    vessels = scene.segmentation.vessels
    return [
        _Vessel(name, title(name), vessels[name], verdict(vessels[name]), draw_sections(scene, name))
        for name in (*ARTERIES, *VEINS)
        if name in vessels
    ]


def draw_sections(scene: Scene, name: str, count: int = SECTIONS) -> list[Markup]:
    """Draw axial CT sections of one vessel, evenly spaced from its lower to its upper end, contours over it.

    Without a CT the PET is drawn. A vessel that is not in the label map gives no picture.
    """
    box = scene.labels.boxes.get(name)
    if box is None:
        return []
    ends = scene.labels.grid.to_ras(np.array([[s.start for s in box], [s.stop - 1 for s in box]]))[:, 2]
    low, high = float(ends.min()), float(ends.max())
    margin = END_SHARE * (high - low)
    return [_section(scene, name, z) for z in np.linspace(low + margin, high - margin, count)]


def _section(scene: Scene, name: str, z_mm: float) -> Markup:
    reach = 0.75 * scene.labels.grid.spacing_mm[2]
    mask = region_mask(scene, name, z_mm - reach, z_mm + reach)
    centre = _middle(scene, name, z_mm) if mask is None else _mean_place(mask)
    width = WIDTH_MM["neck" if name.startswith(("carotid", "jugular")) else "aorta"]
    view = axial_view(np.array([centre[0], centre[1], z_mm]), width)
    if scene.ct is not None:
        hu, tbr = sample(scene.ct, view.points_lps_mm, -1000.0), np.zeros(view.points_lps_mm.shape[:2])
    else:
        hu, tbr = None, sample(scene.pet, view.points_lps_mm, 0.0) / scene.background
    canvas = Canvas(fuse(hu, tbr, 5.0), view, _words(scene, name, z_mm))
    for other in scene.labels.boxes:
        part = region_mask(scene, other, z_mm - 3 * reach, z_mm + 3 * reach)
        if part is not None and BY_NAME[other].kind != "neighbour":
            canvas.contour(cut_region(part, view).outlines, contour_class(other, name, scene))
    canvas.furniture(20)
    return canvas.drawing.markup()


def _words(scene: Scene, name: str, z_mm: float) -> str:
    how = "outlined, dashed as it needs a reader" if name in scene.withheld else "outlined"
    return f"{title(name)}, axial section at z = {z_mm:.0f} mm, {how}"


def _mean_place(mask: Volume) -> Array:
    return ras_to_lps(mask.grid.to_ras(np.argwhere(mask.data)).mean(axis=0))


def _middle(scene: Scene, name: str, z_mm: float) -> Array:
    line = scene.segmentation.vessels[name].centreline_lps_mm
    if not len(line):
        return _mean_place(scene.labels.mask(name))
    return np.asarray(line[int(np.abs(line[:, 2] - z_mm).argmin())])


def _colour_table() -> str:
    rows = ["# label, name, red, green, blue, opacity", "0 background 0 0 0 0"]
    rows += [f"{r.label} {r.name} {' '.join(map(str, COLOURS[r.kind]))} 255" for r in REGIONS]
    return "\n".join(rows) + "\n"


def _page(visits: list[dict[str, object]], dicom: bool) -> str:
    style = (TEMPLATES / "style.css").read_text(encoding="utf-8") + (OWN / "review.css").read_text("utf-8")
    return (
        environment(OWN)
        .get_template("review.html.j2")
        .render(
            style=Markup(style),  # noqa: S704
            policy=content_policy(style, ""),
            visits=visits,
            decisions=DECISIONS,
            dicom=dicom,
            names=(*ARTERIES, *VEINS),
            version=__version__,
        )
    )
