"""How a step ended, as the record that it left says."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from petflame.errors import Fault, InputRefused
from petflame.files import read_json

BARE = Fault("its record does not say why", "steps", "run the workflow again")
_PARTS = ("what", "where", "remedy")


@dataclass(frozen=True)
class Outcome:
    """What a record says; one that was edited may say little.

    Attributes
    ----------
    status : str
        ok, refused, upstream_refused or failed; empty where it does not say.
    reasons : tuple of Fault
        Why there is no result; never empty where there is none, unless the record says so.
    products : mapping
        Path below its folder and SHA-256 of every file that the step wrote.
    """

    status: str
    reasons: tuple[Fault, ...] = ()
    products: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, document: Mapping[str, Any]) -> Outcome:
        """Take it from the content of ``steps/VERB.json`` or ``status.json``."""
        status = str(document.get("status", ""))
        given = document.get("reasons")
        told = [r for r in given if isinstance(r, dict) and "what" in r] if isinstance(given, list) else []
        reasons = tuple(Fault(*(str(r.get(k, getattr(BARE, k))) for k in _PARTS)) for r in told)
        if not reasons and status != "ok" and given != []:
            reasons = (BARE,)
        products = document.get("products")
        kept = products if isinstance(products, dict) else {}
        # A record that was edited must not lead out of its folder.
        inside = {n: str(d) for n, d in kept.items() if not Path(n).is_absolute() and ".." not in Path(n).parts}
        return cls(status, reasons, inside)

    @property
    def is_ok(self) -> bool:
        """Whether the step has a result."""
        return self.status == "ok"

    @property
    def kind(self) -> str:
        """What it counts as among exclusions: failed is petflame's own fault, all else the input's."""
        return "failed" if self.status == "failed" else "refused"


def read_outcome(record: Path) -> Outcome | None:
    """Read a record of a step; None where there is none.

    Raises
    ------
    InputRefused
        When it is no JSON object.
    """
    return Outcome.of(read_json(record)) if record.exists() else None


def products_of(record: Path) -> Mapping[str, str]:
    """Return path and hash of every file that a step wrote; nothing where its record cannot be read."""
    try:
        found = read_outcome(record)
    except InputRefused:
        return {}
    return {} if found is None else found.products
