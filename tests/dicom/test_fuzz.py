"""Damaged headers and files: refused by name or converted; never any other exception, never a large allocation.

PETFLAME_FUZZ_CASES sets how many mutations are tried (120 by default).
"""

from __future__ import annotations

import os
import random
import time
import tracemalloc

import numpy as np
import pytest
from pydicom import dcmread
from pydicom.uid import RLELossless

from dicom.synthetic import ct_series, pet_series, write
from petflame.dicom.convert import convert_visit
from petflame.errors import PetflameError
from petflame.protocol import Protocol

CASES = int(os.environ.get("PETFLAME_FUZZ_CASES", "120"))
LONGEST_S, MOST_BYTES = 1.0, 1 << 30
SHAPE = (3, 6, 7)


def flip_bytes(data: bytes, dice: random.Random) -> bytes:
    out = bytearray(data)
    for _ in range(dice.choice((1, 2, 8, 40))):
        out[dice.randrange(len(out))] = dice.randrange(256)
    return bytes(out)


def cut(data: bytes, dice: random.Random) -> bytes:
    return data[: dice.randrange(len(data))]


def repeat_a_piece(data: bytes, dice: random.Random) -> bytes:
    a = dice.randrange(len(data))
    b = min(len(data), a + dice.randrange(1, 200))
    return data[:b] + data[a:b] * dice.randrange(1, 5) + data[b:]


def remove_a_piece(data: bytes, dice: random.Random) -> bytes:
    a = dice.randrange(len(data))
    return data[:a] + data[a + dice.randrange(1, 60) :]


def blow_up_a_length(data: bytes, dice: random.Random) -> bytes:
    a = dice.randrange(132, len(data) - 4)
    return (
        data[:a] + dice.choice((b"\xff\xff\xff\xff", b"\xff\xff\xff\x7f", b"\0\0\0\x80", b"\xff\xff")) + data[a + 4 :]
    )


def nonsense_in_a_number(data: bytes, dice: random.Random) -> bytes:
    keys = (
        b"350000000.0",
        b"70.0",
        b"6586.2",
        b"20250311",
        b"110000",
        b"1.75",
        b"1000",
        b"4.0\\5.0",
        b"BQML",
        b"START",
    )
    key = dice.choice(keys)
    junk = dice.choice((b"nan", b"-1", b"1e308", b"inf", b"\\\\\\", b"", b"\xff\xfe", b"999999999999", b"0", b"1e-320"))
    return data.replace(key, junk[: len(key)].ljust(len(key)))


MUTATORS = (flip_bytes, cut, repeat_a_piece, remove_a_piece, blow_up_a_length, nonsense_in_a_number)


@pytest.fixture(scope="module")
def originals(tmp_path_factory):
    folder = tmp_path_factory.mktemp("originals")
    write(pet_series(SHAPE), folder, "P{}".format)
    write(ct_series(SHAPE), folder, "C{}".format, implicit=True)
    packed = dcmread(folder / "P1")
    packed.compress(RLELossless, generate_instance_uid=False)
    packed.save_as(folder / "P1")
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.mark.filterwarnings("ignore")
def test_mutated_files(originals, tmp_path):
    dice = random.Random(20250311)
    protocol, source = Protocol(), tmp_path / "in"
    source.mkdir()
    outcomes = {"refused": 0, "converted": 0}
    incomplete = []
    for case in range(CASES):
        name = dice.choice(sorted(originals))
        mutate = dice.choice(MUTATORS)
        for other, data in originals.items():
            (source / other).write_bytes(mutate(data, dice) if other == name else data)
        # Tracing slows everything down, so memory is watched in every tenth case.
        traced = case % 10 == 0
        if traced:
            tracemalloc.start()
        started = time.process_time()
        try:
            convert_visit(source, tmp_path / "out" / "visit", protocol=protocol)
            outcomes["converted"] += 1
        except PetflameError as error:
            incomplete += [f for f in error.faults if not (f.what and f.where and f.remedy)]
            outcomes["refused"] += 1
        assert time.process_time() - started < (3 * LONGEST_S if traced else LONGEST_S), (case, mutate.__name__, name)
        if traced:
            assert tracemalloc.get_traced_memory()[1] < MOST_BYTES, (case, mutate.__name__, name)
            tracemalloc.stop()
    assert incomplete == []
    assert outcomes["refused"] > CASES // 5
    assert outcomes["converted"] > 0
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == ["key", "visit"]


def test_nesting_and_endless_sequences(tmp_path):
    head = b"\0" * 128 + b"DICM"
    opened = b"\x08\x00\x40\x11SQ\0\0\xff\xff\xff\xff\xfe\xff\x00\xe0\xff\xff\xff\xff"
    source = tmp_path / "in"
    source.mkdir()
    for depth in (5, 100, 20_000):
        (source / "a.dcm").write_bytes(head + opened * depth)
        with pytest.raises(PetflameError, match=r"a\.dcm"):
            convert_visit(source, tmp_path / "out", protocol=Protocol())


def test_random_bytes(tmp_path):
    source = tmp_path / "in"
    source.mkdir()
    noise = np.random.default_rng(7)
    for n in range(40):
        (source / f"{n}.dcm").write_bytes(b"\0" * 128 + b"DICM" + noise.bytes(int(noise.integers(0, 4000))))
    with pytest.raises(PetflameError):
        convert_visit(source, tmp_path / "out", protocol=Protocol())
