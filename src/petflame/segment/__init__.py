"""Label map, centrelines and checks of arteries and blood pools."""

from typing import Literal

Method = Literal["auto", "geometric", "totalsegmentator", "labels", "seeds"]
