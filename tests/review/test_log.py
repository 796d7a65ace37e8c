"""A log of actions is only ever added to, and shows every byte that was changed."""

import errno
import json
import os
import signal
import subprocess
import sys
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from petflame.errors import InputRefused
from petflame.review.log import START, HeadMoved, ReadLog, chain_faults

HASHES = {f"{name}_sha256": name[0] * 64 for name in ("ct", "pet", "labels", "shown")}


def entry(n=0, why=""):
    common = {"time": "2026-11-28T16:40:00Z", "reader": "R1", "item": "V1", "petflame": "1", "why": why}
    return {**common, **HASHES, "action": {"kind": "comment", "words": f"Grüße {n}"}}


def filled(path, count=4):
    log = ReadLog(path)
    for n in range(count):
        log.append(entry(n), log.head)
    return log


def test_lines_are_numbered_and_each_holds_the_hash_of_the_one_before(tmp_path):
    log = filled(tmp_path / "r" / "a.jsonl")
    lines = ReadLog(log.path).lines()
    assert [line["n"] for line in lines] == [1, 2, 3, 4]
    assert lines[0]["previous"] == START
    import hashlib

    texts = log.path.read_bytes().split(b"\n")[:-1]
    assert [line["previous"] for line in lines[1:]] == [hashlib.sha256(t).hexdigest() for t in texts[:-1]]
    assert log.head == hashlib.sha256(texts[-1]).hexdigest()
    assert chain_faults(log.path) == []


def test_a_line_is_refused_where_another_came_first(tmp_path):
    log = filled(tmp_path / "a.jsonl", 1)
    other = ReadLog(log.path)
    head = other.head
    log.append(entry(), log.head)
    with pytest.raises(HeadMoved):
        other.append(entry(), head)
    assert len(ReadLog(log.path).lines()) == 2


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_every_changed_byte_is_noticed(tmp_path_factory, data):
    path = tmp_path_factory.mktemp("log") / "a.jsonl"
    filled(path, 3)
    content = bytearray(path.read_bytes())
    at = data.draw(st.integers(0, len(content) - 1))
    content[at] ^= data.draw(st.integers(1, 255))
    path.write_bytes(content)
    faults = chain_faults(path)
    assert len(faults) == 1
    assert "line" in faults[0].where
    with pytest.raises(InputRefused):
        ReadLog(path).append(entry(), START)


def test_the_last_newline_changed_is_noticed_too(tmp_path):
    path = tmp_path / "a.jsonl"
    filled(path)
    content = path.read_bytes()
    for last in (b"x", b" ", b"\xff", b"}"):
        path.write_bytes(content[:-1] + last)
        assert chain_faults(path), last


def test_lines_taken_out_or_exchanged_are_noticed(tmp_path):
    path = tmp_path / "a.jsonl"
    filled(path)
    one, two, three, four = path.read_bytes().splitlines(keepends=True)
    for wrong in ((two, three, four), (one, three, four), (one, three, two, four), (one, one, two, three, four)):
        path.write_bytes(b"".join(wrong))
        assert chain_faults(path)


@pytest.mark.parametrize("left", [1, 40, -2, -1])
def test_a_torn_line_was_never_acknowledged_and_is_cut_off_by_the_next(tmp_path, left):
    path = tmp_path / "a.jsonl"
    filled(path, 3)
    whole = path.read_bytes()
    third = whole.splitlines(keepends=True)[2]
    path.write_bytes(whole[: -len(third)] + third[: left if left > 0 else len(third) + left])
    log = ReadLog(path)
    assert len(log.lines()) == 2
    assert chain_faults(path) == []
    line = log.append(entry(9), log.head)
    assert line["n"] == 3
    assert line["dropped_bytes"] == (left if left > 0 else len(third) + left)
    assert [x["action"]["words"] for x in ReadLog(path).lines()] == ["Grüße 0", "Grüße 1", "Grüße 9"]


def test_a_full_disk_leaves_the_lines_before(tmp_path, monkeypatch):
    path = tmp_path / "a.jsonl"
    log = filled(path, 2)
    before, head = path.read_bytes(), log.head
    write = os.pwrite

    def half(handle, data, at):
        if len(data) > 100:
            return write(handle, data[:77], at)
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "pwrite", half)
    monkeypatch.setattr(
        "petflame.review.log.os.pwrite", lambda h, d, a: half(h, d, a) if a == len(before) else half(h, b"", a)
    )
    with pytest.raises(OSError, match="No space"):
        log.append(entry(5), head)
    monkeypatch.undo()
    assert path.read_bytes() == before
    assert log.append(entry(6), head)["n"] == 3


WRITER = """
import sys
sys.path.insert(0, sys.argv[3])
from pathlib import Path
from test_log import entry
from petflame.review.log import HeadMoved, ReadLog
log, count = ReadLog(Path(sys.argv[1])), int(sys.argv[2])
n = 0
while n < count:
    try:
        log.append(entry(n, why=sys.argv[4]), log.head)
        print(n, flush=True)
        n += 1
    except HeadMoved:
        pass
"""


def writer(path, count, who, **more):
    line = [sys.executable, "-c", WRITER, str(path), str(count), os.path.dirname(__file__), who]
    return subprocess.Popen(line, **more)


def test_two_programs_with_two_hundred_lines_each_lose_none(tmp_path):
    path = tmp_path / "a.jsonl"
    both = [writer(path, 200, who, stdout=subprocess.DEVNULL) for who in "ab"]
    assert [p.wait(120) for p in both] == [0, 0]
    lines = ReadLog(path).lines()
    assert len(lines) == 400
    for who in "ab":
        said = [line["action"]["words"] for line in lines if line["why"] == who]
        assert said == [f"Grüße {n}" for n in range(200)]


def test_a_program_killed_at_any_moment_loses_nothing_that_it_acknowledged(tmp_path):
    path = tmp_path / "a.jsonl"
    process = writer(path, 10**6, "a", stdout=subprocess.PIPE, text=True)
    said = [process.stdout.readline() for _ in range(30)]
    time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    said += process.stdout.readlines()
    process.wait()
    kept = ReadLog(path).lines()
    acknowledged = int(said[-1]) + 1
    assert acknowledged <= len(kept) <= acknowledged + 1
    assert json.loads(path.read_bytes().splitlines()[0])["n"] == 1
