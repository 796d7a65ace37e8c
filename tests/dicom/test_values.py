"""Values that pydicom stumbles over read as absent."""

from __future__ import annotations

from dicom.synthetic import pet_series, write
from petflame.dicom import tags as t
from petflame.dicom.scan import scan_folder
from petflame.dicom.values import Values, quietly


def test_unknown_representation_inside_a_sequence(tmp_path):
    (path,) = write(pet_series(agent_RadiopharmaceuticalStartDateTime="")[:1], tmp_path)
    whole = path.read_bytes()
    assert b"\x18\x00\x78\x10DT" in whole
    for vr in (b"D\x00", b"ZZ", b"\xff\xff"):
        path.write_bytes(whole.replace(b"\x18\x00\x78\x10DT", b"\x18\x00\x78\x10" + vr))
        values = scan_folder(tmp_path).headers[0].values
        items = values.items(t.RADIOPHARMACEUTICALS)
        assert all(item.text(t.START_DATETIME) == "" for item in items)


def test_nothing_reads_as_absent():
    values = Values()
    assert values.text(t.UNITS) == ""
    assert values.texts(t.UNITS) == ()
    assert values.number(t.WEIGHT) is None
    assert values.items(t.RADIOPHARMACEUTICALS) == []
    assert values.private(t.GE_PET, t.GE_SCAN_DATETIME) is None


def test_a_sequence_is_no_text_and_text_no_sequence(tmp_path):
    write(pet_series()[:1], tmp_path)
    values = scan_folder(tmp_path).headers[0].values
    assert values.text(t.RADIOPHARMACEUTICALS) == ""
    assert values.numbers(t.RADIOPHARMACEUTICALS) is None
    assert values.items(t.UNITS) == []


def test_pydicom_is_left_as_it_was():
    from pydicom import config

    mode, disabled = config.settings.reading_validation_mode, config.logger.disabled
    try:
        with quietly(), quietly():
            assert config.settings.reading_validation_mode == config.IGNORE
            raise ValueError
    except ValueError:
        pass
    assert (config.settings.reading_validation_mode, config.logger.disabled) == (mode, disabled)
    assert quietly.depth == 0
