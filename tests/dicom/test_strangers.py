"""A file in an image's place that holds no DICOM is told by its bytes, and the slice that it was is missed."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import tarfile
import zipfile
from pathlib import Path

import pytest

from dicom.synthetic import ct_series, pet_series, study, write
from petflame.dicom import strangers
from petflame.dicom.scan import scan_folder
from petflame.errors import InputRefused

LFS = b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a214614ab2935c943f9e0ff69d22eadbb8f32\nsize 12345\n"


def zipped(content: bytes) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr("x", content)
    return stream.getvalue()


def tarred(content: bytes) -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as archive:
        member = tarfile.TarInfo("x")
        member.size = len(content)
        archive.addfile(member, io.BytesIO(content))
    return stream.getvalue()


BAD = [
    ("lfs", lambda b: LFS, strangers.NOT_PULLED),
    ("annex", lambda b: b"/annex/objects/SHA256E-s12345--abc\n", strangers.NOT_FETCHED),
    ("annex as a link in a file", lambda b: b"../../.git/annex/objects/aa/bb/S-s1--a/S-s1--a", strangers.NOT_FETCHED),
    ("empty", lambda b: b"", strangers.EMPTY),
    ("zeros", lambda b: bytes(len(b)), strangers.BLANK),
    ("cut within the preamble", lambda b: b[:100], strangers.BLANK),
    ("page", lambda b: b"\n<!DOCTYPE html>\n<html>404</html>", strangers.PAGE),
    ("page without a type", lambda b: b"<HTML><body>login", strangers.PAGE),
    ("gzip", gzip.compress, strangers.ARCHIVE),
    ("bzip2", bz2.compress, strangers.ARCHIVE),
    ("xz", lzma.compress, strangers.ARCHIVE),
    ("zip", zipped, strangers.ARCHIVE),
    ("tar", tarred, strangers.ARCHIVE),
    ("rar", lambda b: b"Rar!\x1a\x07\x00" + b, strangers.ARCHIVE),
    ("7z", lambda b: b"7z\xbc\xaf\x27\x1c" + b, strangers.ARCHIVE),
    ("zst", lambda b: b"\x28\xb5\x2f\xfd" + b, strangers.ARCHIVE),
    ("multipart", lambda b: b"--x\r\nContent-Type: application/dicom\r\n\r\n" + b, strangers.WRAPPED),
    ("byte order mark", lambda b: b"\xef\xbb\xbf" + b, strangers.WRAPPED),
    ("shortcut", lambda b: b"L\0\0\0\x01\x14\x02\0" + bytes(100), strangers.SHORTCUT),
    ("alias", lambda b: b"book\0\0\0\0mark" + bytes(100), strangers.SHORTCUT),
    ("file link", lambda b: b"[InternetShortcut]\r\nURL=file:///d/IM\r\n", strangers.SHORTCUT),
]


def without_endings(root: Path, **changes) -> Path:
    """Write a study whose header tells no number of slices, in files as GE and Philips name them; return the last."""
    write(pet_series(NumberOfSlices=None, **changes), root, "IM_{:04d}".format)
    write(ct_series(), root / "ct", "IM_{:04d}".format)
    return root / "IM_0005"


@pytest.mark.parametrize(("spoil", "reason"), [case[1:] for case in BAD], ids=[case[0] for case in BAD])
@pytest.mark.parametrize("name", ["IM_0005", "other"])
def test_a_lost_end_slice_is_missed(convert, tmp_path, spoil, reason, name):
    last = without_endings(tmp_path / "in")
    content = spoil(last.read_bytes())
    last.unlink()
    (last.parent / name).write_bytes(content)
    visit = convert(tmp_path / "in")
    assert visit.json()["shape"][2] == 5
    assert visit.json()["files_left_aside"] == {reason: 1}
    assert [w for w in visit.warnings if w.startswith(f"left aside: {reason} (1); {strangers.REMEDIES[reason]}")]


@pytest.mark.parametrize("name", ["IM_0005", "im_17", "without_ending"])
def test_unknown_bytes_under_the_name_of_an_image_are_missed(convert, tmp_path, name):
    last = without_endings(tmp_path / "in")
    last.unlink()
    (last.parent / name).write_bytes(b"\x01\x07what is this" * 30)
    visit = convert(tmp_path / "in")
    assert any(strangers.LIKE_IMAGES in warning for warning in visit.warnings)


def test_an_ending_that_images_share_counts_as_theirs(tmp_path):
    write(pet_series(), tmp_path, "scan{:02d}.img".format)
    (tmp_path / "scan77.img").write_bytes(b"\x01\x02" * 200)
    (tmp_path / "phantom.img").write_bytes(b"\x01\x02" * 200)
    assert scan_folder(tmp_path).left_aside == {strangers.LIKE_IMAGES: 1, strangers.NOT_DICOM: 1}


def test_what_ordinarily_lies_beside_images_is_no_doubt(convert, tmp_path):
    last = without_endings(tmp_path / "in")
    folder = last.parent
    for name in ("README", "LICENSE", "VERSION", "notes.txt", "a.xml", "a.json", "report.pdf", "run.log", "viewer.exe"):
        (folder / name).write_bytes(b"\x01some content")
    for name in ("empty.txt", "map.nii.gz", ".DS_Store", "Thumbs.db", ".notes"):
        (folder / name).write_bytes(b"")
    (folder / "INDEX.HTM").write_bytes(b"<html>viewer</html>")
    (folder / "doses.xlsx").write_bytes(zipped(b"x"))
    (folder / "maker.url").write_bytes(b"[InternetShortcut]\r\nURL=https://example.org\r\n")
    scan = scan_folder(folder)
    assert scan.doubts() == []
    assert set(scan.left_aside) == {strangers.NOT_DICOM, "hidden files"}
    assert not any("left aside" in warning for warning in convert(folder).warnings)


@pytest.mark.parametrize("name", [".IM0005.dcm.icloud", "IM0005.dcm.cloud"])
def test_a_placeholder_of_a_cloud_store_is_missed(convert, tmp_path, name):
    whole, short = study(tmp_path / "a"), study(tmp_path / "b", pet_series(NumberOfSlices=None))
    (whole / name).write_bytes(b"bplist00\xd1x")
    assert strangers.PLACEHOLDER in convert(whole, "whole").warnings[0]
    (short / "pet" / "IM0005.dcm").unlink()
    (short / "pet" / name).write_bytes(b"bplist00\xd1x")
    with pytest.raises(InputRefused, match=r"its content is not here; let the cloud store"):
        convert(short, "short")


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (LFS, "its content is not here; fetch the content with `git lfs pull`"),
        (b"", "it is empty; fetch the file again"),
        (b"<html>", "is a web page .* fetch the file again"),
        (gzip.compress(b"x", mtime=0), "is an archive; unpack it"),
        (b"what", r"holds none \(damaged or truncated\)"),
    ],
)
def test_a_file_called_dcm_is_told_what_it_is(convert, tmp_path, content, told):
    root = study(tmp_path / "in", pet_series(NumberOfSlices=None))
    (root / "pet" / "IM0005.dcm").write_bytes(content)
    with pytest.raises(InputRefused, match=told):
        convert(root)


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("CT", b"Rar!\x1a\x07\x00" + bytes(1000), strangers.ARCHIVE),
        ("archive", zipped(b"x"), strangers.ARCHIVE),
        ("CT.lnk", b"L\0\0\0\x01\x14\x02\0" + bytes(100), strangers.SHORTCUT),
        ("CT", b"book\0\0\0\0mark" + bytes(100), strangers.SHORTCUT),
    ],
)
def test_an_absent_ct_is_explained_by_what_lies_in_its_place(convert, tmp_path, name, content, reason):
    root = tmp_path / "in"
    write(pet_series(), root, "PET{:04d}.dcm".format)
    (root / name).write_bytes(content)
    visit = convert(root)
    assert visit.json("ct.json")["reason"] == f"the study holds no CT; left aside: {reason} (1)"
