"""What petflame says when it cannot go on: what is wrong, where, and what to do about it."""

from __future__ import annotations

import errno
import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass

from petflame.privacy import named, shortened, with_names

_NUMPY = re.compile(r"\bnp\.\w+\(([^()]*)\)")


@dataclass(frozen=True, order=True)
class Fault:
    """One thing that is wrong.

    Attributes
    ----------
    what : str
        The fault, in a sentence without a full stop.
    where : str
        File, tag, table row or subject that holds it.
    remedy : str
        What the user can do about it.
    """

    what: str
    where: str
    remedy: str

    def __post_init__(self) -> None:
        """Write numpy's numbers as numbers: messages that libraries made hold their repr().

        >>> Fault("spacing (np.float32(1.5), 2) mm", "file", "mend").what
        'spacing (1.5, 2) mm'
        """
        object.__setattr__(self, "what", _NUMPY.sub(r"\1", self.what))

    def __str__(self) -> str:
        return f"{self.where}: {self.what}; {self.remedy}"

    def as_dict(self) -> dict[str, str]:
        """Return the fault as the ``{what, where, remedy}`` of ``status.json``."""
        return asdict(self)


# Two screens of lines; a part of a message that is longer than a paragraph is not read.
MOST_FAULTS = 100
LONGEST_MESSAGE = 500


def capped(faults: Iterable[Fault], most: int = MOST_FAULTS) -> list[Fault]:
    """Return the faults as they are shown and recorded: the first `most`, each cut to a length that can be read.

    >>> [fault.what for fault in capped([Fault(f"row {n}", "a.tsv", "mend it") for n in range(5)], most=2)]
    ['row 0', 'row 1', '3 more faults']
    """
    given = list(faults)
    shown = [
        Fault(
            shortened(fault.what, LONGEST_MESSAGE),
            shortened(fault.where, LONGEST_MESSAGE // 2),
            shortened(fault.remedy, LONGEST_MESSAGE),
        )
        for fault in given[:most]
    ]
    if len(given) == most + 1:
        # As it was capped before: it says already how many more there are.
        shown.append(given[most])
    elif len(given) > most:
        shown.append(Fault(f"{len(given) - most} more faults", "all together", "mend those above first"))
    return shown


class PetflameError(Exception):
    """Base of every refusal; carries all the faults that were found, not just the first.

    >>> error = InputRefused.of("no PET series", "folder scans/", "name a folder that holds one")
    >>> str(error)
    'folder scans/: no PET series; name a folder that holds one'
    """

    def __init__(self, faults: Iterable[Fault]) -> None:
        self.faults: tuple[Fault, ...] = tuple(faults)
        super().__init__(with_names("\n".join(map(str, self.faults))))

    @classmethod
    def of(cls, what: str, where: str, remedy: str) -> PetflameError:
        """Make an error with a single fault."""
        return cls([Fault(what, where, remedy)])


class InputRefused(PetflameError):
    """The input is missing, contradictory or out of scope (exit code 2)."""


class UpstreamRefused(PetflameError):
    """An earlier step refused this visit or pair; its reasons are passed on (exit code 2)."""


class MachineFault(PetflameError):
    """Disk, memory or network failed (exit code 2): never an outcome of a visit, so that a later run takes it up."""


# A retry, more room or more memory mends these; nothing about the input does.
OF_THE_MACHINE = frozenset(
    {
        *(errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EROFS, errno.ESTALE, errno.ENOMEM, errno.EMFILE, errno.ENFILE),
        *(errno.ETIMEDOUT, errno.ENOTCONN, errno.EHOSTDOWN, errno.EHOSTUNREACH, errno.ENODEV, errno.ENXIO, errno.EBUSY),
        *(errno.EFBIG, errno.EDEADLK, errno.EINTR),
    }
)
AGAIN = "mend it and run the same line again"
WORDS_OF_THE_MACHINE = {
    errno.ENOSPC: ("the disk is full", "make room and run the same line again"),
    errno.EDQUOT: ("the disk quota is used up", "make room and run the same line again"),
    errno.EROFS: ("the file system is read-only", "name a folder that can be written"),
    errno.EACCES: ("permission is denied", "give permission to read and write it, or name another place"),
    errno.EPERM: ("permission is denied", "give permission to read and write it, or name another place"),
    errno.ENOMEM: ("there is not enough memory", "run fewer jobs at once, or give the job more memory"),
}


# What names no file on any machine; circles of links too.
NO_NAME = frozenset({errno.ENAMETOOLONG, errno.ELOOP})


@contextmanager
def names_refused() -> Iterator[None]:
    """Refuse a path that the system takes for none, wherever it is first looked up.

    >>> with names_refused():
    ...     raise OSError(errno.ENAMETOOLONG, "File name too long", "a" * 300)
    Traceback (most recent call last):
    ...
    petflame.errors.InputRefused: aaaaaaaaaaaaaaaaaaaa...: File name too long; name a path that exists
    """
    try:
        yield
    except OSError as error:
        if error.errno not in NO_NAME:
            raise
        where = named(f"{str(error.filename)[:20]}...", "a path")
        raise InputRefused.of(error.strerror or "it names no file", where, "name a path that exists") from error


def is_of_the_machine(error: BaseException) -> bool:
    """Return whether disk, memory or network failed, and not what was read."""
    return isinstance(error, MemoryError) or (isinstance(error, OSError) and error.errno in OF_THE_MACHINE)


def machine_fault(error: BaseException, where: str) -> MachineFault | None:
    """Return in plain words what failed on the machine, permissions included; None for any other error.

    >>> print(machine_fault(OSError(errno.ENOSPC, "No space left on device", "out/V1/pet.nii.gz"), "out/V1"))
    out/V1/pet.nii.gz: the disk is full; make room and run the same line again
    """
    code = errno.ENOMEM if isinstance(error, MemoryError) else getattr(error, "errno", None)
    if not (is_of_the_machine(error) or (isinstance(error, OSError) and code in WORDS_OF_THE_MACHINE)):
        return None
    what, remedy = WORDS_OF_THE_MACHINE.get(code or 0, (f"it cannot be read or written ({error})", AGAIN))
    name = getattr(error, "filename", None)
    return MachineFault([Fault(what, str(name) if name else where, remedy)])


class FaultList:
    """Collects faults so that one error lists them all.

    >>> faults = FaultList()
    >>> faults.add("weight is missing", "PatientWeight (0010,1030)", "give weight_kg in the overrides table")
    >>> faults.raise_if_any()
    Traceback (most recent call last):
    ...
    petflame.errors.InputRefused: PatientWeight (0010,1030): weight is missing; give weight_kg in the overrides table
    """

    def __init__(self) -> None:
        self._faults: list[Fault] = []

    def add(self, what: str, where: str, remedy: str) -> None:
        """Note a fault."""
        self._faults.append(Fault(what, where, remedy))

    def extend(self, faults: Iterable[Fault]) -> None:
        """Note the faults of another list."""
        self._faults.extend(faults)

    def __iter__(self) -> Iterator[Fault]:
        return iter(self._faults)

    def __bool__(self) -> bool:
        return bool(self._faults)

    def raise_if_any(self) -> None:
        """Raise `InputRefused` with every fault (of thousands the first, as `capped`), if there is one."""
        if self._faults:
            raise InputRefused(capped(self._faults) if len(self._faults) > MOST_FAULTS else self._faults)
