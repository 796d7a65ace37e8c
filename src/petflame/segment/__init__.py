"""Label map, centrelines and checks of arteries and blood pools."""

from typing import Literal

Method = Literal["auto", "geometric", "totalsegmentator", "labels", "seeds"]
# Where a run takes finished reads from, as edits of their visits.
Reads = Literal["review"]
