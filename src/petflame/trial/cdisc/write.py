"""Writing the datasets, with what describes them."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pandas as pd

from petflame.files import plain, write_json, write_text, write_tsv
from petflame.privacy import without_names
from petflame.trial.cdisc.dataset_json import METADATA_FILE, document
from petflame.trial.cdisc.datasets import analysis_level, subject_level
from petflame.trial.cdisc.define import define_xml
from petflame.trial.cdisc.names import writable
from petflame.trial.cohort import Cohort

UNITS = dict.fromkeys(("AVAL", "BASE", "CHG"), "the unit in PARAM") | {"PCHG": "percent"}


def creation_time(inputs: Iterable[Path]) -> str:
    """Return the time stamp of a dataset, so that the same inputs give the same bytes.

    It is the environment variable SOURCE_DATE_EPOCH (seconds) where set, else the latest modification of the input
    tables, which is when the data came into being.
    """
    epoch = os.environ.get("SOURCE_DATE_EPOCH", "")
    seconds = int(epoch) if epoch.isdigit() else int(max(p.stat().st_mtime for p in inputs))
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def write_datasets(cohort: Cohort, out: Path, study_id: str, inputs: Iterable[Path]) -> None:
    """Write ADSL and ADTBR as Dataset-JSON, ``define.xml``, and the same rows as tables with column dictionaries.

    Everything is made before anything is written, so that the files that lie there are of one run.
    """
    created = creation_time(inputs)
    # The files hold no names, and what describes them must say the same lengths and codes.
    study = writable(without_names(study_id)).strip() or "UNKNOWN"
    made = (subject_level(cohort, study), analysis_level(cohort, study))
    datasets = tuple(replace(d, rows=plain(d.rows)) for d in made)
    documents = [document(d, study, created) for d in datasets]
    described = define_xml(datasets, study, created)
    for dataset, whole in zip(datasets, documents, strict=True):
        path = out / dataset.file
        write_json(path, whole)
        names = [c.name for c in dataset.columns]
        table = pd.DataFrame(whole["rows"], columns=names, dtype=object)
        write_tsv(path.with_suffix(".tsv"), table, {c.name: (c.label, UNITS.get(c.name, "")) for c in dataset.columns})
    write_text(out / METADATA_FILE, described)
