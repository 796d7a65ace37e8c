"""Auditing the reading of a study: every log's chain, every finished read, and every label map that rests on one."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

from petflame.errors import Fault, InputRefused
from petflame.files import read_json, sha256
from petflame.folders import StudyOut
from petflame.review.lock import lock_faults
from petflame.review.log import chain_faults
from petflame.review.places import ReviewPlaces
from petflame.segment.reads import ENDING, LOG_ENDING, finished_sha256

RESTORE = "restore read and log together from a copy"


def reading_faults(out: Path, elsewhere: Collection[str] | None = None) -> tuple[list[Fault], list[str]]:
    """Return what is wrong with the readers' work below a study's results.

    Parameters
    ----------
    out : Path
        Folder of the results.
    elsewhere : collection of str, optional
        Codes of the visits whose edits the study's own table names; None where the study is not known.

    Returns
    -------
    faults : list of Fault
        Lines of a log that are not as they were written, reads that are not what their log was finished with, and
        labels that rest on a read that does not lie there.
    not_covered : list of str
        Labels that rest on a read from elsewhere.
    """
    places = ReviewPlaces(out)
    faults: list[Fault] = []
    kept: dict[str, Path] = {}
    for reader in places.readers():
        folder = places.root / reader
        for log in sorted(folder.glob(f"*{LOG_ENDING}")):
            named = f"review/{reader}/"
            faults += [Fault(fault.what, f"{named}{fault.where}", fault.remedy) for fault in chain_faults(log)]
        for read in sorted(folder.glob(f"*{ENDING}")):
            digest = sha256(read)
            kept[digest] = read
            faults += _of_its_log(read, digest, f"review/{reader}/{read.name}")
    found, not_covered = _labels(StudyOut(out), kept, set(places.readers()), elsewhere)
    return [*faults, *found, *lock_faults(out)], not_covered


def _of_its_log(read: Path, digest: str, where: str) -> list[Fault]:
    log = read.with_name(read.name.removesuffix(ENDING) + LOG_ENDING)
    if not log.exists():
        return [Fault("the log of how it was made is not there", where, RESTORE)]
    then = finished_sha256(log)
    if then == digest:
        return []
    what = "its log was never finished"
    if then is not None:
        what = f"its log was finished with a file of SHA-256 {then}, and this one has {digest}"
    return [Fault(what, where, RESTORE)]


def _labels(
    results: StudyOut, kept: dict[str, Path], readers: set[str], elsewhere: Collection[str] | None
) -> tuple[list[Fault], list[str]]:
    faults, not_covered = [], []
    for path in sorted(results.root.glob("visits/*/labels.json")):
        code = path.parent.name
        try:
            edits = read_json(path).get("provenance", {}).get("edits", {})
        except InputRefused:
            # Told where its step's products are compared.
            continue
        digest, reader = edits.get("read_sha256"), edits.get("reader")
        if digest is None or digest in kept or code in (elsewhere or ()):
            continue
        what = f"its labels rest on a read of {reader} with SHA-256 {digest}, which does not lie under review/"
        if elsewhere is None and reader not in readers:
            not_covered.append(f"the read of {reader} that the labels of {code} rest on (name the study with --study)")
        else:
            faults.append(Fault(what, f"visits/{code}/labels.json", f"{RESTORE}, or run the workflow again"))
    return faults, not_covered
