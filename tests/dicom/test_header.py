"""What is read of a header and what is refused, and the folders that archives export."""

from __future__ import annotations

import os
import tracemalloc

import numpy as np
import pytest
from pydicom import dcmread, dcmwrite
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence
from pydicom.uid import DeflatedExplicitVRLittleEndian, ExplicitVRBigEndian, JPEG2000Lossless, RLELossless

from dicom.synthetic import ct_series, pet_series, study, write
from petflame.dicom import listing
from petflame.dicom import tags as t
from petflame.dicom.scan import scan_folder
from petflame.errors import InputRefused


@pytest.mark.parametrize("implicit", [False, True])
def test_values_and_the_place_of_the_pixels(tmp_path, implicit):
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
        assert header.values.number(t.SLOPE) == float(ds.RescaleSlope)
        assert header.values.numbers(t.IPP) == tuple(map(float, ds.ImagePositionPatient))
        assert header.values.texts(t.IMAGE_TYPE) == tuple(ds.ImageType)
        assert header.values.integer(t.ROWS) == ds.Rows
        assert header.values.integer(t.PADDING) == ds.get("PixelPaddingValue")
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
def test_place_of_the_pixels_in_real_files(reference, name):
    headers = [h for h in scan_folder(reference(name)).headers if h.pixel_offset][::7]
    assert headers
    for header in headers:
        pixels = dcmread(header.path).PixelData
        assert header.path.read_bytes()[header.pixel_offset :][: header.pixel_length or len(pixels)] == pixels


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
    assert scan.left_aside == {listing.LINK_OUT: 2, listing.LINK_BROKEN: 1}
    inside = study(root / "visit")
    (inside / "again.dcm").symlink_to(inside / "pet" / "IM0000.dcm")
    document = convert(inside).json()
    assert (document["duplicates_dropped"], document["files_left_aside"]) == (0, {listing.REPEATED: 1})


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


def in_syntax(datasets, folder, syntax):
    for path in write(datasets, folder):
        little = syntax != ExplicitVRBigEndian
        copy = dcmread(path)
        copy.file_meta.TransferSyntaxUID = syntax
        copy.PixelData = copy.PixelData if little else np.frombuffer(copy.PixelData, "<i2").byteswap().tobytes()
        dcmwrite(path, copy, implicit_vr=False, little_endian=little, force_encoding=True)


@pytest.mark.parametrize("syntax", [DeflatedExplicitVRLittleEndian, ExplicitVRBigEndian])
def test_rare_syntaxes_matter_only_in_the_chosen_series(tmp_path, convert, syntax):
    in_syntax(pet_series(), tmp_path / "chosen", syntax)
    header = scan_folder(tmp_path / "chosen").headers[3]
    assert header.values.numbers(t.IPP) == (-20.0, -30.0, -91.0)
    assert header.values.integer(t.ROWS) == 8
    with pytest.raises(InputRefused, match=f"transfer syntax .*{syntax} is not read"):
        convert(tmp_path / "chosen")
    in_syntax(pet_series(uid="2.25.4711.8", Units="CPS"), study(tmp_path / "beside") / "other", syntax)
    assert convert(tmp_path / "beside").warnings == []


def test_a_small_file_cannot_inflate_without_bound(tmp_path):
    (path,) = write(pet_series()[:1], tmp_path)
    ds = dcmread(path)
    ds.file_meta.TransferSyntaxUID = DeflatedExplicitVRLittleEndian
    ds.private_block(0x0009, "X", create=True).add_new(1, "OB", bytes(80 << 20))
    ds.save_as(path)
    assert path.stat().st_size < 1 << 20
    tracemalloc.start()
    (fault,) = scan_folder(tmp_path).faults
    assert tracemalloc.get_traced_memory()[1] < 300 << 20
    tracemalloc.stop()
    assert "more than 64 MiB" in fault.what


def test_no_warning_reaches_the_user(tmp_path, recwarn, capfd):
    datasets = pet_series(SpecificCharacterSet="ISO_IR 999")
    for path in write(datasets, tmp_path):
        path.write_bytes(path.read_bytes().replace(b"20250311", b"2025X311").replace(b"2.25.4711.1", b"2.25.04711z"))
    recwarn.clear()
    for header in scan_folder(tmp_path).headers:
        assert header.values.text(t.SERIES_DATE) == "2025X311"
        assert header.values.text(t.PATIENT_ID) == "CANARY-ID-1"
        assert header.values.number(t.SERIES_DATE) is None
    assert [str(w.message) for w in recwarn] == []
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("stored", "number"),
    [(b"70.0", 70.0), (b" +7e1", 70.0), (b"7_0", None), (b"nan", None), (b"1\\2", None), (b"\\", None), (b"7O", None)],
)
def test_numbers_that_are_none(tmp_path, stored, number):
    (path,) = write(pet_series(PatientWeight="11.11111")[:1], tmp_path)
    path.write_bytes(path.read_bytes().replace(b"11.11111", stored.ljust(8)))
    assert scan_folder(tmp_path).headers[0].values.number(t.WEIGHT) == number


def test_text_in_its_own_character_set(tmp_path):
    write(pet_series(SpecificCharacterSet="ISO_IR 144", PatientID="Иван")[:1], tmp_path)
    assert scan_folder(tmp_path).headers[0].values.text(t.PATIENT_ID) == "Иван"


@pytest.mark.parametrize("number", [0x10, 0x1F, 0x20, 0xE3])
def test_private_blocks_lie_anywhere(tmp_path, number):
    ds = pet_series()[0]
    ds.add_new(0x70530000 | number, "LO", "Philips PET Private Group")
    ds.add_new(0x70530000 | number << 8 | 0x09, "UN", b"1.602563")
    write([ds], tmp_path)
    values = scan_folder(tmp_path).headers[0].values
    tag = values.private(t.PHILIPS_PET, t.PHILIPS_ACTIVITY_FACTOR)
    assert tag == 0x70530009 | number << 8
    assert values.number(tag) == 1.602563


def test_private_element_without_its_creator(tmp_path):
    ds = pet_series()[0]
    ds.add_new(0x70531009, "UN", b"1.602563")
    write([ds], tmp_path)
    values = scan_folder(tmp_path).headers[0].values
    assert values.number(values.private(t.PHILIPS_PET, t.PHILIPS_ACTIVITY_FACTOR)) == 1.602563


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
    np.testing.assert_allclose(convert(tmp_path / "in").data(), expected_suv(shape), rtol=1e-6)
    path = tmp_path / "in" / "IM0001.dcm"
    path.write_bytes(path.read_bytes()[:-40])
    with pytest.raises(InputRefused, match="truncated"):
        convert(tmp_path / "in", "again")
