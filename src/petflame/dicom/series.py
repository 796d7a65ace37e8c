"""Which PET and which CT series of a study are converted, and why the others are not."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Literal

from petflame.dicom import tags as t
from petflame.dicom.header import Header
from petflame.errors import Fault
from petflame.privacy import named

Role = Literal["pet", "ct"]
KEYS: dict[Role, str] = {"pet": "conversion.pet_series", "ct": "conversion.ct_series"}
CLASSES: dict[Role, str] = {"pet": t.PET_CLASS, "ct": t.CT_CLASS}
MODALITIES: dict[Role, str] = {"pet": "PT", "ct": "CT"}
NONE = "none"
# What tells two series of a kind apart at the screen; results keep only what kind of value it was.
TELLING = {t.UNITS: "its units", t.RECONSTRUCTION_METHOD: "its reconstruction", t.KERNEL: "its kernel"}

QUANTITATIVE_UNITS = frozenset({"BQML", "GML", "CM2ML", "CNTS"})
REFORMATTED = frozenset(
    {"LOCALIZER", "MIP", "MPR", "PROJECTION IMAGE", "REFORMATTED", "VOLUME RENDERED", "SCREEN SAVE"}
)


@dataclass(frozen=True)
class Series:
    """Images that share a series instance UID and a class.

    Attributes
    ----------
    uid, sop_class, modality : str
        As in the headers; the modality of the first image.
    headers : tuple of Header
        Every image, sorted by file name.
    """

    uid: str
    sop_class: str
    modality: str
    headers: tuple[Header, ...]

    @property
    def first(self) -> Header:
        """The first file."""
        return self.headers[0]

    @property
    def number(self) -> int | None:
        """Series number, where there is one."""
        return self.first.values.integer(t.SERIES_NUMBER)

    @property
    def kind(self) -> str:
        """The modality where it is one of the standard's; whatever else stands there may be anything."""
        return self.modality if self.modality in t.MODALITIES else "(other)" if self.modality else "(none)"

    @property
    def label(self) -> str:
        """What messages call the series: no free text, no identifier."""
        number = f"series {self.number}" if self.number is not None else "series without a number"
        return f"{self.kind} {number} ({len(self.headers)} images)"

    @property
    def details(self) -> str:
        """Say what tells this series from another one of the same kind."""
        v = self.first.values
        parts = [f"{v.integer(t.COLUMNS)} x {v.integer(t.ROWS)} pixels"]
        spacing = v.numbers(t.PIXEL_SPACING)
        parts += [f"{spacing[0]:.3g} mm"] if spacing else []
        thickness = v.number(t.SLICE_THICKNESS)
        parts += [f"{thickness:.3g} mm slices"] if thickness else []
        parts += [named(text, what) for tag, what in TELLING.items() if (text := v.text(tag))]
        return f"{self.label}: {', '.join(parts)}"


@dataclass(frozen=True)
class Choice:
    """The series taken for one role.

    Attributes
    ----------
    taken : Series or None
    reason : str
        Why this one, in a phrase.
    left : dict of Series uid and class to reason
        Why each other series was not taken.
    faults : tuple of Fault
        Why none could be taken, where one is needed.
    """

    taken: Series | None
    reason: str = ""
    left: dict[tuple[str, str], str] = field(default_factory=dict)
    faults: tuple[Fault, ...] = ()


def group_series(headers: Iterable[Header]) -> tuple[list[Series], list[Fault]]:
    """Group headers by series; images without a series UID are faults. Sorted by number, then UID."""
    groups: dict[tuple[str, str], list[Header]] = defaultdict(list)
    faults = []
    for header in headers:
        uid, sop_class = header.values.text(t.SERIES_UID), header.values.text(t.SOP_CLASS)
        if sop_class in CLASSES.values() and not uid:
            faults.append(
                Fault(f"{t.name(t.SERIES_UID)} is missing", header.told, "export the series again with its identifiers")
            )
            continue
        groups[uid, sop_class].append(header)
    series = [
        Series(uid, sop_class, members[0].values.text(t.MODALITY), tuple(members))
        for (uid, sop_class), members in groups.items()
    ]
    series.sort(key=lambda s: (s.modality, s.number if s.number is not None else 1 << 31, s.uid, s.sop_class))
    return series, faults


