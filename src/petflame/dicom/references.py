"""What a visit's images are called, as salted hashes, so that regions which name images can be told to mean these.

Kept in a ``key`` folder, which stays local: that of the study's results, else one beside the visit folder, which
itself holds no identity.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from petflame.dicom import tags as t
from petflame.errors import InputRefused
from petflame.files import read_json, write_text

if TYPE_CHECKING:
    from petflame.dicom.plan import Plan
    from petflame.dicom.series import Series

FORMAT = "petflame-references/1"
# What de-identifiers write in place of an identifier: it names nobody.
_PLACEHOLDER = re.compile(
    "0+|1|x+|anon|anonym|anonymous|anonymi[sz]ed|deidentified|dummy|na|none|null|patient|phantom|removed|test|unknown"
)


@dataclass(frozen=True)
class Names:
    """Identifiers of images, in the clear in a file that is read and as hashes where they are kept.

    Attributes
    ----------
    patient, study, series, frame, instances : frozenset of str
        Each empty where it is not told; patient identifiers that are placeholders are left out.
    """

    patient: frozenset[str] = frozenset()
    study: frozenset[str] = frozenset()
    series: frozenset[str] = frozenset()
    frame: frozenset[str] = frozenset()
    instances: frozenset[str] = frozenset()


KINDS = ("patient", "study", "series", "frame", "instances")


@dataclass(frozen=True)
class References:
    """Hashed names of a visit's images.

    Attributes
    ----------
    salt : str
    images : dict of Names
        By 'pet' and 'ct', those that exist.
    code : str
        The visit's, where what a pack calls the images is among them; else empty.
    """

    salt: str
    images: dict[str, Names]
    code: str = ""

    def shared(self, kind: str, words: Iterable[str], role: str | None = None) -> bool | None:
        """Whether any of the words names the visit's images; None where either side tells nothing.

        >>> own = References("s", {"pet": Names(series=frozenset({hashed("s", "series", "1.2.3")}))})
        >>> own.shared("series", ["1.2.3"]), own.shared("series", ["1.2.4"]), own.shared("frame", ["1.2.3"])
        (True, False, None)
        """
        kept = frozenset().union(*(getattr(n, kind) for r, n in self.images.items() if role in (None, r)))
        given = {hashed(self.salt, kind, word) for word in words} - {""}
        return bool(kept & given) if kept and given else None


def hashed(salt: str, kind: str, word: str) -> str:
    """Return the salted hash of an identifier; empty for none, and for a placeholder in place of a patient's.

    >>> hashed("s", "patient", "P 1") == hashed("s", "patient", " p 1"), hashed("s", "patient", "ANON")
    (True, '')
    """
    plain = " ".join(word.replace("\0", " ").split()).casefold()
    if not plain or (kind == "patient" and _PLACEHOLDER.fullmatch(re.sub(r"[^a-z0-9]", "", plain))):
        return ""
    return hashlib.sha256(f"{salt}\0{kind}\0{plain}".encode()).hexdigest()[:32]


def references_path(visit_dir: Path) -> Path:
    """Return where the names of a visit's images are kept.

    >>> references_path(Path("/results/visits/V1")).as_posix(), references_path(Path("/scans/one")).as_posix()
    ('/results/key/references/V1.json', '/scans/key/references/one.json')
    """
    place = visit_dir.absolute()
    root = place.parent.parent if place.parent.name == "visits" else place.parent
    return root / "key" / "references" / f"{place.name}.json"


def references_of(plan: Plan) -> References:
    """Return the names of the images that a visit is converted from, hashed."""
    taken = {role: choice.taken for role, choice in (("pet", plan.pet), ("ct", plan.ct)) if choice.taken is not None}
    names = {role: _names_of(series) for role, series in taken.items()}
    # From the images' own names, so that the same input gives the same bytes; they cannot be guessed.
    every = sorted(word for own in names.values() for word in own.instances)
    salt = hashlib.sha256("\0".join(("petflame references", *every)).encode()).hexdigest()
    images = {
        role: Names(**{kind: frozenset(hashed(salt, kind, w) for w in getattr(own, kind)) - {""} for kind in KINDS})
        for role, own in names.items()
    }
    return References(salt, images)


def write_references(visit_dir: Path, plan: Plan) -> None:
    """Keep the names of the images that a visit was converted from."""
    own = references_of(plan)
    document = {
        "format": FORMAT,
        "salt": own.salt,
        "images": {role: {kind: sorted(getattr(n, kind)) for kind in KINDS} for role, n in own.images.items()},
    }
    write_text(references_path(visit_dir), json.dumps(document) + "\n", private=True)


def _names_of(series: Series) -> Names:
    first = series.first.values
    instances = frozenset(header.values.text(t.SOP_INSTANCE) for header in series.headers)
    words = (first.text(tag) for tag in (t.PATIENT_ID, t.STUDY_UID, t.SERIES_UID, t.FRAME_OF_REFERENCE))
    patient, study, own, frame = (frozenset({word} - {""}) for word in words)
    return Names(patient, study, own, frame, instances - {""})


def read_references(visit_dir: Path) -> References | None:
    """Read what `write_references` kept; None where there is nothing, as for a visit of an earlier version.

    Raises
    ------
    InputRefused
        When the file is damaged.
    """
    path = references_path(visit_dir)
    if not path.exists():
        return None
    remedy = "run `petflame convert` again"
    document = read_json(path, remedy)
    try:
        if document["format"] != FORMAT:
            raise ValueError
        images = {
            str(role): Names(**{kind: frozenset(map(str, own[kind])) for kind in KINDS})
            for role, own in document["images"].items()
        }
        return References(str(document["salt"]), images)
    except (KeyError, TypeError, ValueError, AttributeError):
        what = "the record of what the visit's images are called is damaged"
        raise InputRefused.of(what, str(path), remedy) from None
