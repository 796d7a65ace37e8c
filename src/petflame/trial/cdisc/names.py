"""Names that SAS and CDISC take: at most eight characters, unique, never a standard column's."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Sequence

LONGEST_NAME, LONGEST_LABEL = 8, 40
# Columns of ADaM and SDTM whose meaning, type or codes are fixed, beside those that the datasets hold themselves.
STANDARD = frozenset(
    (
        *("ACTARM", "ACTARMCD", "AGE", "AGEU", "ARM", "ARMCD", "COUNTRY", "DOMAIN", "ETHNIC", "FASFL", "ITTFL"),
        *("PPROTFL", "RACE", "SAFFL", "SEX", "SITEID", "SUBJID"),
    )
)
# What XML 1.0 can hold; half of a surrogate pair, which a damaged command line may bring, no file can.
_UNWRITABLE = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def writable(text: str) -> str:
    r"""Return the text with a mark in place of what neither XML nor UTF-8 can hold.

    >>> writable("a\x01b")
    'a\ufffdb'
    """
    return _UNWRITABLE.sub("\ufffd", text)


def column_names(words: Sequence[str], taken: Iterable[str]) -> dict[str, str]:
    """Return a column name for each of the words, in their order.

    Letters lose their accents and what is no letter or digit is left out. A name that belongs to a standard column
    ends in ``GR1``, as ADaM calls groups made from it; a name that is taken ends in a number.

    Parameters
    ----------
    words : sequence of str
        Each once.
    taken : iterable of str
        The dataset's own columns.

    Examples
    --------
    >>> column_names(["smoking_status", "smoking_history", "smoking_habit", "age", "Größe"], ["USUBJID"])
    {'smoking_status': 'SMOKINGS', 'smoking_history': 'SMOKINGH', 'smoking_habit': 'SMOKING2', 'age': 'AGEGR1',
     'Größe': 'GROSSE'}
    """
    own = frozenset(taken)
    used = set(own | STANDARD)
    found = {}
    for word in words:
        stem = _stem(word)
        if stem in own | STANDARD:
            stem = f"{stem[: LONGEST_NAME - 3]}GR1"
        name, count = stem, 1
        while name in used:
            count += 1
            name = f"{stem[: LONGEST_NAME - len(str(count))]}{count}"
        used.add(name)
        found[word] = name
    return found


def _stem(word: str) -> str:
    plain = unicodedata.normalize("NFKD", word.upper()).encode("ascii", "ignore").decode()
    stem = re.sub("[^A-Z0-9]", "", plain) or "STRATUM"
    return (stem if stem[0].isalpha() else f"S{stem}")[:LONGEST_NAME]


def stratum_label(name: str) -> str:
    """Return a label of at most 40 characters that keeps the stratum's whole name where it fits.

    >>> stratum_label("site"), stratum_label("smoking_status_in_the_year_before_it")
    ('Stratum site', 'smoking_status_in_the_year_before_it')
    """
    label = f"Stratum {name}"
    if len(label) <= LONGEST_LABEL:
        return label
    return name if len(name) <= LONGEST_LABEL else f"{name[: LONGEST_LABEL - 4]} ..."