def choose_pet(series: list[Series], wanted: str | None) -> Choice:
    """Choose the attenuation-corrected, quantitative PET series.

    Preference: original over derived images, then Bq/mL over a scanner-made SUV copy of the same reconstruction. What
    is still ambiguous is a fault that shows the candidates.
    """
    return _choose("pet", series, wanted, _pet_objection, (_original, _not_a_copy), required=True)


def choose_ct(series: list[Series], wanted: str | None, pet: Series | None) -> Choice:
    """Choose the CT that lies with the PET: same frame of reference, original axial images.

    A study without CT is no fault; one with several equal CTs is.
    """
    if wanted is not None and wanted.strip().lower() == NONE:
        left = {(s.uid, s.sop_class): "the protocol asks for no CT" for s in series if s.modality == "CT"}
        return Choice(None, "the protocol asks for no CT", left)
    frame = pet.first.values.text(t.FRAME_OF_REFERENCE) if pet else ""

    def with_the_pet(candidates: list[Series]) -> tuple[list[Series], str]:
        same = [s for s in candidates if frame and s.first.values.text(t.FRAME_OF_REFERENCE) == frame]
        return (same or candidates), "it lies in another frame of reference than the PET"

    return _choose("ct", series, wanted, _ct_objection, (with_the_pet, _original), required=False)


Preference = Callable[[list[Series]], tuple[list[Series], str]]


def _choose(
    role: Role,
    series: list[Series],
    wanted: str | None,
    objection_to: Callable[[Series], str],
    preferences: tuple[Preference, ...],
    *,
    required: bool,
) -> Choice:
    key, modality = KEYS[role], MODALITIES[role]
    own = [s for s in series if s.modality == modality or s.sop_class == CLASSES[role]]
    left = {(s.uid, s.sop_class): objection for s in own if (objection := objection_to(s))}
    candidates = [s for s in own if (s.uid, s.sop_class) not in left]
    reason = f"the only {modality} series that can be used"
    if wanted is not None:
        named = [s for s in own if _matches(s, wanted)]
        usable = [s for s in named if s in candidates]
        for s in candidates:
            if s not in usable:
                left[s.uid, s.sop_class] = f"the protocol's {key} names another"
        if not usable:
            what = f"{key} names no {modality} series that can be used" + _listing(named or own, left)
            return Choice(None, "", left, (Fault(what, "the study folder", f"mend {key} in the protocol"),))
        candidates, reason = usable, f"named by the protocol's {key}"
    for prefer in preferences:
        kept, why = prefer(candidates)
        if 0 < len(kept) < len(candidates):
            left |= {(s.uid, s.sop_class): why for s in candidates if s not in kept}
            candidates, reason = kept, "preferred by rule"
    if len(candidates) > 1:
        what = f"{len(candidates)} {modality} series could be meant: " + "; ".join(s.details for s in candidates)
        left |= {(s.uid, s.sop_class): "ambiguous" for s in candidates}
        remedy = f"set `{key}` in the protocol to a series number or to a pattern of its SeriesDescription"
        return Choice(None, "", left, (Fault(what, "the study folder", remedy),))
    if candidates:
        return Choice(candidates[0], reason, left)
    if not required:
        return Choice(None, f"no {modality} series that can be used" if own else f"the study holds no {modality}", left)
    what = f"there is no {modality} series that can be used" + _listing(own, left)
    remedy = "name the folder that holds the attenuation-corrected PET images"
    return Choice(None, "", left, (Fault(what, "the study folder", remedy),))


def _listing(series: list[Series], left: dict[tuple[str, str], str]) -> str:
    told = [f"{s.label}: {left.get((s.uid, s.sop_class), 'usable')}" for s in series]
    return f" ({'; '.join(told)})" if told else ""


