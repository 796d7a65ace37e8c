"""Who and when, from the headers of one visit: hashed here, so that nothing else of petflame holds it in the clear."""

from __future__ import annotations

import re
from typing import Any

from petflame.dicom import clock
from petflame.dicom import tags as t
from petflame.dicom.plan import Plan
from petflame.dicom.series import CLASSES, Series
from petflame.dicom.values import Values
from petflame.identity.record import Hasher, Part, Record, no_slices
from petflame.space.grid import Array

HASHED = {
    "patient_id": t.PATIENT_ID,
    "patient_name": t.PATIENT_NAME,
    "birth_date": t.BIRTH_DATE,
    "study": t.STUDY_UID,
    "series": t.SERIES_UID,
    "frame": t.FRAME_OF_REFERENCE,
}
# The first of these dates that a series holds is its day; the time goes with it.
MOMENTS = (
    (t.ACQUISITION_DATE, t.ACQUISITION_TIME),
    (t.ACQUISITION_DATETIME, None),
    (t.SERIES_DATE, t.SERIES_TIME),
    (t.STUDY_DATE, None),
)


def identity_of(plan: Plan, hasher: Hasher, pet_pixels: Array | None = None, ct_pixels: Array | None = None) -> Record:
    """Return who a visit is, as far as its headers tell, and its pixels where they were read.

    Parameters
    ----------
    plan : Plan
    hasher : Hasher
    pet_pixels, ct_pixels : (n, 6) arrays, optional
        Fingerprints of the images.
    """
    shifted = plan.overrides.text("dates") == "shifted"
    chosen = plan.pet.taken or next((s for s in plan.series if s.sop_class in CLASSES.values()), None)
    suv = plan.suv
    return Record(
        pet=_part(chosen, hasher, shifted) if chosen else Part(),
        ct=_part(plan.ct.taken, hasher, shifted) if plan.ct.taken else None,
        key_id=hasher.key_id,
        sex=suv.sex if suv else "",
        height_m=suv.height_m if suv else None,
        weight_kg=suv.weight_kg if suv else None,
        pet_pixels=no_slices() if pet_pixels is None else pet_pixels,
        ct_pixels=no_slices() if ct_pixels is None else ct_pixels,
    )


def _part(series: Series, hasher: Hasher, shifted: bool) -> Part:
    values = series.first.values
    hashes: dict[str, Any] = {name: hasher(name, values.text(tag)) for name, tag in HASHED.items()}
    if _digits(values.text(t.BIRTH_DATE)) in clock.PLACEHOLDER_DATES:
        hashes["birth_date"] = ""
    if shifted:
        return Part(**hashes, undated="shifted")
    day, second, undated = _moment(series)
    return Part(**hashes, day=day, second=second, undated=undated)


def _moment(series: Series) -> tuple[int | None, float | None, str]:
    """Return day and second of a series' earliest image, and why there is no day."""
    undated = "missing"
    born = _digits(series.first.values.text(t.BIRTH_DATE))
    for date_tag, time_tag in MOMENTS:
        found = []
        for header in series.headers:
            text = header.values.text(date_tag)
            undated = "placeholder" if clock.is_placeholder_date(text) else undated
            if date_tag == t.ACQUISITION_DATETIME:
                whole = clock.parse_datetime(text)
                day = None if whole is None else whole[0] - whole[0] % clock.DAY_S
                second = None if whole is None else whole[0] % clock.DAY_S
            else:
                day = clock.parse_date(text)
                second = clock.parse_time(header.values.text(time_tag)) if time_tag else None
            # Nobody is scanned for atherosclerosis on the day of birth: a de-identifier put one date for all.
            if day is not None and _digits(text)[:8] == born:
                undated, day = "placeholder", None
            if day is not None:
                found.append((day, -1.0 if second is None else second))
        if found:
            day, second = min(found)
            return int(day // clock.DAY_S), None if second < 0 else second, ""
    by_others = _other_day(series.first.values)
    return (by_others, None, "") if by_others is not None else (None, None, undated)


def _other_day(values: Values) -> int | None:
    """Return the day of the injection or of a vendor's start of the scan, where no date of the images is left."""
    agents = values.items(t.RADIOPHARMACEUTICALS)
    texts = [agent.text(t.START_DATETIME) for agent in agents]
    for block, byte in ((t.GE_PET, t.GE_SCAN_DATETIME), (t.SIEMENS_PET, t.SIEMENS_DECAY_DATETIME)):
        tag = values.private(block, byte)
        texts += [] if tag is None else [values.text(tag)]
    born = _digits(values.text(t.BIRTH_DATE))
    own = [text for text in texts if not clock.is_placeholder_date(text) and _digits(text)[:8] != born]
    moments = [clock.parse_datetime(text) for text in own]
    days = {int(m[0] // clock.DAY_S) for m in moments if m is not None}
    return days.pop() if len(days) == 1 else None


def _digits(text: str) -> str:
    return re.sub(r"\D", "", text)
