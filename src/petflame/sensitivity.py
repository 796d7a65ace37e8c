"""Variations of a protocol: other ways of measuring the same scans, for the report's sensitivity panel."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from petflame.anatomy import AORTA, CAROTIDS
from petflame.bounds import Words

VARIED_SECTIONS = ("region", "background", "spill_in", "summary")


class Variation(BaseModel):
    """Another way of measuring the same scans, for the sensitivity panel.

    `measure` is what each section contributes; `changes` replaces choices of the sections `VARIED_SECTIONS`.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$", max_length=60)]
    about: Words
    measure: Literal["tbr_max", "tbr_mean", "tbr_peak", "csuv_max"] = "tbr_max"
    changes: dict[str, dict[str, Any]] = {}

    @model_validator(mode="after")
    def _known_sections(self) -> Variation:
        unknown = sorted(set(self.changes) - set(VARIED_SECTIONS))
        if unknown:
            raise ValueError(f"a variation cannot change {unknown}; it may change {VARIED_SECTIONS}")
        return self


def _pools(right: list[str], left: list[str]) -> dict[str, dict[str, Any]]:
    regions = {name: ["svc"] for name in AORTA} | dict(zip(CAROTIDS, (right, left), strict=True))
    return {"background": {"regions": regions, "fallback": {}}}


VARIATIONS: tuple[Variation, ...] = (
    Variation(
        name="cava_for_all", about="superior vena cava as blood pool of every vessel", changes=_pools(["svc"], ["svc"])
    ),
    Variation(
        name="jugular_of_same_side",
        about="jugular vein of the same side as blood pool of each carotid",
        changes=_pools(["jugular_right"], ["jugular_left"]),
    ),
    Variation(
        name="modelled_blood",
        about="blood of the same veins by least squares of the PET round them, resolution taken out",
        changes={"background": {"reading": "modelled"}},
    ),
    Variation(
        name="modelled_blood_of_all_veins",
        about="blood of all veins together by least squares of the PET round them, resolution taken out",
        changes={"background": {"reading": "modelled_pooled"}},
    ),
    Variation(name="subtraction", about="SUVmax less blood pool, not divided by it", measure="csuv_max"),
    Variation(name="mean_uptake", about="mean of each section in place of its maximum", measure="tbr_mean"),
    Variation(name="peak_uptake", about="1 cm3 peak of each section in place of its maximum", measure="tbr_peak"),
    Variation(name="margin_1_mm", about="contours moved 1 mm outwards", changes={"region": {"roi_margin_mm": 1.0}}),
    Variation(name="margin_2_mm", about="contours moved 2 mm outwards", changes={"region": {"roi_margin_mm": 2.0}}),
    Variation(name="ends_trimmed", about="thin end sections left out", changes={"region": {"trim_end_sections": True}}),
    Variation(
        name="neighbours_excluded",
        about="sections beside a hot neighbour left out at both visits",
        changes={"spill_in": {"rule": "exclude_sections"}},
    ),
)
