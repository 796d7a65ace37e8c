"""What the record of a step says, whatever was done to it."""

import json

import pytest

from petflame.errors import Fault
from petflame.outcome import Outcome, products_of, read_outcome


@pytest.mark.parametrize("document", [{}, {"reasons": 5}, {"reasons": [5]}, {"reasons": [{}]}, {"status": "refused"}])
def test_a_record_that_does_not_say_why_is_no_result_and_says_so(document):
    found = Outcome.of(document)
    assert not found.is_ok
    assert [reason.what for reason in found.reasons] == ["its record does not say why"]
    assert not Outcome.of({**document, "reasons": []}).reasons


def test_reasons_and_kind_are_those_of_the_record():
    fault = Fault("a slice is missing", "file 3", "send it again")
    found = Outcome.of({"status": "failed", "reasons": [fault.as_dict()]})
    assert (found.reasons, found.kind) == ((fault,), "failed")
    assert Outcome.of({"status": "upstream_refused"}).kind == "refused"
    assert Outcome.of({"status": "ok"}).is_ok


def test_products_lead_nowhere_else_and_an_unreadable_record_has_none(tmp_path):
    record = tmp_path / "segment.json"
    assert read_outcome(record) is None
    assert not products_of(record)
    kept = {"labels.json": "1", "../x": "2", "/etc/passwd": "3"}
    record.write_text(json.dumps({"status": "ok", "products": kept}))
    assert products_of(record) == {"labels.json": "1"}
    record.write_text("{")
    assert not products_of(record)
