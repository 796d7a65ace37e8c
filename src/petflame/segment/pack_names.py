"""What the images of a reader pack are called in DICOM: made from the visit's images alone, so that they can be told.

No identifier of the scan is among them. A SEG or RTSTRUCT that was drawn on a pack names these, and is known by them.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace

from petflame.dicom.references import Names, References, hashed
from petflame.files import read_nifti_grid, sha256
from petflame.folders import VisitFolder
from petflame.space.orientation import canonical_grid

ROLES = ("ct", "pet")


@dataclass(frozen=True)
class PackNames:
    """Identifiers of the images of one visit in a pack.

    Attributes
    ----------
    code : str
        The visit's, which stands where DICOM has a patient's.
    root : str
        Hash of the images that all identifiers are made from.
    slices : dict of int
        How many images 'ct' and 'pet' have, those that exist.
    """

    code: str
    root: str
    slices: dict[str, int]

    def uid(self, *part: str) -> str:
        """Return the identifier of a part: ('study',), ('frame',), ('ct',), ('ct', '12')."""
        return uid_of(self.root, "\0".join(part))

    def names(self, role: str) -> Names:
        """Return every identifier of the images of a role."""
        instances = frozenset(self.uid(role, str(k)) for k in range(self.slices[role]))
        code, study, series, frame = (
            frozenset({word}) for word in (self.code, self.uid("study"), self.uid(role), self.uid("frame"))
        )
        return Names(code, study, series, frame, instances)


def uid_of(root: str, part: str) -> str:
    """Return a UID of the 2.25 kind (PS3.5 B.2) that depends on its input alone."""
    number = int.from_bytes(hashlib.sha256(f"{root}\0{part}".encode()).digest()[:16], "big")
    return f"2.25.{number}"


def pack_names(visit: VisitFolder) -> PackNames:
    """Return what a visit's images are called in a pack."""
    paths = {role: path for role, path in (("ct", visit.ct), ("pet", visit.pet)) if path.exists()}
    code = visit.root.resolve().name
    digest = hashlib.sha256("\0".join(("petflame pack", code, *map(sha256, paths.values()))).encode()).hexdigest()
    return PackNames(code, digest, {r: canonical_grid(read_nifti_grid(p)).shape[2] for r, p in paths.items()})


def with_pack_names(own: References | None, visit: VisitFolder) -> References | None:
    """Add what a visit's images are called in a pack to what they are called in the scan; None stays None."""
    if own is None:
        return None
    pack = pack_names(visit)
    images = dict(own.images)
    for role in pack.slices:
        known, more = images.get(role, Names()), pack.names(role)
        images[role] = Names(
            *(
                getattr(known, kind) | {hashed(own.salt, kind, word) for word in getattr(more, kind)}
                for kind in ("patient", "study", "series", "frame", "instances")
            )
        )
    return replace(own, images=images, code=pack.code)
