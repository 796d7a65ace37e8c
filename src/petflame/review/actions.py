"""What a reader can do, as the page sends it: checked for shape and range before anything is made of it."""

from __future__ import annotations

import math
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError, model_validator

from petflame.anatomy import ARTERIES, VEINS
from petflame.errors import InputRefused
from petflame.measure.left_out import CODES
from petflame.review.state import History
from petflame.segment.anatomy_limits import ANATOMY
from petflame.segment.seedfile import LANDMARKS, SAME_POINT_MM
from petflame.typed import FARTHEST_MM, validation_faults

WHERE = "the action"
Mm = Annotated[float, Field(ge=-FARTHEST_MM, le=FARTHEST_MM, allow_inf_nan=False)]
Words = Annotated[str, Field(max_length=2000)]
Vessel = Literal[(*ARTERIES, *VEINS)]  # type: ignore[valid-type]
Place = tuple[Mm, Mm, Mm]
LONGEST_WHY = 2000


class _Action(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class OpenAction(_Action):
    """The reader looks at the item."""

    kind: Literal["open"]


class SeedAction(_Action):
    """A point is added, moved, deleted, put back where it was clicked; all of them cleared; or the radius is given."""

    kind: Literal["seed"]
    op: Literal["add", "move", "delete", "refuse_snap", "clear", "radius"]
    vessel: Vessel
    index: Annotated[int, Field(ge=0)] | None = None
    lps_mm: Place | None = None
    snap: bool = False
    radius_mm: Annotated[float, Field(gt=0, allow_inf_nan=False)] | None = None

    @model_validator(mode="after")
    def _complete(self) -> SeedAction:
        if self.op in ("add", "move") and self.lps_mm is None:
            raise ValueError("a point needs lps_mm")
        if self.op in ("move", "delete", "refuse_snap") and self.index is None:
            raise ValueError("say which point by its index")
        if self.radius_mm is not None:
            low, high = ANATOMY[self.vessel].possible_radius_mm
            if not low <= self.radius_mm <= high:
                raise ValueError(f"{self.vessel} cannot have a radius of {self.radius_mm:g} mm ({low:g} to {high:g})")
        return self


class LandmarkAction(_Action):
    """A landmark is set or, without a place, taken away."""

    kind: Literal["landmark"]
    name: Literal[LANDMARKS]  # type: ignore[valid-type]
    lps_mm: Place | None


class PaintAction(_Action):
    """A stroke of the brush or the eraser."""

    kind: Literal["paint"]
    vessel: Vessel
    mode: Literal["add", "erase"]
    runs: list[Annotated[int, Field(ge=0)]]

    @model_validator(mode="after")
    def _in_pairs(self) -> PaintAction:
        if len(self.runs) % 2 or any(n == 0 for n in self.runs[1::2]) or not self.runs:
            raise ValueError("runs are start and length in turn, each length from 1 on")
        return self


class ExcludeAction(_Action):
    """A stretch of an artery is left out."""

    kind: Literal["exclude"]
    vessel: Literal[ARTERIES]  # type: ignore[valid-type]
    z_min_mm: Mm
    z_max_mm: Mm
    code: Literal[CODES]  # type: ignore[valid-type]
    words: Annotated[Words, Field(min_length=1)]

    @model_validator(mode="after")
    def _ordered(self) -> ExcludeAction:
        if self.z_min_mm > self.z_max_mm:
            raise ValueError("the range is no range: give the lower end first")
        if not self.words.strip():
            raise ValueError("say why in words")
        return self


class IncludeAction(_Action):
    """A stretch that was left out counts again."""

    kind: Literal["include"]
    vessel: Vessel
    index: Annotated[int, Field(ge=0)]


class DecideAction(_Action):
    """A vessel is accepted, rejected, or neither."""

    kind: Literal["decide"]
    vessel: Vessel
    choice: Literal["accept", "reject", "none"]
    words: Words = ""

    @model_validator(mode="after")
    def _with_words(self) -> DecideAction:
        if self.choice == "reject" and not self.words.strip():
            raise ValueError("say in words why it is rejected")
        return self


class ConfirmAction(_Action):
    """The prefilled points of a vessel are right as they are."""

    kind: Literal["confirm"]
    vessel: Vessel


class PrefillAction(_Action):
    """The points of the other visit are asked for; which they are is for the server to say."""

    kind: Literal["prefill"]


class TakeAction(_Action):
    """An adjudicator takes one of two reads of a vessel."""

    kind: Literal["take"]
    vessel: Vessel
    read: Literal[1, 2]


class PlainAction(_Action):
    """What needs no more than its name; `read_sha256` of a finish is for the server to say."""

    kind: Literal["undo", "redo", "finish", "reopen"]


class CommentAction(_Action):
    """Words on the whole item."""

    kind: Literal["comment"]
    words: Words


_SeedsAndStrokes = SeedAction | LandmarkAction | PaintAction | PrefillAction | ConfirmAction | TakeAction
_Verdicts = ExcludeAction | IncludeAction | DecideAction | CommentAction
Action = Annotated[OpenAction | _SeedsAndStrokes | _Verdicts | PlainAction, Field(discriminator="kind")]
_ADAPTER: TypeAdapter[Any] = TypeAdapter(Action)


def checked_action(given: Any, history: History) -> dict[str, Any]:
    """Return an action as plain values, once it is one that can be made now.

    Raises
    ------
    InputRefused
        When it is no action, or its vessel, point or row is not there.
    """
    try:
        action: dict[str, Any] = _ADAPTER.validate_python(given).model_dump(mode="json", exclude_none=True)
    except ValidationError as error:
        raise InputRefused(validation_faults(error, WHERE)) from None
    if action["kind"] == "landmark":
        action.setdefault("lps_mm", None)
    fault = _impossible(action, history)
    if fault:
        raise InputRefused.of(*fault)
    return action


def _impossible(action: dict[str, Any], history: History) -> tuple[str, str, str] | None:
    kind, name = action["kind"], action.get("vessel", "")
    if history.finished and kind not in ("reopen", "comment", "open"):
        return "this read is finished", WHERE, "open it again first"
    if kind == "reopen" and not history.finished:
        return "this read is not finished", WHERE, "go on with it"
    if (kind == "undo" and not history.can_undo) or (kind == "redo" and not history.can_redo):
        return f"there is nothing to {kind}", WHERE, "go on"
    if not name:
        return None
    vessel = history.state.vessels[name]
    if kind == "seed":
        return _impossible_seed(action, [seed.lps_mm for seed in vessel.seeds])
    if kind == "exclude":
        same = [
            row for row in vessel.left_out if (row.z_min_mm, row.z_max_mm) == (action["z_min_mm"], action["z_max_mm"])
        ]
        return (f"that stretch of {name} is left out already", WHERE, "take it back first") if same else None
    if kind == "include" and action["index"] >= len(vessel.left_out):
        return f"{name} has no stretch {action['index']} that is left out", WHERE, "look at it again"
    if kind == "confirm" and not vessel.is_prefilled:
        return f"{name} has no prefilled point", WHERE, "go on"
    if kind == "decide" and action["choice"] == "accept" and vessel.is_prefilled:
        return f"{name} has prefilled points that nobody has confirmed", WHERE, "confirm or move them first"
    return None


def _impossible_seed(action: dict[str, Any], seeds: list[tuple[float, float, float]]) -> tuple[str, str, str] | None:
    name, index = action["vessel"], action.get("index")
    if index is not None and index >= len(seeds) and action["op"] != "add":
        return f"{name} has no point {index}", WHERE, "look at it again"
    if action["op"] == "clear" and not seeds:
        return f"{name} has no point to clear", WHERE, "go on"
    if action["op"] in ("add", "move"):
        others = [seed for n, seed in enumerate(seeds) if action["op"] == "add" or n != index]
        if any(math.dist(seed, action["lps_mm"]) < SAME_POINT_MM for seed in others):
            return f"{name} has a point there already", WHERE, "move that one"
    return None
