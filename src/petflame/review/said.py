"""What was done, in a sentence."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from petflame.anatomy import title

DECIDED = {"accept": "accepted", "reject": "rejected", "none": "decision taken back"}


def sentence(action: Mapping[str, Any]) -> str:
    """Say in one sentence what was done, for those who hear the page."""
    kind, name = action["kind"], title(str(action.get("vessel", "")))
    if kind == "seed":
        said = {
            "add": f"{name}: point set",
            "move": f"{name}: point moved",
            "delete": f"{name}: point deleted",
            "refuse_snap": f"{name}: point put back where it was clicked",
            "clear": f"{name}: all points cleared",
            "radius": f"{name}: radius {action.get('radius_mm') or 'from the CT'} mm",
        }[action["op"]]
        if action.get("snap_reason"):
            said += f", left where it was clicked: {action['snap_reason']}"
        elif action.get("moved_mm"):
            said += f", moved by {action['moved_mm']:.1f} mm to the middle of the vessel"
    elif kind == "decide":
        said = f"{name}: {DECIDED[action['choice']]}"
    else:
        said = {
            "open": "Opened",
            "landmark": f"{str(action.get('name')).replace('_', ' ')} {'set' if action.get('lps_mm') else 'removed'}",
            "paint": f"{name}: {'erased' if action.get('mode') == 'erase' else 'painted'}",
            "exclude": f"{name}: stretch left out",
            "include": f"{name}: stretch counts again",
            "confirm": f"{name}: points confirmed",
            "take": f"{name}: read {action.get('read')} taken",
            "prefill": "Points of the other visit put in place, for you to confirm or move",
            "undo": "Undone",
            "redo": "Done again",
            "comment": "Words kept",
            "finish": "Finished",
            "reopen": "Opened again",
        }[kind]
    if action.get("not_carried"):
        said += "; not carried over: " + ", ".join(f"{title(n)} ({w})" for n, w in action["not_carried"].items())
    if action.get("lapsed"):
        others = ", ".join(title(n) for n in action["lapsed"])
        said += f"; the decision on {others} lapses, its outline changed"
    return said
