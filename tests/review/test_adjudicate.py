"""An adjudicator sees both reads and nothing that tells whose they are."""

from dataclasses import asdict, replace

import numpy as np
import pytest

from petflame.errors import InputRefused
from petflame.files import write_json
from petflame.protocol import Protocol
from petflame.review.adjudicate import differences_of, reads_of
from petflame.review.plan import write_plan
from readings import finish

CODES = [f"V{n:010X}" for n in range(40)]
HERE, FAR = {"svc": np.arange(100, 200)}, {"svc": np.arange(150, 250)}


@pytest.fixture
def out(tmp_path):
    for code in CODES:
        write_json(tmp_path / "visits" / code / "labels.json", {"vessels": {}, "provenance": {}})
    write_plan(tmp_path, ["Alma", "Bert"], 3, Protocol(review={"counts": "adjudicated"}), 0, "C")
    return tmp_path


def test_the_order_is_reproducible_and_tells_nothing(out):
    first = 0
    for code in CODES:
        finish(out, "Alma", code, voxels=HERE)
        finish(out, "Bert", code, voxels=FAR)
        one, two = reads_of(out, code).reads
        assert {one.vessels["svc"].runs[0, 0], two.vessels["svc"].runs[0, 0]} == {100, 150}
        again, _ = reads_of(out, code).reads
        assert again.vessels["svc"].runs[0, 0] == one.vessels["svc"].runs[0, 0]
        first += one.vessels["svc"].runs[0, 0] == 100
        for read in (one, two):
            assert not {"Alma", "Bert"} & set(str(asdict(replace(read, vessels={}))).replace("'", " ").split())
    # Of 40 fair tosses, fewer than 10 or more than 30 would come once in 900.
    assert 10 <= first <= 30
    assert differences_of(out, CODES[0]) == ["svc: overlap (Dice) 0.50 is below 0.7"]


def test_a_read_that_is_not_finished_is_waited_for(out):
    finish(out, "Alma", CODES[0], voxels=HERE)
    with pytest.raises(InputRefused, match="not every reader has finished it") as refused:
        reads_of(out, CODES[0])
    assert "Bert" not in str(refused.value)
    with pytest.raises(InputRefused, match="holds no visit"):
        reads_of(out, "VFFFFFFFFFF")
