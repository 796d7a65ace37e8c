"""Comparing who was scanned over all visits of a study: what refuses, what flags, what cannot be compared.

The table of signals stands in docs/identity.md. Findings name visits by their codes, which tell neither participant nor
order, so that they may stand in a visit's folder.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence

from petflame.errors import Fault
from petflame.identity.finding import (
    FAIL,
    FLAGGED,
    OWN_SCAN,
    REFUSED,
    UNKNOWN,
    WARN,
    WHOSE,
    Entry,
    Finding,
    codes_of,
)
from petflame.identity.pixels import comparable
from petflame.identity.scans import same_scans

# An adult is 1.9 cm shorter in the evening (Reilly, Tyrrell & Troup, Chronobiol Int 1984; 1: 121); three times that is
# no longer the same adult.
LARGEST_HEIGHT_DIFFERENCE_M = 0.06
# Twice the 10 % that is called severe when lost within six months (GLIM criteria, Cederholm et al., Clin Nutr 2019).
LARGEST_WEIGHT_DIFFERENCE = 0.20
# An identifier carried by everybody names nobody; with two participants it may as well be a mistake.
LEAST_FOR_CONSTANT = 3
IDENTIFIERS = {
    "patient_id": "PatientID (0010,0020)",
    "patient_name": "PatientName (0010,0010)",
    "birth_date": "PatientBirthDate (0010,0030)",
}
SESSION = {"study": "StudyInstanceUID (0020,000D)", "frame": "FrameOfReferenceUID (0020,0052)"}
SHARED_BY_COPIES = frozenset({"same CT", "patient", "date order", "session", "moment"})


def compare(entries: Sequence[Entry]) -> list[Finding]:
    """Compare the records of all visits of a study.

    Parameters
    ----------
    entries : sequence of Entry
        Every visit that has a record, once each.

    Returns
    -------
    list of Finding
        In an order that depends on the entries alone.
    """
    entries = sorted(entries, key=lambda e: e.code)
    pairs = _pairs(entries)
    found = [*same_scans(entries), *_orders(pairs), *_identifiers(entries, pairs), *_bodies(pairs)]
    found += [*_sessions(entries), *_moments(entries), *_within(entries), *_lonely(entries, pairs)]
    twice = {code for f in found if f.signal == "same PET" and f.outcome == REFUSED for code in f.codes}
    # That two copies of one scan share their CT, patient, study, frame, day and moment says nothing new.
    told = [f for f in found if f.outcome == FLAGGED and f.signal in SHARED_BY_COPIES and set(f.codes) <= twice]
    crossed = {code for f in found if f.signal == "patient" and f.outcome == REFUSED for code in f.codes}
    # Crossed visits may well be out of order too; exchanging their rows would be the wrong advice.
    told += [f for f in found if f.signal == "date order" and f.outcome == REFUSED and crossed >= set(f.codes)]
    return list(dict.fromkeys(f for f in found if f not in told))


def _pairs(entries: Iterable[Entry]) -> list[tuple[Entry, Entry]]:
    """Return (baseline, follow-up) of every participant with both."""
    of: dict[str, dict[str, Entry]] = defaultdict(dict)
    for e in entries:
        of[e.participant_id][e.visit] = e
    return [(v["baseline"], v["followup"]) for _, v in sorted(of.items()) if {"baseline", "followup"} <= set(v)]


def _orders(pairs: Iterable[tuple[Entry, Entry]]) -> Iterator[Finding]:
    for before, after in pairs:
        codes, records = tuple(sorted((before.code, after.code))), (before.record, after.record)
        first, second = (record.pet for record in records)
        cts = [record.ct for record in records if record.ct is not None and record.ct.day is not None]
        if None in (first.day, second.day) and len(cts) == len(records):
            # PET and CT are of one day.
            first, second = cts
        if first.day is None or second.day is None:
            why = sorted({p.undated for p in (first, second)} - {""})
            fault = Fault(f"the dates cannot be compared ({', '.join(why)})", "the PET series", "")
            yield Finding(codes, "date order", UNKNOWN, fault)
        elif first.day > second.day:
            remedy = (
                "exchange the two rows of visits.tsv if they are exchanged; where dates were shifted by another "
                "amount in each visit, give `dates` = shifted in the overrides of both"
            )
            fault = Fault("the dates of the participant's two visits are in the wrong order", "the PET series", remedy)
            yield Finding(codes, "date order", REFUSED, fault)
        elif first.day == second.day:
            what = "the participant's two visits are dated the same day, so their order cannot be confirmed"
            yield Finding(codes, "date order", FLAGGED, Fault(what, "the PET series", WHOSE), WARN)


def _identifiers(entries: Sequence[Entry], pairs: Sequence[tuple[Entry, Entry]]) -> Iterator[Finding]:
    """Compare patient identifiers: a de-identifier may give new ones, so a difference alone never refuses."""
    groups = {name: _groups(entries, name) for name in IDENTIFIERS}
    usable = {n: {e.code: v for v, same in by.items() for e in same} for n, by in groups.items()}
    owners = groups["patient_id"]
    crossed: set[str] = set()
    for a, b in pairs:
        codes = tuple(sorted((a.code, b.code)))
        differing = [n for n, v in usable.items() if a.code in v and b.code in v and v[a.code] != v[b.code]]
        if not set(codes) <= set(usable["patient_id"]):
            where = IDENTIFIERS["patient_id"]
            yield Finding(codes, "patient", UNKNOWN, Fault("missing, a placeholder or the same in all", where, ""))
        if not differing:
            continue
        for own in (a, b) if "patient_id" in differing else ():
            strangers = [o for o in owners[usable["patient_id"][own.code]] if o.participant_id != own.participant_id]
            if strangers:
                crossed |= {own.code}
                yield _crossing(own, strangers, "birth_date" in differing, usable["birth_date"])
        if not crossed & set(codes):
            verb = "differ" if len(differing) > 1 else "differs"
            what = f"{' and '.join(IDENTIFIERS[n] for n in differing)} {verb} between the participant's two visits"
            remedy = f"{WHOSE}; de-identification may have given new ones"
            yield Finding(codes, "patient", FLAGGED, Fault(what, "the PET series", remedy), WARN)
    for same in owners.values():
        people = {e.participant_id for e in same}
        for e in same if len(people) > 1 else ():
            if e.code not in crossed:
                others = codes_of(o for o in same if o.participant_id != e.participant_id)
                what = f"{IDENTIFIERS['patient_id']} is also that of visit {others}, of another participant"
                yield Finding((e.code,), "patient", FLAGGED, Fault(what, "the PET series", WHOSE), WARN)


def _crossing(own: Entry, strangers: list[Entry], born_differs: bool, births: dict[str, str]) -> Finding:
    """Say that a visit carries the identifier of another participant's visit and not that of its own other visit.

    Batches that are numbered anew can cross identifiers by chance; birth dates they do not cross.
    """
    also_born = born_differs and any(births.get(s.code) == births[own.code] for s in strangers)
    names = f"{IDENTIFIERS['patient_id']}{' and ' + IDENTIFIERS['birth_date'] if also_born else ''}"
    verb = "are those" if also_born else "is that"
    what = (
        f"its {names} {verb} of visit {codes_of(strangers)}, and not {verb.split()[1]} of this participant's own "
        "second scan: the visits may be crossed"
    )
    fault = Fault(what, "the PET series", WHOSE)
    return Finding((own.code,), "patient", REFUSED if also_born else FLAGGED, fault, "" if also_born else FAIL)


def _bodies(pairs: Iterable[tuple[Entry, Entry]]) -> Iterator[Finding]:
    for before, after in pairs:
        codes, a, b = tuple(sorted((before.code, after.code))), before.record, after.record
        unlike = []
        if a.sex and b.sex and a.sex != b.sex:
            unlike.append("PatientSex (0010,0040)")
        if a.height_m and b.height_m and abs(a.height_m - b.height_m) > LARGEST_HEIGHT_DIFFERENCE_M:
            unlike.append(f"PatientSize (0010,1020) by more than {100 * LARGEST_HEIGHT_DIFFERENCE_M:.0f} cm")
        weights = a.weight_kg, b.weight_kg
        if weights[0] and weights[1] and max(weights) / min(weights) > 1 + LARGEST_WEIGHT_DIFFERENCE:  # type: ignore[type-var,operator]
            unlike.append(f"PatientWeight (0010,1030) by more than {100 * LARGEST_WEIGHT_DIFFERENCE:.0f} %")
        if unlike:
            what = f"the participant's two visits differ in {' and '.join(unlike)}"
            remedy = f"{WHOSE}, and the units of height and weight"
            yield Finding(codes, "body", FLAGGED, Fault(what, "the PET series", remedy), WARN)


def _sessions(entries: Sequence[Entry]) -> Iterator[Finding]:
    """Flag visits that share a study or a frame of reference."""
    shared: dict[str, tuple[set[str], set[str]]] = defaultdict(lambda: (set(), set()))
    of = {e.code: e for e in entries}
    for name, words in SESSION.items():
        for same in _groups(entries, name).values():
            codes = {e.code for e in same}
            for code in codes if len(codes) > 1 else ():
                others, tags = shared[code]
                others |= codes - {code}
                tags.add(words)
    for code, (codes, tags) in sorted(shared.items()):
        what = f"its {' and '.join(sorted(tags))} is also that of visit {codes_of(of[c] for c in codes)}"
        yield Finding((code,), "session", FLAGGED, Fault(what, "the PET series", WHOSE), WARN)


def _groups(entries: Sequence[Entry], name: str) -> dict[str, list[Entry]]:
    """Entries by the value of an attribute of their PET; none where everybody carries one value: it names nobody."""
    groups: dict[str, list[Entry]] = defaultdict(list)
    for e in entries:
        if value := getattr(e.record.pet, name):
            groups[value].append(e)
    people = {e.participant_id for same in groups.values() for e in same}
    return {} if len(groups) == 1 and len(people) >= LEAST_FOR_CONSTANT else groups


def _moments(entries: Sequence[Entry]) -> Iterator[Finding]:
    """Flag PETs acquired at the very same moment: one acquisition, reconstructed or exported twice."""
    groups: dict[tuple[int, float], list[Entry]] = defaultdict(list)
    for e in entries:
        # A time of midnight is what de-identifiers leave.
        if e.record.pet.day is not None and e.record.pet.second:
            groups[e.record.pet.day, e.record.pet.second].append(e)
    for same in groups.values():
        people = len({e.participant_id for e in same})
        if len(same) < 2 or (len(same) == len(entries) and people >= LEAST_FOR_CONSTANT):
            continue
        for e in same:
            others = codes_of(o for o in same if o is not e)
            what = f"its PET was acquired at the same moment as that of visit {others}: it may be one acquisition"
            yield Finding((e.code,), "moment", FLAGGED, Fault(what, "the PET series", OWN_SCAN), FAIL)


def _within(entries: Sequence[Entry]) -> Iterator[Finding]:
    """Compare the PET and the CT of each visit."""
    for e in entries:
        pet, ct = e.record.pet, e.record.ct
        if ct is None:
            continue
        both = {words: (getattr(pet, name), getattr(ct, name)) for name, words in SESSION.items()}
        unlike = [words for words, (a, b) in both.items() if a and b and a != b]
        if pet.day is not None and ct.day is not None and abs(pet.day - ct.day) > 1:
            unlike.append("the day of their acquisition")
        if unlike:
            what = f"its PET and its CT differ in {' and '.join(unlike)}: they may be of two examinations"
            remedy = "check that the CT is the one of this PET/CT"
            yield Finding((e.code,), "PET and CT", FLAGGED, Fault(what, "the PET and the CT series", remedy), WARN)
        if not (pet.frame and ct.frame):
            fault = Fault("one has no frame of reference", SESSION["frame"], "")
            yield Finding((e.code,), "PET and CT", UNKNOWN, fault)


def _lonely(entries: Sequence[Entry], pairs: Sequence[tuple[Entry, Entry]]) -> Iterator[Finding]:
    paired = {e.code for pair in pairs for e in pair}
    for e in entries:
        if e.code not in paired:
            fault = Fault("no other visit of the participant can be compared", "visits.tsv", "")
            yield Finding((e.code,), "participant", UNKNOWN, fault)
        if len(e.record.pet_pixels) and not comparable(e.record.pet_pixels):
            fault = Fault("too few slices of the PET are alike no other", "the PET series", "")
            yield Finding((e.code,), "same PET", UNKNOWN, fault)
