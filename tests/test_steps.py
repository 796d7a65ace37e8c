"""How a step ends: done, refused, failed by a fault of petflame, or not at all because the machine failed."""

from __future__ import annotations

import errno
import json
import os
from pathlib import Path

import pytest

from petflame.console import Console
from petflame.errors import InputRefused, MachineFault, UpstreamRefused
from petflame.files import TEMPORARY, read_json, write_text
from petflame.outcome import products_of
from petflame.privacy import named
from petflame.steps import clear, require_upstream, step


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "out" / "key").mkdir(parents=True)
    return tmp_path / "out" / "visits" / "V0"


def made(folder: Path, verb: str = "convert", text: str = "made") -> None:
    with step(verb, folder, False, Console()):
        write_text(folder / f"{verb}.txt", text)


def test_a_step_lists_what_it_wrote(folder: Path) -> None:
    made(folder)
    assert list(products_of(folder / "steps" / "convert.json")) == ["convert.txt"]
    assert read_json(folder / "status.json")["status"] == "ok"
    require_upstream(folder, "convert")


def test_what_was_made_before_goes_with_its_record(folder: Path) -> None:
    made(folder)
    made(folder, "segment")
    made(folder, "measure")
    with step("convert", folder, True, Console()):
        assert {p.name for p in folder.rglob("*") if p.is_file()} == {"convert.begun"}
        raise InputRefused.of("no good", "x", "y")
    assert read_json(folder / "steps" / "convert.json")["status"] == "refused"


def test_a_fault_of_petflame_is_recorded_apart_with_a_file_for_its_report(folder: Path) -> None:
    with step("convert", folder, True, Console(recorded=True)):
        raise ZeroDivisionError("SMITH")
    outcome = read_json(folder / "steps" / "convert.json")
    assert outcome["status"] == "failed"
    told = outcome["reasons"][0]
    assert "ZeroDivisionError" in told["what"]
    assert "SMITH" not in str(outcome)
    report = folder.parents[1] / "key" / "failures" / "V0.convert.txt"
    assert report.name in told["remedy"]
    assert "ZeroDivisionError: SMITH" in report.read_text()
    assert report.stat().st_mode & 0o077 == 0
    with pytest.raises(UpstreamRefused, match="petflame failed"):
        require_upstream(folder, "convert")


def test_without_a_record_a_fault_of_petflame_is_raised(folder: Path) -> None:
    with pytest.raises(ZeroDivisionError), step("convert", folder, False, Console()):
        raise ZeroDivisionError
    assert not (folder / "steps" / "convert.json").exists()


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "V0/pet.nii.gz"), "V0/pet.nii.gz: the disk is full"),
        (OSError(errno.EIO, os.strerror(errno.EIO)), "cannot be read or written"),
        (PermissionError(errno.EACCES, os.strerror(errno.EACCES), "closed"), "closed: permission is denied"),
        (OSError(errno.EROFS, os.strerror(errno.EROFS), "cd"), "read-only"),
        (MemoryError(), "not enough memory"),
    ],
)
@pytest.mark.parametrize("record", [True, False])
def test_a_fault_of_the_machine_is_no_outcome(folder: Path, error: BaseException, words: str, record: bool) -> None:
    with pytest.raises(MachineFault, match=words), step("convert", folder, record, Console()):
        raise error
    assert not (folder / "steps" / "convert.json").exists()
    with pytest.raises(InputRefused, match="`petflame convert` has not ended here"):
        require_upstream(folder, "convert")


@pytest.mark.parametrize("signal", [KeyboardInterrupt, SystemExit])
def test_an_interruption_is_no_outcome(folder: Path, signal: type[BaseException]) -> None:
    with pytest.raises(signal), step("convert", folder, True, Console()):
        raise signal
    assert not (folder / "steps" / "convert.json").exists()


def test_what_a_killed_job_left_is_swept_and_never_a_product(folder: Path) -> None:
    folder.mkdir(parents=True)
    (folder.parent / f".V0.abc{TEMPORARY}").mkdir()
    (folder.parent / f".V0.abc{TEMPORARY}" / "pet.nii.gz").write_text("half")
    (folder / f".pet.json.x{TEMPORARY}").write_text("half")
    (folder.parent / f".V1.abc{TEMPORARY}").mkdir()
    made(folder)
    left = sorted(p.name for p in folder.parent.rglob("*") if p.name.startswith("."))
    assert left == [f".V1.abc{TEMPORARY}"], "another visit's job may be running"


def test_a_product_that_changed_is_refused_by_the_next_step(folder: Path) -> None:
    made(folder)
    (folder / "convert.txt").write_text("mine")
    with pytest.raises(InputRefused, match=r"V0/convert\.txt: it is not as `petflame convert` left it"):
        require_upstream(folder, "convert")
    (folder / "convert.txt").unlink()
    with pytest.raises(InputRefused, match="it is missing"):
        require_upstream(folder, "convert")


def test_an_edited_record_cannot_reach_out_of_its_folder(folder: Path, tmp_path: Path) -> None:
    made(folder)
    precious = tmp_path / "precious"
    precious.write_text("x")
    record = folder / "steps" / "convert.json"
    record.write_text(record.read_text().replace("convert.txt", "../../../precious"))
    made(folder)
    assert precious.exists()


def test_names_behind_recorded_messages_are_listed_under_key(folder: Path) -> None:
    with step("convert", folder, True, Console(recorded=True)):
        raise InputRefused.of("it is truncated", named("SMITH.dcm", "file 12"), "fetch it again")
    assert read_json(folder / "steps" / "convert.json")["reasons"][0]["where"] == "file 12"
    listed = folder.parents[1] / "key" / "names" / "V0.convert.tsv"
    assert listed.read_text() == "stands_for\tname\nfile 12\tSMITH.dcm\n"
    assert listed.stat().st_mode & 0o077 == 0
    made(folder)
    assert not listed.exists()
    with step("convert", folder, True, (console := Console(recorded=True))):
        console.warn(f"{named('DOE.dcm', 'file 3')} was left aside")
    assert listed.read_text() == "stands_for\tname\nfile 3\tDOE.dcm\n"


def test_files_that_another_tool_put_there_need_no_record(folder: Path) -> None:
    write_text(folder / "pet.nii.gz", "another tool's")
    require_upstream(folder, "convert", "segment")


def test_a_refused_step_leaves_no_folder_that_was_not_there(folder: Path) -> None:
    with pytest.raises(InputRefused), step("convert", folder, False, Console()):
        raise InputRefused.of("no good", "x", "y")
    assert not folder.exists()


def test_a_record_that_was_edited_takes_no_other_steps_product_away(tmp_path):
    kept = {"pet.nii.gz": "x", "steps": "x", "": "x", "slices.tsv": "x"}
    (tmp_path / "steps").mkdir()
    (tmp_path / "steps" / "measure.json").write_text(json.dumps({"status": "ok", "products": kept}))
    for name in ("pet.nii.gz", "slices.tsv"):
        (tmp_path / name).write_text("x")
    clear("measure", tmp_path)
    assert (tmp_path / "pet.nii.gz").exists()
    assert not (tmp_path / "slices.tsv").exists()
