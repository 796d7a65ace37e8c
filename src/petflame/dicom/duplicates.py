"""Images of a series that repeat each other, or contradict each other about one place."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import fields

import numpy as np

from petflame.dicom import tags as t
from petflame.dicom.header import Header
from petflame.dicom.petheader import PetHeader, read_pet_header
from petflame.dicom.pixels import pixel_faults, read_stored, stored_bytes
from petflame.dicom.series import Series
from petflame.errors import Fault, InputRefused

MOST_NAMED = 3
# Decimals may be written otherwise: the least that a PACS keeps of a decimal string is six digits.
SAME_NUMBER = 1e-6
SAME_PLACE = 1e-3
TIMES = {
    t.ACQUISITION_TIME: "acquisition time",
    t.FRAME_REFERENCE_TIME: "frame reference time",
    t.TEMPORAL_POSITION: "temporal position",
}
NUMBERS = {
    t.IPP: "position",
    t.IOP: "orientation",
    t.PIXEL_SPACING: "pixel spacing",
    t.ROWS: "matrix size",
    t.COLUMNS: "matrix size",
    t.SLOPE: "rescale slope",
    t.INTERCEPT: "rescale intercept",
    **TIMES,
}
WORDS = {t.FRAME_OF_REFERENCE: "frame of reference"}
PIXELS = "pixel values"
# How the fields of a PET's header are told; one that is absent here is told by its own name.
TOLD = {
    "acquisition_s": TIMES[t.ACQUISITION_TIME],
    "frame_reference_s": TIMES[t.FRAME_REFERENCE_TIME],
    "frame_duration_s": "frame duration",
    "series_s": "series time",
    "injection_s": "injection time",
    "injection_time_s": "injection time",
    "ge_injection_s": "injection time",
    "ge_scan_s": "scan start",
    "siemens_decay_s": "decay correction time",
    "half_life_s": "half-life",
    "tracer_text": "tracer",
    "tracer_codes": "tracer",
    "philips_suv": "Philips SUV factor",
    "philips_activity": "Philips activity factor",
}
MOMENTS = frozenset({"acquisition_s", "series_s", "ge_scan_s", "siemens_decay_s", "injection_s", "ge_injection_s"})
SAME_MOMENT_S = 0.01
NOT_COMPARED = frozenset({"notes", "conflicts", "times_apart"})


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
    """Keep one of images that are the same in place and values; refuse those that differ, and say in what.

    Returns
    -------
    kept : list of Header
    repeated : int
        Images left out because another one has the same values.
    faults : list of Fault
    """
    uids: dict[str, list[Header]] = defaultdict(list)
    for h in headers:
        uids[h.values.text(t.SOP_INSTANCE) or h.name].append(h)
    kept, contradicted = _one_of_each(list(uids.values()))
    faults = _gathered_differences(
        contradicted,
        "several files share one SOPInstanceUID and their content differs",
        "find out which file is right, and keep that one",
    )
    places: dict[bytes, list[Header]] = defaultdict(list)
    for h in kept:
        places[_place(h)].append(h)
    if not faults:
        kept, contradicted = _one_of_each(list(places.values()))
        for timed in (True, False):
            group = [c for c in contradicted if bool(c[1] & set(TIMES.values())) is timed]
            kind = "frames of a dynamic or gated series" if timed else "two reconstructions or two versions of one"
            faults += _gathered_differences(
                group,
                f"more than one image lies at one position ({kind})",
                "keep one static reconstruction in the series",
            )
    names = {h.name for h in kept}
    return [h for h in headers if h.name in names], len(headers) - len(kept) if not faults else 0, faults


def _one_of_each(groups: list[list[Header]]) -> tuple[list[Header], list[tuple[list[Header], set[str]]]]:
    """Keep one image of each group whose members are alike; return the other groups with what differs.

    An uncompressed copy is kept rather than a compressed one.
    """
    kept, contradicted = [], []
    for group in groups:
        first, *others = sorted(group, key=lambda h: (h.compressed, h.name))
        differences: set[str] = set()
        for other in others:
            differences |= _differences(first, other)
        if differences:
            contradicted.append((group, differences))
            kept += group
        else:
            kept.append(first)
    return kept, contradicted


def _gathered_differences(groups: list[tuple[list[Header], set[str]]], what: str, remedy: str) -> list[Fault]:
    """Make one fault of all groups that contradict themselves."""
    if not groups:
        return []
    differing = ", ".join(sorted(set().union(*(d for _, d in groups))))
    many = f"; so it is {len(groups)} times" if len(groups) > 1 else ""
    names = ", ".join(h.told for h in groups[0][0][:2])
    return [Fault(f"{what}: they differ in {differing}{many}", names, remedy)]


def _place(h: Header) -> bytes:
    """Return position and orientation, rounded, as a key; a header without them has a place of its own."""
    position, orientation = h.values.numbers(t.IPP), h.values.numbers(t.IOP)
    if position is None or orientation is None:
        return h.name.encode()
    return (np.asarray(position + orientation).round(2) + 0.0).tobytes()


def _differences(a: Header, b: Header) -> set[str]:
    """Name in what two images differ: values and place, however they are written or compressed."""
    found = set()
    for tag, name in NUMBERS.items():
        first, second = a.values.numbers(tag), b.values.numbers(tag)
        if first is None or second is None:
            alike = a.values.text(tag) == b.values.text(tag)
        else:
            near = SAME_PLACE if tag in (t.IPP, t.IOP) else 0.0
            alike = len(first) == len(second) and bool(np.allclose(first, second, rtol=SAME_NUMBER, atol=near))
        if not alike:
            found.add(name)
    found |= {name for tag, name in WORDS.items() if a.values.text(tag) != b.values.text(tag)}
    if a.values.text(t.MODALITY) == "PT":
        found |= _suv_differences(read_pet_header([a]), read_pet_header([b]))
    return found if "matrix size" in found or _same_pixels(a, b) else found | {PIXELS}


def _suv_differences(a: PetHeader, b: PetHeader) -> set[str]:
    """Name in what the values differ that SUV and uptake time are made from."""
    names = {f.name for f in fields(PetHeader)} - NOT_COMPARED
    return {
        TOLD.get(name, name.replace("_", " "))
        for name in names
        if not _alike(getattr(a, name), getattr(b, name), SAME_MOMENT_S if name in MOMENTS else 0.0)
    }


def _alike(a: object, b: object, near: float) -> bool:
    if isinstance(a, tuple) and isinstance(b, tuple):
        return len(a) == len(b) and all(_alike(x, y, near) for x, y in zip(a, b, strict=True))
    if isinstance(a, float) and isinstance(b, float):
        return abs(a - b) <= (near or SAME_NUMBER * abs(a))
    return a == b


def _same_pixels(a: Header, b: Header) -> bool:
    """Compare stored values: as bytes where both are stored alike, else decoded."""
    alike = (t.BITS_ALLOCATED, t.BITS_STORED, t.PIXEL_REPRESENTATION)
    if a.syntax == b.syntax and all(a.values.integer(x) == b.values.integer(x) for x in alike):
        if stored_bytes(a) == stored_bytes(b):
            return True
        if not a.compressed:
            return False
    if pixel_faults(a) or pixel_faults(b):
        return False
    try:
        return bool(np.array_equal(read_stored(a), read_stored(b)))
    except InputRefused:
        return False
