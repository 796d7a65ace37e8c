"""Verbs around who reads what: plan, agreement of the reads, end of the reading."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from petflame.cli.options import LogJson, ProtocolFile
from petflame.cli.review import review
from petflame.console import Console
from petflame.errors import InputRefused

Results = Annotated[Path, typer.Argument(metavar="RESULTS", help="Folder of a study's results.")]


def share_of(text: str) -> float:
    """Read a share written as a percentage or a fraction.

    Raises
    ------
    InputRefused
        When it is neither.

    >>> share_of("10%"), share_of("10 %"), share_of("0.1")
    (0.1, 0.1, 0.1)
    """
    number = text.strip().removesuffix("%").strip()
    try:
        value = float(number)
    except ValueError:
        raise InputRefused.of(f"{text!r} is no share", "--repeat", "write 10% or 0.1") from None
    share = value / 100 if "%" in text else value
    if not 0 <= share <= 1:
        raise InputRefused.of(f"{text!r} is not between 0 and 100 %", "--repeat", "write 10% or 0.1")
    return share


@review.command()
def plan(
    results: Results,
    readers: Annotated[
        str, typer.Option(metavar="A,B", help="Codes of the readers; each reads every visit. The first comes first.")
    ],
    seed: Annotated[int, typer.Option(help="Decides which visits are repeated, and under which codes.")],
    repeat: Annotated[
        str, typer.Option(metavar="SHARE", help="Share of the visits that each reader reads twice, as 10%.")
    ] = "0%",
    adjudicator: Annotated[
        str | None, typer.Option(help="Reads where the readers differ, under review.counts: adjudicated.")
    ] = None,
    protocol: ProtocolFile = None,
    log_json: LogJson = False,
) -> None:
    """Write who reads what, before anybody reads; repeats are mixed in under other codes.

    Example: petflame review plan results/trial --readers A,B --repeat 10% --seed 1
    """
    from petflame.protocol import load_protocol
    from petflame.review.lock import is_readable
    from petflame.review.places import ReviewPlaces
    from petflame.review.plan import write_plan

    console = Console(log_json)
    names = [name.strip() for name in readers.split(",") if name.strip()]
    made = write_plan(results, names, seed, load_protocol(protocol), share_of(repeat), adjudicator)
    for reader, items in made.readers.items():
        again = sum(made.is_repeat(item) for item in items)
        console.say(f"{reader}: {len(items)} items, {again} of them a second read")
    counts = {
        "first": f"the read of {names[0]} counts",
        "consensus": f"where the readers agree that of {names[0]} counts, else one that they make together",
        "adjudicated": f"where the readers agree that of {names[0]} counts, else that of {adjudicator}",
    }
    console.say(f"{counts[made.rules.counts]} (review.counts: {made.rules.counts})")
    if made.arms_known:
        console.warn(
            "these results hold an analysis with known arms: the report will say that it came before the reading"
        )
    closed = [code for code in made.codes if not is_readable(results, code)]
    if closed:
        console.warn(f"{len(closed)} of {len(made.codes)} visits cannot be read yet: {', '.join(closed)}")
    places = ReviewPlaces(results)
    console.say(f"{places.plan}; which item is which visit stays in {places.items}, and nobody who reads may see it")


@review.command()
def lock(
    results: Results,
    words: Annotated[
        str, typer.Option(metavar="WHY", help="Accepts what is not finished as unread, and says why.")
    ] = "",
    log_json: LogJson = False,
) -> None:
    """End the reading: from here on `analyse` takes an allocation, and every edit is told as made after it.

    Example: petflame review lock results/trial
    """
    from petflame.review.lock import lock_reading
    from petflame.review.places import ReviewPlaces

    console = Console(log_json)
    locked, left = lock_reading(results, words)
    for name, why in sorted(left.items.items()):
        console.warn(f"accepted as unread: {name} ({why})")
    if left.closed:
        console.warn(f"an earlier step set {len(left.closed)} visits aside; nobody could read {', '.join(left.closed)}")
    console.say(f"locked: {len(locked.reads)} finished reads, {len(locked.heads)} logs; {ReviewPlaces(results).lock}")


@review.command()
def agreement(
    results: Results,
    out: Annotated[
        Path | None, typer.Option("--out", metavar="DIR", help="Folder to write; default RESULTS/review/agreement.")
    ] = None,
    cores: Annotated[int, typer.Option(min=1, help="Processes that measure the reads.")] = 1,
    protocol: ProtocolFile = None,
    log_json: LogJson = False,
) -> None:
    """Measure every finished read, and write how far readers agree with each other and with themselves.

    Example: petflame review agreement results/trial --cores 2
    """
    from petflame.protocol import load_protocol
    from petflame.review.agreement import agreement as run
    from petflame.review.agreement_words import lines
    from petflame.review.lock import load_lock
    from petflame.review.places import ReviewPlaces

    console = Console(log_json)
    folder = out or ReviewPlaces(results).agreement
    found = run(results, load_protocol(protocol), folder, cores)
    for line in lines(found):
        console.say(line)
    console.say(f"written: {folder / 'agreement.tsv'}, with readings.tsv, decisions.tsv, overlap.tsv, agreement.json")
    if load_lock(results) is None:
        console.warn("the reading is not ended: these tables tell values and repeats, and no reader may see them")
