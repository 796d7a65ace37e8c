"""One scan under two visits: the same series, or the same pixels under other headers."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from itertools import combinations

from petflame.errors import Fault
from petflame.identity.finding import FLAGGED, OWN_SCAN, REFUSED, WARN, WHOSE, Entry, Finding, codes_of
from petflame.identity.pixels import Match, matches
from petflame.identity.record import Part


def same_scans(entries: Sequence[Entry]) -> Iterator[Finding]:
    """Refuse every visit whose PET or CT is also another's.

    Whose PET it is nobody can know, so all are refused. A CT belongs to the PET that shares its frame of reference: a
    visit that borrowed it is refused, its owner flagged.
    """
    for role, name in (("pet", "PET"), ("ct", "CT")):
        by_pixels = matches({e.code: getattr(e.record, f"{role}_pixels") for e in entries})
        by_series: dict[str, list[Entry]] = defaultdict(list)
        for e in entries:
            part: Part | None = getattr(e.record, role)
            if part is not None and part.series:
                by_series[part.series].append(e)
        series = {(a.code, b.code) for same in by_series.values() for a, b in combinations(same, 2)}
        others: dict[str, list[tuple[Entry, str]]] = defaultdict(list)
        of = {e.code: e for e in entries}
        for first, second in sorted(series | set(by_pixels)):
            a, b = of[first], of[second]
            how = _how(by_pixels.get((first, second)), (first, second) in series)
            if role == "ct" and _one_session(a, b):
                what = f"both visits share one CT ({how}) and its frame of reference, as two PETs of one session do"
                fault = Fault(what, "the CT series", "check that both PETs were acquired with this CT")
                yield Finding((first, second), "same CT", FLAGGED, fault, WARN)
                continue
            borrower = _borrower(a, b) if role == "ct" else None
            for own, other in ((a, b), (b, a)):
                if borrower is None or own is borrower:
                    others[own.code].append((other, how))
                else:
                    what = f"its CT was given for visit {other.code} too ({how}), whose PET belongs to another CT"
                    yield Finding((own.code,), "same CT", FLAGGED, Fault(what, "the CT series", WHOSE), WARN)
        for code, same in sorted(others.items()):
            ways = sorted({way for _, hows in same for way in hows.split(" and ")}, reverse=True)
            what = f"its {name} is also the {name} of visit {codes_of(e for e, _ in same)} ({', '.join(ways)})"
            yield Finding((code,), f"same {name}", REFUSED, Fault(what, f"the {name} series", OWN_SCAN))


def _borrower(a: Entry, b: Entry) -> Entry | None:
    """Return the visit that a shared CT does not belong to, where frames of reference tell; None where they do not."""
    own = [e for e in (a, b) if e.record.ct and e.record.pet.frame and e.record.ct.frame == e.record.pet.frame]
    if len(own) != 1 or not all(p and p.frame for e in (a, b) for p in (e.record.pet, e.record.ct)):
        return None
    return b if own[0] is a else a


def _how(match: Match | None, series: bool) -> str:
    ways = ["the same SeriesInstanceUID"] if series else []
    return " and ".join([*ways, "the same pixels"] if match else ways)


def _one_session(a: Entry, b: Entry) -> bool:
    """Tell whether two visits of a participant are two PETs on one CT, as in test-retest studies."""
    parts = (a.record.pet, b.record.pet, a.record.ct, b.record.ct)
    frames = {p.frame if p else "" for p in parts}
    days = {p.day for p in parts if p}
    return a.participant_id == b.participant_id and len(frames) == 1 and "" not in frames and len(days) == 1
