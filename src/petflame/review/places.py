"""Where the reading of a study lies in its results: plan, logs, finished reads, lock, and what stays private."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from petflame.folders import CODE
from petflame.review.log import LOCK
from petflame.segment.reads import ENDING, LOG_ENDING
from petflame.study import IDENTIFIER

ITEM = CODE


@dataclass(frozen=True)
class ReviewPlaces:
    """Paths below the results of a study.

    Attributes
    ----------
    out : Path
        Folder of the results.
    """

    out: Path

    @property
    def root(self) -> Path:
        """Folder of everything that readers leave."""
        return self.out / "review"

    @property
    def plan(self) -> Path:
        """Who reads what, without what would tell repeats or pairs."""
        return self.root / "plan.json"

    @property
    def items(self) -> Path:
        """Which item of the plan is which visit: stays local, its owner's alone."""
        return self.out / "key" / "review_items.json"

    @property
    def lock(self) -> Path:
        """The end of the reading."""
        return self.root / LOCK

    @property
    def unblinded(self) -> Path:
        """The primary of every analysis with known arms since the lock."""
        return self.root / "unblinded.json"

    @property
    def measured(self) -> Path:
        """What agreement has measured of the reads, kept by the hash of each read."""
        return self.root / "measured"

    @property
    def agreement(self) -> Path:
        """How far reads agree."""
        return self.root / "agreement"

    def log(self, reader: str, item: str) -> Path:
        """Log of one reader's work on one item."""
        return self.root / reader / f"{item}{LOG_ENDING}"

    def read(self, reader: str, item: str) -> Path:
        """The finished read of one item."""
        return self.root / reader / f"{item}{ENDING}"

    def readers(self) -> Iterator[str]:
        """Yield the readers that have a folder, sorted."""
        for folder in sorted(self.root.glob("*")):
            if folder.is_dir() and folder not in (self.measured, self.agreement) and IDENTIFIER.fullmatch(folder.name):
                yield folder.name

    def logs(self) -> Iterator[tuple[str, str, Path]]:
        """Yield reader, item and path of every log, sorted."""
        for reader in self.readers():
            for path in sorted((self.root / reader).glob(f"*{LOG_ENDING}")):
                if ITEM.fullmatch(path.name.removesuffix(LOG_ENDING)):
                    yield reader, path.name.removesuffix(LOG_ENDING), path
