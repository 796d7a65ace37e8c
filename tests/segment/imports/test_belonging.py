"""Whether a SEG or RTSTRUCT names the images of the visit that it is read for."""

import json
from types import SimpleNamespace

import pytest
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence
from pydicom.uid import generate_uid
from writers import by_name, ct_images, save, traced, write_rtstruct

from petflame.dicom.references import Names, References, hashed, read_references, references_path, write_references
from petflame.errors import InputRefused
from petflame.privacy import without_names
from petflame.segment.imports import import_segmentation
from petflame.segment.imports.belonging import belonging

SALT = "salt"
KINDS = ("patient", "study", "series", "frame", "instances")
OWN = {
    "pet": {"patient": "P7", "study": "1.2.1", "series": "1.2.2", "frame": "1.2.3", "instances": "1.2.4"},
    "ct": {"patient": "P7", "study": "1.2.1", "series": "1.2.5", "frame": "1.2.3", "instances": "1.2.6"},
}


def kept(images=OWN):
    return References(
        SALT,
        {
            role: Names(*(frozenset({hashed(SALT, kind, words[kind])} - {""}) for kind in KINDS))
            for role, words in images.items()
        },
    )


def structure_set(patient, study="", series="", frame="", instance=""):
    """An RTSTRUCT's references, as the standard nests them."""
    ds = Dataset()
    ds.PatientID = patient
    image, item, session, place = Dataset(), Dataset(), Dataset(), Dataset()
    image.ReferencedSOPInstanceUID = instance
    item.SeriesInstanceUID, item.ContourImageSequence = series, Sequence([image])
    session.ReferencedSOPInstanceUID, session.RTReferencedSeriesSequence = study, Sequence([item])
    place.FrameOfReferenceUID, place.RTReferencedStudySequence = frame, Sequence([session])
    ds.ReferencedFrameOfReferenceSequence = Sequence([place])
    return ds


OTHER = {"study": "9.1", "series": "9.2", "frame": "9.3", "instance": "9.4"}
OF_PET = {"study": "1.2.1", "series": "1.2.2", "frame": "1.2.3", "instance": "1.2.4"}


@pytest.mark.parametrize(("role", "series", "instance"), [("pet", "1.2.2", "1.2.4"), ("ct", "1.2.5", "1.2.6")])
def test_a_file_that_names_the_visits_images_is_taken_and_its_grid_known(role, series, instance):
    ds = structure_set("P7", "1.2.1", series, "1.2.3", instance)
    said = belonging(ds, kept(), "file", False)
    assert (said.drawn_on, said.doubts) == (role, ())


def test_other_images_of_the_same_patient_are_a_doubt_that_says_which_names_differ():
    said = belonging(structure_set("P7", **OTHER), kept(), "file", False)
    assert said.drawn_on == ""
    (doubt,) = said.doubts
    assert "images, series, frame of reference, study that it refers to are not of this visit" in doubt


def test_another_reconstruction_of_the_session_is_no_doubt():
    ds = structure_set("P7", "1.2.1", "9.2", "1.2.3", "9.4")
    assert belonging(ds, kept(), "file", False).doubts == ()


def test_another_patient_is_refused_unless_an_image_is_shared_or_the_user_vouches():
    with pytest.raises(InputRefused, match=r"PatientID .* names another patient"):
        belonging(structure_set("P8", **OTHER), kept(), "file", False)
    with pytest.raises(InputRefused, match="PatientID"):
        belonging(structure_set("P8"), kept(), "file", False)
    assert any("PatientID" in d for d in belonging(structure_set("P8", **OF_PET), kept(), "file", False).doubts)
    vouched = belonging(structure_set("P8", **OTHER), kept(), "file", True)
    assert len(vouched.doubts) == 2


@pytest.mark.parametrize("nobody", ["", "ANON", "X", "000", "Anonymous", "de-identified"])
def test_a_placeholder_names_no_patient(nobody):
    assert belonging(structure_set(nobody), kept(), "file", False).doubts == ()
    without = {role: words | {"patient": nobody} for role, words in OWN.items()}
    assert belonging(structure_set("P8", **OF_PET), kept(without), "file", False).doubts == ()


def test_nothing_is_said_where_the_visits_names_are_not_kept():
    assert belonging(structure_set("P8", **OTHER), None, "file", False).doubts == ()


