"""What a scan passes over is counted by reason and said; links inside the study are followed once."""

from __future__ import annotations

import os
import zipfile
from pathlib import Path

import pytest

from dicom.synthetic import ct_series, pet_series, study, write
from petflame.dicom import listing, scan, strangers
from petflame.dicom.inspection import find_studies
from petflame.dicom.scan import scan_folder
from petflame.errors import InputRefused
from petflame.intake import draft_study
from petflame.privacy import with_names, without_names


@pytest.fixture
def farm(tmp_path):
    """A study whose visit is links into a store beside it."""
    trial = tmp_path / "trial"
    store = study(trial / "store")
    visit = trial / "visit"
    visit.mkdir()
    for path in sorted((store / "pet").iterdir()):
        (visit / path.name).symlink_to(path)
    (visit / "CT").symlink_to(store / "ct", target_is_directory=True)
    return trial


@pytest.mark.parametrize("mark", ["visits.tsv", ".git/annex/x", ".datalad/config"])
def test_links_inside_the_study_are_followed(convert, farm, mark):
    (farm / mark).parent.mkdir(parents=True, exist_ok=True)
    (farm / mark).write_text("")
    visit = convert(farm / "visit")
    assert visit.warnings == []
    assert visit.json()["shape"][2] == 6
    assert visit.json("ct.json")["present"]


def test_links_that_leave_the_study_are_named_where_their_images_are_missed(convert, farm):
    with pytest.raises(InputRefused, match=r"left aside: links that lead out of the study \(7\)"):
        convert(farm / "visit")
    with pytest.raises(InputRefused, match="links that lead out of the study"):
        draft_study(farm / "visit", farm / "tables")
    for link in (farm / "visit").glob("*.dcm"):
        real = link.resolve()
        link.unlink()
        os.link(real, link)
    visit = convert(farm / "visit")
    (told,) = visit.warnings
    assert told.startswith("left aside: links that lead out of the study (1); put the files")
    assert visit.json("ct.json")["reason"] == "the study holds no CT; left aside: links that lead out of the study (1)"
    assert visit.json()["files_left_aside"] == {listing.LINK_OUT: 1}


def test_every_real_file_is_read_once(tmp_path):
    root = study(tmp_path / "in")
    (root / "again").symlink_to(root / "pet", target_is_directory=True)
    (root / "round").symlink_to(root, target_is_directory=True)
    (root / "pet" / "up").symlink_to("..", target_is_directory=True)
    os.link(root / "pet" / "IM0000.dcm", root / "second.dcm")
    found = scan_folder(root)
    assert len(found.headers) == 11
    assert found.left_aside == {listing.REPEATED: 1}


def test_what_may_hold_images_is_counted_by_reason(convert, tmp_path):
    root = study(tmp_path / "in")
    (root / "itself").symlink_to("itself")
    (root / "gone").symlink_to("nowhere")
    (root / "annexed.dcm").symlink_to("../.git/annex/objects/aa/bb/SHA256E-s1--0.dcm/SHA256E-s1--0.dcm")
    (root / "unlocked").write_bytes(b"/annex/objects/SHA256E-s1--0\n")
    with zipfile.ZipFile(root / "export.zip", "w") as archive:
        archive.writestr("x", "y")
    (root / "a.tar.gz").write_bytes(b"x")
    (root / "map.nii.gz").write_bytes(b"x")
    (root / ".notes").write_bytes(b"x")
    for litter in (".DS_Store", "._IM0000.dcm", "Thumbs.db", "desktop.ini"):
        (root / litter).write_bytes(b"x")
    (root / ".IM.dcm").write_bytes((root / "pet" / "IM0000.dcm").read_bytes())
    os.mkfifo(root / "pipe")
    with (root / "listmode.ptd").open("wb") as raw:
        raw.truncate(listing.LARGEST_FILE + 1)
    visit = convert(root)
    assert visit.json()["files_left_aside"] == {
        listing.LINK_BROKEN: 2,
        strangers.NOT_FETCHED: 2,
        strangers.ARCHIVE: 2,
        strangers.NOT_DICOM: 1,
        listing.HIDDEN: 1,
        listing.HIDDEN_IMAGE: 1,
        listing.SPECIAL: 1,
        listing.TOO_LARGE: 1,
    }
    told = " ".join(visit.warnings)
    assert len(visit.warnings) == 5
    assert "git annex get" in told
    assert "archives (2)" in told
    assert "hidden files (" not in told


def closed(monkeypatch, folder: Path):
    real = os.scandir

    def scandir(path):
        if str(path) == str(folder):
            raise PermissionError(13, "closed", str(folder))
        return real(path)

    monkeypatch.setattr(listing.os, "scandir", scandir)


def test_a_closed_folder_warns_beside_a_complete_pet_and_refuses_any_other(convert, tmp_path, monkeypatch):
    complete, untold = study(tmp_path / "a"), study(tmp_path / "b", pet_series(NumberOfSlices=None))
    closed(monkeypatch, (complete / "ct").resolve())
    visit = convert(complete, "complete")
    assert "folders that cannot be opened (1)" in visit.warnings[0]
    assert "folders that cannot be opened (1)" in visit.json("ct.json")["reason"]
    assert find_studies(complete)[1]
    closed(monkeypatch, (untold / "ct").resolve())
    with pytest.raises(InputRefused, match="the folder cannot be opened"):
        convert(untold, "untold")


def test_an_image_whose_content_is_elsewhere_is_missed_unless_the_pet_is_complete(convert, tmp_path):
    pointer = b"/annex/objects/SHA256E-s1--0\n"
    whole, short = study(tmp_path / "a"), study(tmp_path / "b")
    (whole / "more.dcm").write_bytes(pointer)
    (short / "pet" / "IM0005.dcm").write_bytes(pointer)
    assert "git annex get" in convert(whole, "whole").warnings[0]
    with pytest.raises(InputRefused, match="its content is not here"):
        convert(short, "short")


def test_names_stay_at_the_screen(convert, tmp_path):
    root = tmp_path / "SMITH"
    write(pet_series(), root, "SMITH{:02d}.dcm".format)
    write(ct_series(), root, "CT{:02d}.dcm".format)
    cut = root / "SMITH03.dcm"
    cut.write_bytes(cut.read_bytes()[:700])
    with pytest.raises(InputRefused) as error:
        convert(root)
    told = "\n".join(map(str, error.value.faults))
    kept, shown = without_names(told), with_names(told)
    assert "SMITH03.dcm: it ends" in shown
    assert "file 9: it ends" in kept
    assert "SMITH" not in kept


def test_too_many_files_are_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(scan, "MOST_FILES", 5)
    with pytest.raises(InputRefused, match="more than 5 files"):
        scan_folder(study(tmp_path / "in"))
