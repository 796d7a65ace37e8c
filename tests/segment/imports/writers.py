"""Writers of the formats that petflame imports, for round trips: they share no code with the readers."""

from __future__ import annotations

import numpy as np
import pydicom
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.sequence import Sequence
from pydicom.uid import ExplicitVRLittleEndian, generate_uid
from skimage.measure import find_contours

from petflame.anatomy import BY_LABEL
from petflame.space.grid import Volume, ras_to_lps

RTSTRUCT = "1.2.840.10008.5.1.4.1.1.481.3"
CT_IMAGE = "1.2.840.10008.5.1.4.1.1.2"


def axial_axis(grid) -> int:
    return int(np.abs(grid.affine[2, :3]).argmax())


def traced(mask: Volume) -> list[np.ndarray]:
    """Closed contours around a mask on every axial slice, LPS mm; holes have contours of their own."""
    axis = axial_axis(mask.grid)
    rest = [a for a in range(3) if a != axis]
    found = []
    for plane in np.flatnonzero(mask.data.any(axis=tuple(rest))):
        padded = np.pad(np.take(mask.data, plane, axis).astype(float), 1)
        for line in find_contours(padded, 0.5):
            ijk = np.full((len(line) - 1, 3), float(plane))
            ijk[:, rest] = line[:-1] - 1.0
            found.append(ras_to_lps(mask.grid.to_ras(ijk)))
    return found


def by_name(labels: Volume) -> dict[str, Volume]:
    return {
        BY_LABEL[int(n)].name: Volume(labels.data == n, labels.grid) for n in np.unique(labels.data) if n in BY_LABEL
    }


def write_rtstruct(path, contours: dict[str, list[np.ndarray]], kind="CLOSED_PLANAR", digits=3):
    ds = Dataset()
    ds.SOPClassUID, ds.SOPInstanceUID, ds.Modality = RTSTRUCT, generate_uid(), "RTSTRUCT"
    ds.StructureSetLabel = "TEST"
    ds.StructureSetROISequence, ds.ROIContourSequence = Sequence(), Sequence()
    for number, (name, lines) in enumerate(contours.items(), start=1):
        roi, item = Dataset(), Dataset()
        roi.ROINumber, roi.ROIName, roi.ReferencedFrameOfReferenceUID = number, name, "1.2.3"
        roi.ROIGenerationAlgorithm = "MANUAL"
        item.ReferencedROINumber, item.ContourSequence = number, Sequence()
        for line in lines:
            contour = Dataset()
            contour.ContourGeometricType = kind
            contour.NumberOfContourPoints = len(line)
            contour.ContourData = [f"{x:.{digits}f}" for x in line.ravel()]
            item.ContourSequence.append(contour)
        ds.StructureSetROISequence.append(roi)
        ds.ROIContourSequence.append(item)
    return save(ds, path)


def save(ds, path):
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID = ds.SOPClassUID, ds.SOPInstanceUID
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    ds.file_meta = meta
    pydicom.dcmwrite(path, ds, enforce_file_format=True)
    return path


def ct_images(grid, description="CT") -> list[Dataset]:
    """CT images on a grid whose axes are columns, rows and slices; no pixels."""
    frame, study, series = generate_uid(), generate_uid(), generate_uid()
    cosines = [ras_to_lps(grid.affine[:3, a] / grid.spacing_mm[a]) for a in (0, 1)]
    images = []
    for k in range(grid.shape[2]):
        ds = Dataset()
        ds.SOPClassUID, ds.SOPInstanceUID, ds.Modality = CT_IMAGE, generate_uid(), "CT"
        ds.StudyInstanceUID, ds.SeriesInstanceUID, ds.FrameOfReferenceUID = study, series, frame
        ds.PatientID, ds.PatientName, ds.PatientBirthDate, ds.PatientSex = "P1", "Test^One", "", ""
        ds.StudyDate, ds.StudyTime, ds.StudyID, ds.AccessionNumber = "20200102", "120000", "1", ""
        ds.ContentDate, ds.ContentTime = "20200102", "120500"
        ds.ReferringPhysicianName, ds.Manufacturer, ds.SeriesNumber, ds.InstanceNumber = "", "Test", 3, k + 1
        ds.SeriesDescription, ds.ImageType = description, ["ORIGINAL", "PRIMARY", "AXIAL"]
        ds.Rows, ds.Columns = grid.shape[1], grid.shape[0]
        ds.PixelSpacing = [grid.spacing_mm[1], grid.spacing_mm[0]]
        ds.SliceThickness = grid.spacing_mm[2]
        ds.ImageOrientationPatient = [float(x) for x in np.concatenate(cosines)]
        ds.ImagePositionPatient = [float(x) for x in ras_to_lps(grid.to_ras([0, 0, k]))]
        ds.SamplesPerPixel, ds.PhotometricInterpretation, ds.PixelRepresentation = 1, "MONOCHROME2", 1
        ds.BitsAllocated, ds.BitsStored, ds.HighBit = 16, 16, 15
        ds.RescaleSlope, ds.RescaleIntercept = 1, 0
        images.append(ds)
    return images


def write_series(folder, grid):
    folder.mkdir(parents=True, exist_ok=True)
    for k, ds in enumerate(ct_images(grid)):
        ds.PixelData = np.zeros((grid.shape[1], grid.shape[0]), np.int16).tobytes()
        save(ds, folder / f"{k:03d}.dcm")
    return folder