def _matches(series: Series, wanted: str) -> bool:
    """Tell whether a protocol's key means this series: its UID, its number, or a pattern of its description."""
    wanted = wanted.strip()
    if wanted == series.uid or (series.number is not None and wanted == str(series.number)):
        return True
    return fnmatchcase(series.first.values.text(t.SERIES_DESCRIPTION).lower(), wanted.lower())


def _class_objection(series: Series, role: Role) -> str:
    if series.sop_class != CLASSES[role]:
        kind = t.OTHER_CLASSES.get(series.sop_class)
        if kind and ("Enhanced" in kind):
            return f"{kind} objects are not supported; export it as single-frame images"
        return f"{kind or 'its object class'} is not a {MODALITIES[role]} image"
    tokens = {token.upper() for token in series.first.values.texts(t.IMAGE_TYPE)}
    shared = all({x.upper() for x in h.values.texts(t.IMAGE_TYPE)} & REFORMATTED for h in series.headers)
    if shared and tokens & REFORMATTED:
        return f"a {sorted(tokens & REFORMATTED)[0].lower()}, not a reconstructed volume"
    if (series.first.values.integer(t.SAMPLES) or 1) != 1:
        return "a colour picture, not an image of measured values"
    if len({h.values.bytes_of(t.IPP) for h in series.headers}) < 2 and any(
        h.values.bytes_of(t.IPP) for h in series.headers
    ):
        return "all its images lie at one position, so it is not a volume"
    return ""


def is_attenuation_corrected(header: Header) -> bool | None:
    """Tell whether an image is corrected for attenuation; None where the header does not say."""
    corrections = {c.upper() for c in header.values.texts(t.CORRECTED_IMAGE)}
    if corrections:
        return "ATTN" in corrections
    method = header.values.text(t.ATTENUATION_METHOD).upper()
    if method:
        return not method.startswith("NONE")
    return None


def _pet_objection(series: Series) -> str:
    objection = _class_objection(series, "pet")
    if objection:
        return objection
    v = series.first.values
    kind = tuple(x.upper() for x in v.texts(t.SERIES_TYPE))
    if "REPROJECTION" in kind:
        return "a reprojection, not a reconstructed volume"
    if "GATED" in kind:
        return "gated frames are not supported; give the ungated reconstruction"
    if is_attenuation_corrected(series.first) is False:
        return "not attenuation corrected"
    units = v.text(t.UNITS).upper()
    if units not in QUANTITATIVE_UNITS:
        return f"its units {t.units_told(units)} are not quantitative"
    if units == "CNTS" and not any(
        v.private(t.PHILIPS_PET, b) for b in (t.PHILIPS_SUV_FACTOR, t.PHILIPS_ACTIVITY_FACTOR)
    ):
        return "its units CNTS are not quantitative without the Philips scale factors (7053,1000) or (7053,1009)"
    return ""


def _ct_objection(series: Series) -> str:
    return _class_objection(series, "ct")


def _original(candidates: list[Series]) -> tuple[list[Series], str]:
    original = [
        s for s in candidates if {x.upper() for x in s.first.values.texts(t.IMAGE_TYPE)[:2]} <= {"ORIGINAL", "PRIMARY"}
    ]
    return original, "derived images, where the original ones are there"


def _not_a_copy(candidates: list[Series]) -> tuple[list[Series], str]:
    """Prefer Bq/mL only where the other series is a copy of the same reconstruction in other units."""
    same = (t.ACQUISITION_TIME, t.ROWS, t.COLUMNS, t.RECONSTRUCTION_METHOD, t.KERNEL)
    alike = {(len(s.headers), *(s.first.values.bytes_of(tag).strip(b"\0 ") for tag in same)) for s in candidates}
    plain = [s for s in candidates if s.first.values.text(t.UNITS).upper() == "BQML"]
    if len(alike) != 1 or len(plain) != 1:
        return candidates, ""
    return plain, "a copy in other units of the series taken"
