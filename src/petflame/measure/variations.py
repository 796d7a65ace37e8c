"""The same images measured in other ways, for the trial's sensitivity panel; never part of a primary figure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from petflame.errors import InputRefused
from petflame.measure.images import VisitImages
from petflame.measure.left_out import LeftOut
from petflame.measure.tables import slice_table, withheld_veins
from petflame.measure.visit import Measurement, read_vessels
from petflame.protocol import Protocol
from petflame.sensitivity import Variation

if TYPE_CHECKING:
    import pandas as pd

COLUMNS: dict[str, tuple[str, str]] = {
    "variation": ("name of the variation in the protocol", ""),
    "vessel": ("artery", ""),
    "z_mm": ("height of the section, LPS z", "mm"),
    "value": ("what the variation takes of the section", "ratio; g/mL for csuv_max"),
    "valid": ("whether the section counts under the variation", "true or false"),
    "reason": ("reason codes of the section; spill-in that counts all the same may be left out", ""),
    "withheld": ("whether the vessel needs a reader under the variation", "true or false"),
}


def measure_variations(
    images: VisitImages,
    protocol: Protocol,
    primary: Measurement,
    is_suv: bool = True,
    exclusions: Sequence[LeftOut] = (),
) -> pd.DataFrame:
    """Measure every variation of a protocol: a row a section of each candidate for the index vessel.

    Parameters
    ----------
    images : VisitImages
        What `primary` was measured on; what is worked out already is used again.
    protocol : Protocol
    primary : Measurement
        Under the protocol itself; a variation that only takes another measure of each section reads it from there.
    is_suv : bool
    exclusions : sequence of LeftOut
        Sections that a reader leaves out, here as there.

    Returns
    -------
    DataFrame
        Columns `COLUMNS`. Sections that a variation cannot measure, such as for want of its vein, have no value.
    """
    import pandas as pd

    tables = []
    needs_reader = dict(zip(primary.vessels["vessel"], primary.vessels["withheld"], strict=True))
    for variation in protocol.sensitivity:
        slices, withheld = primary.slices, needs_reader
        if variation.changes:
            try:
                _, measured = read_vessels(
                    images,
                    _without_flags(protocol.varied(variation)),
                    exclusions,
                    arteries=protocol.summary.index_candidates,
                    with_areas=False,
                    with_peaks=variation.measure == "tbr_peak",
                )
            except InputRefused:
                continue
            # A ratio needs no SUV; what is in g/mL is dropped below where SUV was refused.
            slices = slice_table(measured, is_suv)
            withheld = {
                name: images.withheld(name) or bool(withheld_veins(vessel, images.segmentation))
                for name, vessel in measured.items()
            }
        tables.append(_rows(variation, slices, withheld, protocol, is_suv))
    return pd.concat(tables) if tables else pd.DataFrame(columns=list(COLUMNS))


def _without_flags(protocol: Protocol) -> Protocol:
    """Return the protocol without looking for spill-in that it would only flag: no value hangs on it."""
    if protocol.spill_in.rule != "flag":
        return protocol
    rules = protocol.spill_in.model_copy(update={"rule": "ignore"})
    return protocol.model_copy(update={"spill_in": rules})


def _rows(
    variation: Variation, slices: pd.DataFrame, withheld: dict[str, bool], protocol: Protocol, is_suv: bool
) -> pd.DataFrame:
    slices = slices[slices["vessel"].isin(protocol.summary.index_candidates)]
    values = {
        "tbr_max": slices["tbr_max"],
        "tbr_mean": slices["tbr_mean"],
        "tbr_peak": slices["suv_peak"] / slices["background"],
        "csuv_max": slices["suv_max"] - slices["background"],
    }[variation.measure]
    if not is_suv and variation.measure in ("tbr_peak", "csuv_max"):
        values = values * np.nan
    return slices[["vessel", "z_mm", "valid", "reason"]].assign(
        variation=variation.name, value=values.astype(float), withheld=slices["vessel"].map(withheld)
    )[list(COLUMNS)]
