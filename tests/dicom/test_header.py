"""Our header walk against pydicom, and the folders that archives export."""

from __future__ import annotations

import os

import pytest
from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence
from pydicom.uid import JPEG2000Lossless, RLELossless

from dicom.synthetic import ct_series, pet_series, study, write
from petflame.dicom import tags as t
from petflame.dicom.scan import scan_folder
from petflame.errors import InputRefused

PLAIN = sorted(t.KEPT - t.SEQUENCES - {t.PIXEL_DATA, t.CODE_VALUE, t.CODE_MEANING})


def agree(header, ds) -> None:
    """Compare every kept attribute with what pydicom reads."""
    for tag in PLAIN:
        element = ds.get(tag)
        if element is None or element.value in (None, ""):
            assert not header.values.bytes_of(tag).strip(b" \0"), t.name(tag)
            continue
        values = element.value if element.VM > 1 else [element.value]
        if element.VR in ("DS", "IS", "US", "SS", "FL", "FD"):
            # Without a value representation the sign of the padding value is known only beside the pixels.
            modulus = 65536 if tag == t.PADDING else 1e9
            got = [x % modulus for x in header.values.numbers(tag)]
            assert got == pytest.approx([float(v) % modulus for v in values], abs=0), t.name(tag)
        else:
            assert header.values.texts(tag) == tuple(str(v).strip() for v in values), t.name(tag)


@pytest.mark.parametrize("implicit", [False, True])
def test_same_values_as_pydicom(tmp_path, implicit):
    datasets = pet_series() + ct_series(PixelPaddingValue=-2000)
    nested, inner = Dataset(), Dataset()
    inner.CodeValue = "X"
    nested.ConceptCodeSequence = Sequence([inner, inner])
    for ds in datasets:
        ds.AcquisitionContextSequence = Sequence([nested])
        ds["AcquisitionContextSequence"].is_undefined_length = True
        ds.private_block(0x0009, "GEMS_PETD_01", create=True).add_new(0x0D, "DT", "20250311110000")
        ds.private_block(0x7053, "Philips PET Private Group", create=True).add_new(0x09, "DS", "1.602563")
    write(datasets, tmp_path, implicit=implicit)
    headers = scan_folder(tmp_path).headers
    assert len(headers) == len(datasets)
    for header in headers:
        ds = dcmread(header.path)
        agree(header, ds)
        assert header.pixel_length == len(ds.PixelData)
        assert header.path.read_bytes()[header.pixel_offset :][: header.pixel_length] == ds.PixelData
        tag = header.values.private(t.PHILIPS_PET, t.PHILIPS_ACTIVITY_FACTOR)
        assert header.values.number(tag) == 1.602563
    agent = headers[0].values.items(t.RADIOPHARMACEUTICALS)[0]
    assert agent.number(t.TOTAL_DOSE) == 350e6
    assert agent.items(t.NUCLIDE_CODES)[0].text(t.CODE_VALUE) == "C-111A1"


@pytest.mark.reference
@pytest.mark.parametrize(
    "name", ["ge_fdg_wholebody_sts001", "paired_sts", "ge_pt_jpeg_lossless", "suv_dro", "ct_tilt", "ct_broken_series"]
)
def test_same_values_as_pydicom_on_real_files(reference, name):
    headers = [h for h in scan_folder(reference(name)).headers if h.pixel_offset][::7]
    assert headers
    for header in headers:
        agree(header, dcmread(header.path, stop_before_pixels=True))


def test_file_without_preamble(tmp_path):
    (path,) = write(pet_series()[:1], tmp_path)
    whole = path.read_bytes()
    meta_end = 132 + 12 + int.from_bytes(whole[140:144], "little")
    path.write_bytes(whole[meta_end:])
    header = scan_folder(tmp_path).headers[0]
    assert header.values.text(t.UNITS) == "BQML"
    assert header.pixel_length == 160


def test_long_headers_are_read(tmp_path):
    ds = pet_series()[0]
    ds.private_block(0x0011, "LONG", create=True).add_new(0x01, "OB", bytes(300_000))
    write([ds], tmp_path)
    assert scan_folder(tmp_path).headers[0].values.text(t.UNITS) == "BQML"


def test_links_never_leave_the_folder(tmp_path, convert):
    outside = study(tmp_path / "outside")
    root = tmp_path / "root"
    root.mkdir()
    (root / "a").symlink_to(outside, target_is_directory=True)
    (root / "b.dcm").symlink_to(outside / "pet" / "IM0000.dcm")
    (root / "loop").symlink_to(root, target_is_directory=True)
    (root / "..x").symlink_to("../../../etc/passwd")
    scan = scan_folder(root)
    assert scan.headers == ()
    assert {reason for _, reason in scan.ignored} == {"a link that leaves the folder", "a linked folder"}
    inside = study(root / "visit")
    (inside / "again.dcm").symlink_to(inside / "pet" / "IM0000.dcm")
    assert convert(inside).json()["duplicates_dropped"] == 1


def test_dicomdir_is_never_followed(tmp_path):
    folder = tmp_path / "in"
    write(pet_series(), folder)
    for name in ("DICOMDIR", "dicomdir"):
        (folder / name).write_bytes(b"\0" * 128 + b"DICM" + b"\x02\x00\x02\x00UI\x04\x001.2\0")
    assert len(scan_folder(folder).headers) == 6


def test_folder_that_cannot_serve(tmp_path):
    with pytest.raises(InputRefused, match="does not exist"):
        scan_folder(tmp_path / "none")
    (tmp_path / "file").write_text("x")
    with pytest.raises(InputRefused, match="not a folder"):
        scan_folder(tmp_path / "file")


def test_special_files_are_left(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / ".hidden").write_bytes(b"x")
    assert scan_folder(tmp_path).headers == ()


@pytest.mark.parametrize("syntax", ["1.2.840.10008.1.2.1.99", "1.2.840.10008.1.2.2"])
def test_transfer_syntaxes_refused_by_name(tmp_path, syntax):
    (path,) = write(pet_series()[:1], tmp_path)
    old = b"1.2.840.10008.1.2.1\0"
    whole = path.read_bytes()
    new = syntax.encode() + b"\0" * (len(syntax) % 2)
    head = whole.replace(len(old).to_bytes(2, "little") + old, len(new).to_bytes(2, "little") + new, 1)
    path.write_bytes(head)
    faults = scan_folder(tmp_path).faults
    assert len(faults) == 1
    assert "transfer syntax" in faults[0].what


@pytest.mark.parametrize("syntax", [RLELossless, JPEG2000Lossless])
def test_compressed_pixels(tmp_path, convert, syntax):
    from dicom.synthetic import expected_suv

    shape = (4, 32, 32)
    pet = pet_series(shape)
    write(pet, tmp_path / "in")
    for path in (tmp_path / "in").iterdir():
        ds = dcmread(path)
        try:
            ds.compress(syntax, generate_instance_uid=False)
        except (RuntimeError, ValueError) as error:
            pytest.skip(f"no encoder for {syntax.name} here ({error})")
        ds.save_as(path)
    import numpy as np

    np.testing.assert_allclose(convert(tmp_path / "in").data(), expected_suv(shape), rtol=1e-6)
    path = tmp_path / "in" / "IM0001.dcm"
    path.write_bytes(path.read_bytes()[:-40])
    with pytest.raises(InputRefused, match="truncated"):
        convert(tmp_path / "in", "again")