def plan_of(pet, ct):
    """What a conversion knows of its series, as far as it is asked for."""

    def choice(images):
        if images is None:
            return SimpleNamespace(taken=None)
        headers = [SimpleNamespace(values=SimpleNamespace(text=lambda tag, i=i: str(i[tag].value))) for i in images]
        return SimpleNamespace(taken=SimpleNamespace(first=headers[0], headers=headers))

    return SimpleNamespace(pet=choice(pet), ct=choice(ct))


def test_names_are_kept_in_the_key_folder_and_in_the_clear_nowhere(tmp_path, grids):
    pet, ct = ct_images(grids["pet"]), ct_images(grids["ct"])
    for visit in (tmp_path / "out" / "visits" / "V1", tmp_path / "alone"):
        write_references(visit, plan_of(pet, ct))
        path = references_path(visit)
        assert "key" in path.relative_to(tmp_path).parts
        assert path.stat().st_mode & 0o077 == 0
        text = path.read_text()
        assert all(str(image.SOPInstanceUID) not in text for image in (*pet, *ct))
        assert str(pet[0].SeriesInstanceUID) not in text
        own = read_references(visit)
        assert own.shared("instances", [str(ct[3].SOPInstanceUID)], "ct")
        assert own.shared("instances", [str(ct[3].SOPInstanceUID)], "pet") is False
        assert own.shared("series", [str(pet[0].SeriesInstanceUID)])
        before = path.read_bytes()
        write_references(visit, plan_of(pet, ct))
        assert path.read_bytes() == before
    assert read_references(tmp_path / "none") is None
    references_path(tmp_path / "alone").write_text("{}")
    with pytest.raises(InputRefused, match="damaged"):
        read_references(tmp_path / "alone")


def test_contours_that_name_the_pet_are_filled_on_the_pet_though_they_lie_on_slices_of_both(tmp_path):
    import phantoms

    grids = {"ct": phantoms.grid((2.0, 2.0, 4.0)), "pet": phantoms.grid((4.0, 4.0, 4.0))}
    labels = phantoms.label_map(grids["ct"])
    contours = {name: traced(mask) for name, mask in by_name(labels).items()}
    images = {role: ct_images(grid) for role, grid in grids.items()}
    own = {}
    for role, ones in images.items():
        first = ones[0]
        words = (first.PatientID, first.StudyInstanceUID, first.SeriesInstanceUID, first.FrameOfReferenceUID)
        own[role] = dict(zip(KINDS, (*map(str, words), str(first.SOPInstanceUID)), strict=True))
    path = write_rtstruct(tmp_path / "rs.dcm", contours)
    import pydicom

    ds = pydicom.dcmread(path)
    assert import_segmentation(path, grids, kept(own)).reference == "ct"
    named = own["pet"]
    refers = structure_set("P1", named["study"], named["series"], named["frame"], named["instances"])
    ds.ReferencedFrameOfReferenceSequence = refers.ReferencedFrameOfReferenceSequence
    ds.PatientID = "P1"
    save(ds, path)
    found = import_segmentation(path, grids, kept(own))
    assert found.reference == "pet"
    assert not any("slices of CT and PET alike" in w for w in found.warnings)
    assert found.doubts == ()
    path.with_suffix(".json").write_text(json.dumps({"grid": "ct"}))
    assert import_segmentation(path, grids, kept(own)).reference == "ct"


def test_a_segmentation_of_another_visit_carries_its_doubt_and_one_of_another_patient_is_refused(
    tmp_path, grids, truth
):
    contours = {name: traced(mask) for name, mask in by_name(truth["ct"]).items()}
    path = write_rtstruct(tmp_path / "SMITH.dcm", contours)
    import pydicom

    ds = pydicom.dcmread(path)
    ds.PatientID, ds.StudyInstanceUID = "P7", generate_uid()
    for roi in ds.StructureSetROISequence:
        roi.ReferencedFrameOfReferenceUID = OTHER["frame"]
    ds.ReferencedFrameOfReferenceSequence = structure_set("", **OTHER).ReferencedFrameOfReferenceSequence
    save(ds, path)
    (doubt,) = import_segmentation(path, grids, kept()).doubts
    assert "SMITH" not in without_names(doubt)
    assert "not of this visit" in doubt
    ds.PatientID = "P8"
    save(ds, path)
    with pytest.raises(InputRefused, match="another patient"):
        import_segmentation(path, grids, kept())
    path.with_suffix(".json").write_text(json.dumps({"of_this_visit": True}))
    assert (import_segmentation(path, grids, kept()).labels.data == truth["ct"].data).all()
