"""The local table of which code is whose."""

from __future__ import annotations

import json

from petflame.files import private_folder, write_text
from petflame.folders import StudyOut
from petflame.study import Study

COLUMNS = {
    "code": ("code of the visit or pair folder", ""),
    "participant_id": ("participant", ""),
    "visit": ("baseline, followup or pair", ""),
}


def _texts(study: Study) -> dict[str, str]:
    rows = [(study.code(v.participant_id, v.visit), v.participant_id, v.visit) for v in study.visits]
    rows += [(code, study.participant_of(code), "pair") for code in study.pairs]
    meanings = {name: {"description": meaning, "unit": unit} for name, (meaning, unit) in COLUMNS.items()}
    return {
        "key.tsv": "".join("\t".join(row) + "\n" for row in (tuple(COLUMNS), *rows)),
        "key_columns.json": json.dumps(meanings, indent=2) + "\n",
    }


def write_key_table(study: Study, results: StudyOut) -> None:
    """Write ``key/key.tsv``, for its owner alone."""
    private_folder(results.key_table.parent)
    for name, text in _texts(study).items():
        write_text(results.key_table.with_name(name), text, private=True)


def key_table_holds(study: Study, results: StudyOut) -> bool:
    """Whether ``key/key.tsv`` and its sidecar are there, byte for byte as they were written of this study."""
    for name, text in _texts(study).items():
        path = results.key_table.with_name(name)
        if not path.is_file() or path.read_bytes() != text.encode():
            return False
    return True
