"""Power of every declared endpoint and of each vessel, with the residual SD that it rests on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from petflame.anatomy import title
from petflame.trial.blocks import block
from petflame.trial.design.blocks import EndpointPower, VesselPower
from petflame.trial.design.plan import Design
from petflame.trial.design.sample_size import to_randomise
from petflame.trial.endpoints import ENDPOINTS, PRIMARY, Endpoint
from petflame.trial.estimates import NotEstimable

Record = Mapping[str, float | None]
Records = Mapping[str, Record]

# Of each endpoint that the simulation makes: the variation behind its residual SD, in words.
_NOISE = "what differs between visits along a vessel (section_noise_sd), which no within-subject CV of a mean holds"
RESTS_ON: dict[str, str] = {
    PRIMARY.name: "the within-subject variation of a vessel, and the choice of the highest of the vessels at baseline",
    "vessel_mean": "the within-subject variation; the vessels' own part averages out",
    "mds_locked": f"the within-subject variation and {_NOISE}",
    "mds_refound": f"the within-subject variation and {_NOISE}",
    "active_locked": f"the within-subject variation and {_NOISE}; participants with an active section at baseline",
    "active_refound": f"the within-subject variation and {_NOISE}; participants with an active section at both "
    "visits. Who has one at follow-up depends on the drug, so the arms are no longer the randomised ones and no true "
    "difference exists to hold the interval against; difference is the mean estimate",
    "active_fraction": f"the within-subject variation and {_NOISE}",
    "csuv_max": "the within-subject variation of TBR and that of blood pool (blood_pool_visit_cv), drawn apart from "
    "each other: an assumption, as their dependence is not published",
}


@dataclass(frozen=True)
class Simulated:
    """Tests of trials with the effect and of trials without it, and the target of the sample size."""

    with_effect: Records
    without: Records
    design: Design
    target_power: float


def endpoint_powers(found: Simulated) -> dict[str, EndpointPower]:
    """Return every declared endpoint, the primary first; one that the simulation cannot make says so."""
    return {e.name: _endpoint(e, found) for e in (PRIMARY, *ENDPOINTS)}


def vessel_powers(found: Simulated) -> dict[str, VesselPower]:
    """Return each vessel by itself."""
    return {name: _vessel(name, found) for name in found.design.vessel_names}


def _endpoint(endpoint: Endpoint, found: Simulated) -> EndpointPower:
    test = f"{'index' if endpoint is PRIMARY else endpoint.name}_ancova"
    words = {
        "title": endpoint.title,
        "meaning": endpoint.sentence,
        "test": test,
        "rests_on": RESTS_ON.get(endpoint.name, "nothing that the design holds"),
    }
    return block(EndpointPower, lambda: _figures(test, found), **words)


def _vessel(name: str, found: Simulated) -> VesselPower:
    test = f"{name}_ancova"
    words = {
        "title": title(name),
        "meaning": f"mean TBRmax of the vessel {title(name)}, whichever is the index vessel",
        "test": test,
        "rests_on": "the within-subject variation of a vessel; power and patients an arm are those of one vessel "
        "without a correction, power_holm with Holm's over the vessels",
    }
    return block(
        VesselPower,
        lambda: _figures(test, found) | {"power_holm": found.with_effect[test]["rejection_holm"]},
        **words,
    )


def _figures(test: str, found: Simulated) -> dict[str, float | int | None]:
    if test not in found.with_effect:
        raise NotEstimable("the simulation does not make this endpoint, so its power is not known")
    row, null = found.with_effect[test], found.without[test]
    if row["rejection"] is None:
        raise NotEstimable(
            f"in only {100 * (row['estimable'] or 0):.0f} % of the simulated trials enough participants have it, or it "
            "varies enough, for the model"
        )
    difference = row["true_difference"] if row["true_difference"] is not None else row["estimate_mean"]
    sd, share = row["residual_sd"], row["share"]
    if difference is None or sd is None or not share:
        raise NotEstimable("the simulated trials give it no difference or no residual SD")
    return {
        "power": row["rejection"],
        "monte_carlo_se": row["monte_carlo_se"],
        "type_i_error": null["rejection"],
        "coverage": row["coverage"],
        "difference": difference,
        "residual_sd": sd,
        "per_arm": to_randomise(difference, sd, found.target_power, share * (1 - found.design.dropout)),
        "with_value": share,
    }
