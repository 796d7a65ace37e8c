"""Parts of an analysis that stand alone: where one cannot be made, that is said and the others are as they were."""

from __future__ import annotations

import traceback
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from petflame.errors import MachineFault, PetflameError, capped, is_of_the_machine
from petflame.trial.blocks import Kind, block, without

T = TypeVar("T")


class Parts:
    """Makes the parts of an analysis one by one.

    Attributes
    ----------
    set_aside : list of dict
        ``part`` and ``reason`` of each that failed.

    Examples
    --------
    >>> parts = Parts()
    >>> parts("halves", lambda: 1 // 2, None), parts("nothing", lambda: 1 // 0, None)
    (0, None)
    >>> parts.set_aside
    [{'part': 'nothing', 'reason': 'petflame failed (ZeroDivisionError in <lambda>, line 1)'}]
    """

    def __init__(self) -> None:
        self.set_aside: list[dict[str, str]] = []

    def __call__(self, name: str, make: Callable[[], T], otherwise: T) -> T:
        """Return what `make` returns; `otherwise`, with the reason noted, where the input or petflame is at fault.

        Faults of the machine (full disk, no memory) are no part's: they are raised.
        """
        try:
            return make()
        except MachineFault:
            raise
        except PetflameError as refusal:
            reason = "; ".join(map(str, capped(refusal.faults, 5)))
        except Exception as error:
            if is_of_the_machine(error):
                raise
            last = traceback.extract_tb(error.__traceback__)[-1]
            reason = f"petflame failed ({type(error).__name__} in {last.name}, line {last.lineno})"
        self.set_aside.append({"part": name, "reason": reason})
        return otherwise

    def attempt(self, name: str, kind: type[Kind], make: Callable[[], Mapping[str, Any]], **words: Any) -> Kind:
        """Return a whole block of what `make` returns; where the data cannot give it, nulls and the reason.

        That the data cannot give it is a result; anything else that stops it is noted as set aside too.
        """
        made = self(name, lambda: block(kind, make, **words), None)
        return without(kind, self.set_aside[-1]["reason"], **words) if made is None else made

    @property
    def notes(self) -> list[str]:
        """What the user must see of the parts that failed."""
        return [f"set aside, without touching anything else: {p['part']}: {p['reason']}" for p in self.set_aside]
