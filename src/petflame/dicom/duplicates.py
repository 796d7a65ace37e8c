"""Images of a series that repeat each other, or contradict each other about one place."""

from __future__ import annotations

from collections import defaultdict

import numpy as np

from petflame.dicom import tags as t
from petflame.dicom.header import Header
from petflame.dicom.pixels import stored_bytes
from petflame.dicom.series import Series
from petflame.errors import Fault

MOST_NAMED = 3


def gathered(faults: list[Fault]) -> list[Fault]:
    """Say once what many images have in common."""
    groups: dict[tuple[str, str], list[Fault]] = defaultdict(list)
    for fault in faults:
        groups[fault.what, fault.remedy].append(fault)
    told = []
    for (what, remedy), group in groups.items():
        if len(group) <= MOST_NAMED:
            told += group
        else:
            told.append(Fault(what, f"{group[0].where} and {len(group) - 1} more images", remedy))
    return told


def without_localizers(series: Series) -> list[Header]:
    """Return the images of a series without those flagged as localizers, unless all are."""
    flagged = [h for h in series.headers if "LOCALIZER" in (x.upper() for x in h.values.texts(t.IMAGE_TYPE))]
    return (
        [h for h in series.headers if h not in flagged]
        if 0 < len(flagged) < len(series.headers)
        else list(series.headers)
    )


def without_duplicates(headers: list[Header]) -> tuple[list[Header], int, list[Fault]]:
    """Keep one of images that are the same in place and pixels; refuse those that differ."""
    places: dict[bytes, list[Header]] = defaultdict(list)
    uids: dict[str, list[Header]] = defaultdict(list)
    for h in headers:
        places[_place(h)].append(h)
        uids[h.values.text(t.SOP_INSTANCE)].append(h)
    faults, drop = [], set()
    for uid, group in uids.items():
        if uid and len({h.values.bytes_of(t.IPP).strip(b" \0") for h in group}) > 1:
            names = ", ".join(h.name for h in group[:4])
            faults.append(Fault("several images share one SOPInstanceUID and differ", names, "export the series again"))
    for group in places.values():
        for other in group[1:]:
            if _same_image(group[0], other):
                drop.add(other.name)
            else:
                faults.append(_two_frames(group[0], other, len(group)))
                break
    many = [f for f in faults if f.what.startswith("more than one image")]
    if len(many) > 3:
        faults = [f for f in faults if f not in many[1:]]
        faults[faults.index(many[0])] = Fault(
            f"more than one image lies at each of {len(many)} positions (dynamic, gated, or two reconstructions)",
            many[0].where,
            many[0].remedy,
        )
    return [h for h in headers if h.name not in drop], len(drop), faults


def _place(h: Header) -> bytes:
    """Return position and orientation, rounded, as a key; a header without them has a place of its own."""
    position, orientation = h.values.numbers(t.IPP), h.values.numbers(t.IOP)
    if position is None or orientation is None:
        return h.name.encode()
    return (np.asarray(position + orientation).round(2) + 0.0).tobytes()


def _two_frames(first: Header, other: Header, count: int) -> Fault:
    what = f"more than one image lies at one position ({count}; dynamic, gated, or two reconstructions)"
    return Fault(what, f"{first.name}, {other.name}", "keep one static reconstruction in the series")


def _same_image(a: Header, b: Header) -> bool:
    told = (
        t.SLOPE,
        t.INTERCEPT,
        t.ROWS,
        t.COLUMNS,
        t.PIXEL_SPACING,
        t.IOP,
        t.FRAME_OF_REFERENCE,
        t.ACQUISITION_TIME,
        t.FRAME_REFERENCE_TIME,
        t.UNITS,
    )
    if any(a.values.bytes_of(tag).strip(b" \0") != b.values.bytes_of(tag).strip(b" \0") for tag in told):
        return False
    return stored_bytes(a) == stored_bytes(b)
