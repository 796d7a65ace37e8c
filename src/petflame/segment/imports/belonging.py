"""Whether a DICOM SEG or RTSTRUCT says that it was drawn on the images of this visit.

De-identifiers give images and regions new identifiers, together or apart, so unlike identifiers of images are a doubt
that is told and not a refusal. A file that names another patient, and no image of this visit, is refused.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from petflame.dicom.references import Names, References
from petflame.errors import InputRefused
from petflame.folders import CODE
from petflame.segment.imports.claims import REFERENCES, Reference

# In the order of what they prove: an image, its series, its place, its session.
WORDS = {
    "instances": "images",
    "series": "series",
    "frame": "frame of reference",
    "study": "study",
}


@dataclass(frozen=True)
class Belonging:
    """What a file's references say.

    Attributes
    ----------
    drawn_on : {'', 'ct', 'pet'}
        Role of the one image of this visit that it names.
    doubts : tuple of str
        For the tables.
    """

    drawn_on: Reference | str = ""
    doubts: tuple[str, ...] = ()


def belonging(dataset: Any, own: References | None, where: str, vouched: bool) -> Belonging:
    """Compare what a file refers to with the names of the visit's images.

    Parameters
    ----------
    dataset : pydicom Dataset
        SEG or RTSTRUCT.
    own : References or None
        None where they are not known: then nothing is said.
    where : str
        How messages call the file.
    vouched : bool
        The user says that it belongs to this visit.

    Raises
    ------
    InputRefused
        When it names another patient, shares no identifier with the images, and nobody vouches for it.
    """
    if own is None:
        return Belonging()
    named = names_in_object(dataset)
    codes = {word for word in named.patient if CODE.fullmatch(word)}
    if codes and not own.code:
        # Drawn on a pack; whether on that of this visit, its converted images tell.
        return Belonging()
    if codes - {own.code}:
        what = f"it was drawn on the pack of the visit {', '.join(sorted(codes))}, not of {own.code}"
        raise InputRefused.of(what, where, "name what was drawn on this visit's")
    shared = {kind: own.shared(kind, getattr(named, kind)) for kind in WORDS}
    same_patient = own.shared("patient", named.patient)
    unlike = [words for kind, words in WORDS.items() if shared[kind] is False]
    tied = any(shared[kind] for kind in WORDS)
    if same_patient is False and not tied and not vouched:
        raise InputRefused.of(
            "its PatientID (0010,0020) is not that of this visit's images"
            + (f", nor is its {', '.join(unlike)}: it names another patient" if unlike else ""),
            where,
            "name the regions of this visit; where a de-identifier has changed the identifiers of one of the two, "
            'write {"of_this_visit": true} in a JSON file beside it',
        )
    doubts = []
    if same_patient is False:
        doubts.append("its PatientID (0010,0020) is not that of this visit's images")
    settled = shared["instances"] or (shared["instances"] is None and shared["series"])
    # Another reconstruction of the session has its own series, and the same places in the patient.
    if unlike and not settled and not (shared["frame"] and shared["study"] is not False):
        doubts.append(
            f"the {', '.join(unlike)} that it refers to {'is' if len(unlike) == 1 else 'are'} not of this visit: "
            "was it drawn on another scan, or have its identifiers been changed?"
        )
    roles = [
        role
        for role in REFERENCES
        if own.shared("instances", named.instances, role) or own.shared("series", named.series, role)
    ]
    return Belonging(roles[0] if len(roles) == 1 else "", tuple(doubts))


def names_in_object(dataset: Any) -> Names:
    """Return the identifiers of the images that a SEG or RTSTRUCT refers to."""
    study, series, frame, instances = set(), set(), set(), set()
    study.add(_text(dataset, "StudyInstanceUID"))
    frame.add(_text(dataset, "FrameOfReferenceUID"))
    for item in dataset.get("ReferencedSeriesSequence", []):
        series.add(_text(item, "SeriesInstanceUID"))
        instances |= {_text(i, "ReferencedSOPInstanceUID") for i in item.get("ReferencedInstanceSequence", [])}
    for group in _groups(dataset):
        for derived in group.get("DerivationImageSequence", []):
            sources = derived.get("SourceImageSequence", [])
            instances |= {_text(i, "ReferencedSOPInstanceUID") for i in sources}
    for place in dataset.get("ReferencedFrameOfReferenceSequence", []):
        frame.add(_text(place, "FrameOfReferenceUID"))
        for session in place.get("RTReferencedStudySequence", []):
            study.add(_text(session, "ReferencedSOPInstanceUID"))
            for item in session.get("RTReferencedSeriesSequence", []):
                series.add(_text(item, "SeriesInstanceUID"))
                images = item.get("ContourImageSequence", [])
                instances |= {_text(i, "ReferencedSOPInstanceUID") for i in images}
    for roi in dataset.get("StructureSetROISequence", []):
        frame.add(_text(roi, "ReferencedFrameOfReferenceUID"))
    for roi in dataset.get("ROIContourSequence", []):
        for contour in roi.get("ContourSequence", []):
            instances |= {_text(i, "ReferencedSOPInstanceUID") for i in contour.get("ContourImageSequence", [])}
    patient = {_text(dataset, "PatientID")}
    return Names(*(frozenset(words - {""}) for words in (patient, study, series, frame, instances)))


def _groups(dataset: Any) -> Iterable[Any]:
    return (*dataset.get("SharedFunctionalGroupsSequence", []), *dataset.get("PerFrameFunctionalGroupsSequence", []))


def _text(dataset: Any, keyword: str) -> str:
    return str(dataset.get(keyword) or "").strip()
