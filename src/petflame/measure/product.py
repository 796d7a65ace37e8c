"""A measured visit, as it lies in its folder: one writer and one reader of its tables."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from petflame.dicom.product import PetSidecar, read_pet_sidecar
from petflame.errors import InputRefused
from petflame.files import read_json, read_tsv, write_json, write_tsv
from petflame.folders import VisitFolder
from petflame.measure.columns import SLICE_COLUMNS, VESSEL_COLUMNS
from petflame.measure.partial_volume import COLUMNS as PARTIAL_VOLUME_COLUMNS
from petflame.measure.variations import COLUMNS as VARIATION_COLUMNS
from petflame.protocol import Protocol
from petflame.segment.product import Segmentation, read_segmentation

if TYPE_CHECKING:
    import pandas as pd

    from petflame.measure.visit import Measurement


@dataclass(frozen=True, eq=False)
class MeasuredVisit:
    """What `petflame measure`, and the steps before it, left in a visit folder.

    Attributes
    ----------
    slices, vessels, variations : DataFrame
        As in the tables of those names.
    details : dict
        ``measure.json``: protocol, blood pools, liver, warnings.
    pet : PetSidecar
    segmentation : Segmentation
    """

    slices: pd.DataFrame
    vessels: pd.DataFrame
    variations: pd.DataFrame
    details: dict[str, Any]
    pet: PetSidecar
    segmentation: Segmentation

    def row(self, vessel: str) -> dict[str, Any]:
        """Return the vessel's row, empty cells as None."""
        rows = self.vessels[self.vessels["vessel"] == vessel].to_dict("records")
        return {str(k): None if v != v else v for k, v in rows[0].items()} if rows else {}


def write_measurement(measurement: Measurement, variations: pd.DataFrame, visit: VisitFolder) -> None:
    """Write ``slices.tsv``, ``vessels.tsv``, ``variations.tsv``, ``partial_volume.tsv`` and, last, ``measure.json``."""
    write_tsv(visit.slices, measurement.slices, SLICE_COLUMNS)
    write_tsv(visit.vessels, measurement.vessels, VESSEL_COLUMNS)
    if measurement.partial_volume is not None:
        write_tsv(visit.partial_volume, measurement.partial_volume, PARTIAL_VOLUME_COLUMNS)
    else:
        # Left from another protocol it would be taken for this one's.
        for stale in (visit.partial_volume, visit.partial_volume.with_name("partial_volume_columns.json")):
            stale.unlink(missing_ok=True)
    write_tsv(visit.variations, variations, VARIATION_COLUMNS)
    write_json(visit.measure_json, measurement.details)


def read_measured(visit: VisitFolder, protocol: Protocol) -> MeasuredVisit:
    """Read a measured visit folder.

    Raises
    ------
    InputRefused
        When the visit is not measured, or was measured under another protocol.
    """
    details = read_json(visit.measure_json, "run `petflame measure` first")
    if details.get("protocol_sha256") != protocol.digest:
        raise InputRefused.of(
            f"it was measured under the protocol {details.get('protocol')!r}, not under {protocol.name!r} as it is now",
            str(visit.measure_json),
            "measure the visit again with the same --protocol",
        )
    return MeasuredVisit(
        read_slices(visit),
        read_vessels(visit),
        read_tsv(visit.variations, text=("variation", "reason")),
        details,
        read_pet_sidecar(visit),
        read_segmentation(visit),
    )


def read_slices(visit: VisitFolder) -> pd.DataFrame:
    """Read ``slices.tsv``."""
    return read_tsv(visit.slices, required=("vessel", "section", "arc_mm", "tbr_max", "valid"), text=("reason",))


def read_vessels(visit: VisitFolder) -> pd.DataFrame:
    """Read ``vessels.tsv``."""
    return read_tsv(visit.vessels, required=("vessel", "mean_tbr_max", "withheld"), text=("mds_sections", "reason"))


def read_details(visit: VisitFolder) -> dict[str, Any]:
    """Read ``measure.json``; empty where the visit is not measured."""
    return read_json(visit.measure_json) if visit.measure_json.exists() else {}
