"""What makes two measurements of a vessel comparable is how they were made."""

import pytest

from petflame.pair.comparability import same_measurement


def graded(first, second):
    both = tuple({"background_region": "svc", "method": method} for method in (first, second))
    return next(i for i in same_measurement({"svc": both}, ("ct", "ct")) if i.item == "method_svc")


@pytest.mark.parametrize(
    "accepted", ["labels, accepted by a reader", "labels, accepted by a reader (see decisions.tsv)"]
)
def test_an_acceptance_at_one_visit_is_told_and_changes_nothing(accepted):
    for pair in ((accepted, "labels"), ("labels", accepted)):
        assert graded(*pair).grade == "pass"
        assert "accepted by a reader at one visit" in graded(*pair).limits
    assert graded(accepted, accepted).limits == "the same"


@pytest.mark.parametrize("other", ["seeds", "labels, edited by a reader", "seeds, accepted by a reader"])
def test_regions_made_in_another_way_fail(other):
    assert graded("labels", other).grade == "fail"
