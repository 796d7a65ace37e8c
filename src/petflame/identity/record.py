"""What is kept of who was scanned and when: keyed hashes and a day, in the local ``key/`` folder and nowhere else."""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import re
import secrets
import tempfile
import unicodedata
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from petflame.errors import InputRefused
from petflame.files import private_folder, read_json, write_text
from petflame.folders import StudyOut
from petflame.identity.pixels import NUMBERS
from petflame.space.grid import Array

FORMAT = 1
# What de-identifiers write in place of an identifier: it names nobody.
_PLACEHOLDER = re.compile(
    "0+|1|x+|anon|anonym|anonymous|anonymi[sz]ed|deidentified|dummy|na|none|null|patient|phantom|removed|test|unknown"
)


@dataclass(frozen=True)
class Part:
    """What the headers of the PET or of the CT of a visit say of who and when.

    Attributes
    ----------
    patient_id, patient_name, birth_date, study, series, frame : str
        Keyed hashes; empty where the header holds none, or a placeholder.
    day : int or None
        Day of the acquisition, counted from the first of the calendar; None where it cannot be told.
    second : float or None
        Second of that day.
    undated : {'', 'missing', 'placeholder', 'shifted'}
        Why there is no day.
    """

    patient_id: str = ""
    patient_name: str = ""
    birth_date: str = ""
    study: str = ""
    series: str = ""
    frame: str = ""
    day: int | None = None
    second: float | None = None
    undated: str = "missing"


def no_slices() -> Array:
    """Return the fingerprint of no image."""
    return np.empty((0, NUMBERS))


@dataclass(frozen=True)
class Record:
    """Who one visit is, as far as its images tell.

    Attributes
    ----------
    pet : Part
    ct : Part or None
    key_id : str
        Tells records that were hashed with different keys apart.
    sex : str
    height_m, weight_kg : float or None
    pet_pixels, ct_pixels : (n, 6) arrays
        Fingerprints; without rows where the pixels were not read.
    """

    pet: Part
    ct: Part | None
    key_id: str = ""
    sex: str = ""
    height_m: float | None = None
    weight_kg: float | None = None
    pet_pixels: Array = field(default_factory=no_slices)
    ct_pixels: Array = field(default_factory=no_slices)


class Hasher:
    """Turns identifiers into keyed hashes (HMAC-SHA256, 128 bits): alike for the same words, telling nothing else."""

    def __init__(self, key: bytes) -> None:
        self._key = key
        self.key_id = hmac.new(key, b"petflame identity key", hashlib.sha256).hexdigest()[:16]

    def __call__(self, kind: str, text: str) -> str:
        """Return the hash of an identifier, empty for none and for a placeholder.

        Case, spaces and the carets of names do not count.

        >>> hashed = Hasher(b"secret")
        >>> hashed("patient_name", "DOE^JANE") == hashed("patient_name", " Doe jane"), hashed("patient_id", "ANON")
        (True, '')
        """
        plain = unicodedata.normalize("NFKC", text).casefold()
        words = " ".join(re.sub(r"[\^=\s\x00]+", " ", plain).split())
        if not words or _PLACEHOLDER.fullmatch(re.sub(r"[^a-z0-9]", "", words)):
            return ""
        return hmac.new(self._key, f"{kind}\0{words}".encode(), hashlib.sha256).hexdigest()[:32]


def record_path(visit_dir: Path) -> Path | None:
    """Where the record of a visit lies; None for a visit folder that is not one of a study's results.

    >>> record_path(Path("results/visits/V0123456789")).as_posix()
    'results/key/identity/V0123456789.json'
    """
    place = visit_dir if visit_dir.parent.name == "visits" else Path(os.path.abspath(visit_dir))
    return StudyOut(place.parent.parent).identity_record(place.name) if place.parent.name == "visits" else None


def identity_key(folder: Path) -> bytes:
    """Return the key of the records in ``key/identity``, made once; several jobs may ask for it at the same time.

    Raises
    ------
    InputRefused
        When the file does not hold a key.
    """
    path = folder / "identity.key"
    if not path.exists():
        _open_folder(folder)
        handle, name = tempfile.mkstemp(prefix=".identity.key.", dir=folder)
        try:
            with os.fdopen(handle, "w") as stream:
                stream.write(f"{secrets.token_hex(32)}\n")
            # Of several jobs the first one's key stands.
            os.link(name, path)
        except FileExistsError:
            pass
        finally:
            Path(name).unlink(missing_ok=True)
    text = path.read_text(encoding="ascii", errors="replace").strip()
    if not re.fullmatch(r"[0-9a-f]{64}", text):
        raise InputRefused.of("it is not a key of 64 hexadecimal digits", str(path), "remove it and convert again")
    return bytes.fromhex(text)


def _open_folder(folder: Path) -> None:
    """Make ``key/identity``, which its owner alone may enter."""
    if not folder.parent.exists():
        private_folder(folder.parent)
    folder.mkdir(0o700, exist_ok=True)


def write_record(path: Path, record: Record) -> None:
    """Keep a record under ``key/identity``."""
    document = {
        "format": FORMAT,
        "key_id": record.key_id,
        "pet": asdict(record.pet),
        "ct": asdict(record.ct) if record.ct else None,
        "sex": record.sex,
        "height_m": record.height_m,
        "weight_kg": record.weight_kg,
        "pet_pixels": record.pet_pixels.tolist(),
        "ct_pixels": record.ct_pixels.tolist(),
    }
    _open_folder(path.parent)
    write_text(path, json.dumps(document) + "\n", private=True)


def read_record(path: Path) -> Record | None:
    """Read a record; None where there is none.

    Raises
    ------
    InputRefused
        When the file is damaged or of another version.
    """
    if not path.exists():
        return None
    remedy = "run `petflame convert` again"
    document: dict[str, Any] = read_json(path, remedy)
    try:
        if document.pop("format") != FORMAT:
            raise ValueError
        for name in ("pet", "ct"):
            document[name] = Part(**document[name]) if document[name] is not None else None
        for name in ("pet_pixels", "ct_pixels"):
            document[name] = np.array(document[name], float).reshape(-1, NUMBERS)
            if not np.isfinite(document[name]).all():
                raise ValueError
        return Record(**document)
    except (KeyError, TypeError, ValueError):
        what = "the record of who was scanned is damaged or of another version"
        raise InputRefused.of(what, str(path), remedy) from None
