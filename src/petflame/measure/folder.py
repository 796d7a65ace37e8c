"""Measuring a visit folder: images and labels in, tables out."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from petflame.dicom.product import read_converted_pet, read_pet_sidecar
from petflame.files import read_nifti
from petflame.folders import VisitFolder
from petflame.measure.images import VisitImages
from petflame.measure.left_out import left_out_of
from petflame.measure.product import write_measurement
from petflame.measure.variations import measure_variations
from petflame.measure.visit import Measurement, measure_images
from petflame.protocol import Protocol
from petflame.segment.product import Segmentation, read_segmentation
from petflame.segment.rules import require_rules


def read_images(root: Path, segmentation: Segmentation | None = None) -> tuple[VisitImages, bool]:
    """Read the images of a converted and segmented visit, and whether the PET is in SUV.

    Parameters
    ----------
    root : Path
    segmentation : Segmentation, optional
        The visit's, where it was read before.

    Raises
    ------
    InputRefused
        When the folder is not converted and segmented, or the PET holds values that are not finite.
    """
    visit = VisitFolder(root)
    is_suv = read_pet_sidecar(visit).is_suv
    # Most of the time goes into unpacking, which leaves Python free: CT and PET unpack while the labels are read.
    with ThreadPoolExecutor(2) as pool:
        waiting_ct = pool.submit(read_nifti, visit.ct) if visit.ct.exists() else None
        waiting_pet = pool.submit(read_converted_pet, visit)
        segmentation = segmentation or read_segmentation(visit)
        pet = waiting_pet.result()
        ct = None if waiting_ct is None else waiting_ct.result()
    return VisitImages(pet, segmentation, ct), is_suv


def measure_visit(root: Path, protocol: Protocol, exclusions: Path | None = None) -> Measurement:
    """Measure a visit folder and write ``slices.tsv``, ``vessels.tsv``, ``variations.tsv`` and ``measure.json``.

    Parameters
    ----------
    root : Path
    protocol : Protocol
    exclusions : Path or None
        Table of sections that a reader leaves out; by default ``left_out.tsv`` of the folder, where it exists. What a
        finished read leaves out counts beside it.

    Raises
    ------
    InputRefused
        When the folder is not converted and segmented, holds no artery, its vessels were found by other
        rules than the protocol's, or the exclusions are faulty.
    """
    visit = VisitFolder(root)
    segmentation = read_segmentation(visit)
    rows, told = left_out_of(visit, segmentation, exclusions)
    images, is_suv = read_images(root, segmentation)
    require_rules(images.segmentation, protocol.segmentation.regions, str(visit.labels_json))
    result = measure_images(images, protocol, is_suv, rows)
    result.details["warnings"] += told
    if not is_suv:
        result.details["warnings"].insert(0, "SUV was refused: ratios are measured on Bq/mL, columns in g/mL are empty")
    write_measurement(result, measure_variations(images, protocol, result, is_suv, rows), visit)
    return result
