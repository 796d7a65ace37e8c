"""What is to be made again is judged by content: a step's record against the study as it is now."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

import petflame.replan
from petflame.console import Console
from petflame.errors import InputRefused
from petflame.files import read_json, write_json, write_text
from petflame.fingerprint import LARGEST_SOURCE, Applied, Request, Seen, Source, hash_file
from petflame.replan import Job, mark, why_stale
from petflame.seal import sealed
from petflame.steps import step

A_YEAR_S = 365 * 86400


@pytest.fixture
def job(tmp_path: Path) -> Job:
    """A finished step of one visit that read a folder, a table and an absent companion."""
    (tmp_path / "scans").mkdir()
    for name in ("a.dcm", "b.dcm"):
        (tmp_path / "scans" / name).write_text(f"pixels of {name}")
    (tmp_path / "table.tsv").write_text("x\n")
    (tmp_path / "out" / "key").mkdir(parents=True)
    upstream = tmp_path / "out" / "visits" / "V0" / "steps" / "earlier.json"
    write_json(upstream, {"status": "ok", "reasons": [], "products": {"p": "1"}})
    job = asked(tmp_path)
    run(job)
    return job


def asked(root: Path) -> Job:
    sources = {
        "dicom": Source.of(root / "scans"),
        "labels": Source(root, (root / "table.tsv", root / "table.json")),
    }
    folder = root / "out" / "visits" / "V0"
    request = Request("work", {"protocol": "p1"}, sources, {"earlier": (folder / "steps" / "earlier.json",)})
    record = folder / "steps" / "work.json"
    key = root / "out" / "key"
    return Job(request, record, key / "plan" / "work" / "V0", key / "seen" / "V0.work.json", (record,))


def run(job: Job) -> None:
    folder = job.record.parent.parent
    with step("work", folder, False, Console()) as outcome:
        outcome.made_from(job.request)
        write_text(folder / "product.txt", "made")


def old(path: Path) -> None:
    os.utime(path, (time.time() - A_YEAR_S,) * 2)


def replace_by_older(path: Path, text: str) -> None:
    other = path.with_name("other")
    other.write_text(text)
    old(other)
    os.replace(other, path)


CHANGES: dict[str, tuple[Callable[[Path], object], str]] = {
    "a file edited": (lambda r: (r / "table.tsv").write_text("y\n"), "files changed: labels"),
    "a file replaced by an older one": (lambda r: replace_by_older(r / "table.tsv", "y\n"), "files changed: labels"),
    "a scan swapped for another, the count the same": (
        lambda r: replace_by_older(r / "scans" / "a.dcm", "other pixels"),
        "files changed: dicom",
    ),
    "a file added": (lambda r: (r / "scans" / "c.dcm").write_text("c"), "files changed: dicom"),
    "a file removed": (lambda r: (r / "scans" / "b.dcm").unlink(), "files changed: dicom"),
    "two files exchanged": (
        lambda r: [(r / "scans" / n).write_text(f"pixels of {m}") for n, m in (("a.dcm", "b.dcm"), ("b.dcm", "a.dcm"))],
        "files changed: dicom",
    ),
    "a companion that appears": (lambda r: (r / "table.json").write_text("{}"), "files changed: labels"),
    "a product edited": (
        lambda r: (r / "out" / "visits" / "V0" / "product.txt").write_text("mine"),
        "products are not as it left them: product.txt",
    ),
    "a product deleted": (lambda r: (r / "out" / "visits" / "V0" / "product.txt").unlink(), "product.txt"),
    "an earlier step with another product": (
        lambda r: write_json(
            r / "out" / "visits" / "V0" / "steps" / "earlier.json",
            {"status": "ok", "reasons": [], "products": {"p": "2"}},
        ),
        "earlier steps changed: earlier",
    ),
    "a record that cannot be read": (
        lambda r: (r / "out" / "visits" / "V0" / "steps" / "work.json").write_text("[["),
        "its record cannot be read",
    ),
}


@pytest.mark.parametrize("change", CHANGES)
def test_every_change_is_noticed(job: Job, tmp_path: Path, change: str) -> None:
    assert why_stale(asked(tmp_path)) == ""
    act, why = CHANGES[change]
    act(tmp_path)
    assert why in why_stale(asked(tmp_path))


def test_a_file_edited_within_its_size_and_time_is_noticed(job: Job, tmp_path: Path) -> None:
    path = tmp_path / "table.tsv"
    status = path.stat()
    path.write_text("y\n")
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert why_stale(asked(tmp_path)) == "files changed: labels"


def test_touched_copied_and_moved_files_of_the_same_content_plan_nothing(job: Job, tmp_path: Path) -> None:
    for path in (tmp_path / "table.tsv", tmp_path / "scans" / "a.dcm"):
        path.touch()
        replace_by_older(path, path.read_text())
    assert why_stale(asked(tmp_path)) == ""
    moved = tmp_path / "elsewhere"
    moved.mkdir()
    for name in ("scans", "table.tsv", "out"):
        shutil.move(tmp_path / name, moved / name)
    assert why_stale(asked(moved)) == ""


def test_a_moved_result_still_notices_another_choice(job: Job, tmp_path: Path) -> None:
    shutil.move(tmp_path / "out", tmp_path / "renamed")
    shutil.move(tmp_path / "renamed", tmp_path / "out")
    now = asked(tmp_path)
    other = replace(now, request=replace(now.request, options={"protocol": "p2"}))
    assert why_stale(other) == "choices changed: protocol"


def test_another_version_makes_everything_again(job: Job, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(petflame.replan, "__version__", "99")
    assert "it was made by petflame" in why_stale(job)


def test_a_fault_of_petflame_is_tried_again_and_a_refusal_is_not(job: Job) -> None:
    for status, why in (("failed", "petflame failed in it"), ("refused", "")):
        write_json(
            job.record, sealed({k: v for k, v in read_json(job.record).items() if k != "seal"} | {"status": status})
        )
        assert why_stale(job) == why
    assert why_stale(job, strict=True) == "it was refused, and the run is strict"


def test_a_marker_stands_while_a_step_is_stale_and_is_newer_than_its_outcome(job: Job, tmp_path: Path) -> None:
    assert mark([job]) == {}
    assert not job.marker.exists()
    (tmp_path / "table.tsv").write_text("y\n")
    ahead = time.time() + 600
    os.utime(job.record, (ahead, ahead))
    assert mark([asked(tmp_path)]) == {"work: files changed: labels": 1}
    assert job.marker.stat().st_mtime > ahead
    assert job.marker.stat().st_mode & 0o077 == 0
    run(asked(tmp_path))
    assert mark([asked(tmp_path)]) == {}
    assert not job.marker.exists()


def test_products_without_their_record_are_made_again(job: Job, tmp_path: Path) -> None:
    product = job.record.parent.parent / "product.txt"
    job.record.unlink()
    now = replace(asked(tmp_path), outputs=(product,))
    assert mark([now]) == {"work: it has not been made": 1}
    assert now.marker.stat().st_mtime_ns > product.stat().st_mtime_ns


def test_a_part_that_no_rule_declares_is_made_again(job: Job, tmp_path: Path) -> None:
    now = replace(job, outputs=(job.record, tmp_path / "gone"))
    assert mark([now]) == {"work: it has not been made": 1}
    assert now.marker.exists()


def test_times_that_a_copy_mixed_up_are_put_in_order(job: Job, tmp_path: Path) -> None:
    earlier = tmp_path / "earlier"
    earlier.write_text("")
    old(job.record)
    mark([replace(job, earlier=(earlier,))])
    assert job.record.stat().st_mtime_ns >= earlier.stat().st_mtime_ns


def test_edits_put_on_by_hand_are_never_lost_in_silence(job: Job, tmp_path: Path) -> None:
    edits = tmp_path / "edits.nii.gz"
    edits.write_text("edits")
    folder = job.record.parent.parent
    earlier = read_json(job.record)
    with step("work", folder, False, Console()) as outcome:
        outcome.made_from(Applied("work", earlier, Source.of(edits)))
        write_text(folder / "product.txt", "edited")
    assert mark([job]) == {}
    (tmp_path / "table.tsv").write_text("y\n")
    with pytest.raises(InputRefused, match="V0: its labels hold edits that were put on by hand"):
        mark([asked(tmp_path)])


def test_a_list_of_hashes_is_believed_only_while_nothing_about_a_file_changed(tmp_path: Path) -> None:
    path, kept = tmp_path / "f", tmp_path / "key" / "seen.json"
    path.write_text("one")
    seen = Seen(kept)
    first = seen(path)
    seen.save()
    assert first == hash_file(path)
    assert kept.stat().st_mode & 0o077 == 0
    forged = read_json(kept)
    forged["files"][str(path)][5] = "0" * 64
    write_json(kept, forged)
    assert Seen(kept)(path) == first, "an edited list is dropped"
    kept.write_text("not JSON")
    assert Seen(kept)(path) == first


def test_what_cannot_be_hashed_counts_as_absent(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    assert [hash_file(tmp_path / name) for name in ("none", "pipe", "a" * 300)] == [None] * 3


def test_a_source_larger_than_any_that_is_read_is_not_hashed_and_its_successor_is_noticed(job: Job) -> None:
    """A file of gigabytes that every reader refuses would otherwise be read to its end at each planning."""
    table = job.request.sources["labels"].files[0]
    os.truncate(table, LARGEST_SOURCE + 1)
    asked_for: list[Path] = []

    def hasher(path: Path) -> str | None:
        asked_for.append(path)
        return hash_file(path)

    large = job.request.made_from(hasher)
    assert table not in asked_for
    assert len(asked_for) == 2
    os.truncate(table, LARGEST_SOURCE)
    assert job.request.made_from(lambda path: "x") != large
