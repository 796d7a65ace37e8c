"""What `petflame reliability` says: on whom, how sure, of what, and what may use it; and the limits of the CV."""

from __future__ import annotations

import json
from importlib import import_module

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

from petflame.cli import app
from petflame.errors import InputRefused
from petflame.repeatability import read_within_subject
from petflame.trial.design.within_subject import read_scan_rescan
from petflame.trial.reliability import _within_subject_cv, cv_limits, reliability
from petflame.trial.reliability_words import lines


@pytest.fixture
def readings(tables):
    """Return a function that writes readings of subjects scanned twice, the last of them once."""

    def make(n=11, cv=0.05, shift=0.0):
        rng = np.random.default_rng(5)
        values = np.exp(rng.normal(0.8, 0.15, (n, 1)) + rng.normal(0, cv, (n, 2))) + shift
        rows = [(f"S{k}", scan, values[k, scan]) for k in range(n) for scan in (0, 1)][:-1]
        return tables.write("readings", pd.DataFrame(rows, columns=["subject", "rater", "value"]))

    return make


@pytest.mark.parametrize("options", [[], ["--log"]])
def test_the_verb_says_whom_it_rests_on_how_sure_it_is_and_what_may_use_it(readings, tmp_path, options):
    import_module("petflame.cli.trial")
    words = ["reliability", str(readings()), "--repeated", "scan_rescan", "--out", str(tmp_path), *options]
    ran = CliRunner().invoke(app, words)
    assert ran.exit_code == 0, ran.output
    found, said = json.loads((tmp_path / "reliability.json").read_text()), " ".join(ran.output.split())
    assert "10 subjects, 2 scans each (the whole scan was repeated)" in said
    assert "1 subject left out" in said
    icc = found["icc"]["A,1"]
    assert f"{icc['estimate']:.3f} (95 % interval {icc['low']:.3f} to {icc['high']:.3f})" in said
    rc = [found[f"repeatability_coefficient{end}"] for end in ("", "_low", "_high")]
    assert f"{rc[0]:.3f} (95 % interval {rc[1]:.3f} to {rc[2]:.3f})" in said
    assert ("on the scale of logarithms" if options else "in the unit of the readings") in said
    cv, low, high = (100 * found[f"within_subject_cv{end}"] for end in ("", "_low", "_high"))
    assert f"within-subject CV: {cv:.1f} % (95 % limits {low:.1f} to {high:.1f} %" in said
    assert "10 degrees of freedom" in said
    assert "petflame power --reliability" in said
    assert str(tmp_path / "reliability.json") in ran.output.replace("\n", "")


@pytest.mark.parametrize(("repeated", "cv"), [("reading", 0.05), (None, 0.05), ("scan_rescan", 1.5)])
def test_a_use_is_named_only_where_the_file_is_taken(readings, tmp_path, repeated, cv):
    said = " ".join(lines(reliability(readings(cv=cv), tmp_path, repeated=repeated)))
    assert "use: describes agreement alone" in said
    assert "--reliability" not in said
    with pytest.raises(InputRefused):
        read_within_subject(tmp_path / "reliability.json")


def test_the_limits_are_those_that_the_design_takes(readings, tmp_path):
    found = reliability(readings(), tmp_path, repeated="scan_rescan", log=True)
    total = read_scan_rescan(tmp_path / "reliability.json")
    limits = [np.sqrt(np.log1p(found[f"within_subject_cv{end}"] ** 2)) for end in ("_low", "_high")]
    assert limits == pytest.approx(total.limits, rel=1e-9)


def test_a_reading_that_is_not_positive_has_no_cv_and_says_so(readings, tmp_path):
    found = reliability(readings(shift=-3.0), tmp_path, repeated="scan_rescan")
    assert found["within_subject_cv"] is found["within_subject_cv_low"] is None
    assert "within-subject CV: none, a reading is not positive" in list(lines(found))


@pytest.mark.parametrize("log", [False, True])
def test_the_limits_of_the_cv_cover(log):
    rng, cv, n, trials = np.random.default_rng(2), 0.08, 11, 2000
    raw = np.exp(rng.normal(0.8, 0.15, (trials, n, 1)) + rng.normal(0, np.sqrt(np.log1p(cv**2)), (trials, n, 2)))
    held = 0
    for table in raw:
        sd = np.sqrt(np.log(table).var(axis=1, ddof=1).mean()) if log else None
        low, high = cv_limits(_within_subject_cv(table, sd), n)
        held += low <= cv <= high
    assert held / trials == pytest.approx(0.95, abs=4 * np.sqrt(0.95 * 0.05 / trials))


def test_an_upper_limit_beyond_every_number_is_none():
    low, high = cv_limits(1e6, 1)
    assert low > 1
    assert high is None


def test_readings_that_differ_within_subjects_alone_have_no_correlation(tables, tmp_path):
    rows = [("S1", "a", 2.1), ("S1", "b", 2.3), ("S2", "a", 2.3), ("S2", "b", 2.1)]
    found = reliability(tables.write("readings", pd.DataFrame(rows, columns=["subject", "rater", "value"])), tmp_path)
    assert found["icc"]["A,1"] is None
    assert "neither subjects nor raters differ" in found["icc"]["reason"]
    assert found["within_subject_sd"] == pytest.approx(np.sqrt(0.02))
