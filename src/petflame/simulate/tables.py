"""What the columns of a study's tables mean."""

from __future__ import annotations

_VISITS = {
    "participant_id": ("code of the participant in this study", ""),
    "visit": ("baseline or followup", ""),
    "dicom_dir": ("folder of the visit's DICOM files, relative to this table", ""),
    "labels": ("a reader's label map on the CT grid, relative to this table", ""),
    "seeds": (
        "a reader's points on carotids, jugular veins and carotid bifurcations, LPS mm (JSON, CSV or 3D Slicer's, or a "
        "folder of them), relative to this table",
        "",
    ),
    "glucose_mmol_l": ("blood glucose before injection", "mmol/L"),
}

MEANINGS: dict[str, dict[str, tuple[str, str]]] = {
    "participants": {
        "participant_id": ("code of the participant in this study", ""),
        "site": ("recruiting site, which has one scanner; allocation was stratified by it", ""),
        "sex": ("sex: M or F", ""),
        "age_years": ("age at recruitment", "years"),
        "diabetes": ("diabetes at recruitment: yes or no", ""),
    },
    "visits": {name: meaning for name, meaning in _VISITS.items() if name != "labels"},
    "visits_with_labels": _VISITS,
    "allocation": {
        "participant_id": ("code of the participant in this study", ""),
        "arm": ("randomised treatment: active or control", ""),
    },
    "outcomes": {
        "participant_id": ("code of the participant in this study", ""),
        "time_years": ("time from randomisation to the event or to the end of observation", "years"),
        "event": ("1 when a recurrent event ended the time, 0 when observation did", ""),
    },
}
