"""The workbench's web application: routes to one reader's worklist and desks."""

from __future__ import annotations

import json
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from threading import Lock
from typing import Any

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import FileResponse, PlainTextResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from petflame import __version__
from petflame.errors import Fault, InputRefused, PetflameError, is_of_the_machine, machine_fault
from petflame.files import plain
from petflame.privacy import without_names
from petflame.protocol import Protocol
from petflame.review.adjudicate import reads_of
from petflame.review.counting import items_for
from petflame.review.desk import Desk
from petflame.review.guard import BodyTooLarge, Guard, body_of
from petflame.review.log import HeadMoved
from petflame.review.needs import required_vessels
from petflame.review.other_visit import OtherVisits, allowed
from petflame.review.places import ReviewPlaces
from petflame.review.plan import CONSENSUS, FOLDERS, load_plan, refuse_other_rules
from petflame.review.values import profile_of, require_sections, values_of
from petflame.review.views import shown_image, state_view
from petflame.review.visit import read_visit_files, seen_files
from petflame.review.volumes import nifti_bytes
from petflame.review.worklist import Item, Worklist, chosen, run_of, visit_folders
from petflame.study import IDENTIFIER
from petflame.typed import as_written

STATIC = Path(__file__).parent / "static"
# Each open item holds its images in memory.
MOST_OPEN = 2
NOT_SAVED = "Not saved: {what}. Nothing has changed; {remedy}."
MOVED = "Not done: another window went on with this item. This is how it stands now; do it again if it is still due."


@dataclass(frozen=True)
class Session:
    """What one serving is for.

    Attributes
    ----------
    reader : str
    folder : Path
        Of the reader's logs and reads.
    items : tuple of Item
    protocol : Protocol
    show_values : bool
        Whether values are shown before a vessel is accepted.
    prefill : bool
        Whether points may be carried over from the other visit.
    adjudicating : bool
    """

    reader: str
    folder: Path
    items: tuple[Item, ...]
    protocol: Protocol = field(default_factory=Protocol)
    show_values: bool = False
    prefill: bool = False
    adjudicating: bool = False

    @property
    def consensus(self) -> bool:
        """Whether two readers read together anew."""
        return self.reader == CONSENSUS


def session_of(
    results: Path, reader: str, visits: Sequence[str], protocol: Protocol, show_values: bool = False
) -> Session:
    """Return what a serving of results to a reader is for.

    Raises
    ------
    InputRefused
        When the reader has no usable code, or there is no visit.
    """
    if not IDENTIFIER.fullmatch(reader) or reader.casefold() in FOLDERS:
        what = f"the reader {as_written(reader)} is no code of letters, digits, '.', '_' and '-'"
        remedy = f"give at most 64 of them, a letter or digit first, and none of {', '.join(FOLDERS)}"
        raise InputRefused.of(what, "--reader", remedy)
    results, one = run_of(results)
    visits = [*visits, *one]
    roots = {root.resolve().name: root for root in chosen(visit_folders(results), visits)}
    plan = load_plan(results)
    if plan is not None:
        refuse_other_rules(plan, protocol)
    visit_of = (lambda name: name) if plan is None else plan.visit_of
    names = items_for(results, reader, roots)
    items = tuple(Item(name, roots[visit_of(name)]) for name in names)
    folder = ReviewPlaces(results).root / reader
    last_word = plan is not None and reader == plan.last_word
    return Session(reader, folder, items, protocol, show_values, allowed(results, protocol), last_word)


class Room:
    """The items of one serving: a worklist, and the desks that are open."""

    def __init__(self, session: Session) -> None:
        self.session = session
        self.required = required_vessels(session.protocol)
        rules, results = session.protocol.pairing, session.folder.parent.parent
        self._others = OtherVisits(results, session.folder, rules) if session.prefill else None
        self.worklist = Worklist(session.items, session.reader, session.folder, self.required)
        self._open: OrderedDict[str, Desk] = OrderedDict()
        self._lock, self._opening = Lock(), {name: Lock() for name in self.worklist.items}
        self._images: dict[tuple[str, str], bytes] = {}

    def desk(self, name: str) -> Desk:
        """Return the desk of an item, opened if need be.

        Raises
        ------
        HTTPException
            404 for what is no item.
        InputRefused
            When it cannot be opened.
        """
        item = self.worklist.items.get(name)
        if item is None:
            raise HTTPException(404)
        with self._opening[name]:
            with self._lock:
                desk = self._open.get(name)
                if desk is not None:
                    self._open.move_to_end(name)
            if desk is not None and desk.files.seen != seen_files(item.root):
                # Segmented or converted anew meanwhile: what is shown must be what lies there.
                desk = None
            if desk is None:
                self._images = {key: packed for key, packed in self._images.items() if key[0] != name}
                whose, two = (self.session.reader, self.session.folder), None
                if self.session.adjudicating and not self.session.consensus:
                    two = reads_of(self.session.folder.parent.parent, name)
                # A repeat is offered nothing; neither is the visit that it repeats, which would tell them apart.
                alone = sum(other.root == item.root for other in self.session.items) == 1
                others = self._others if alone else None
                desk = Desk(read_visit_files(item.root), name, *whose, self.required, others, two)
                with self._lock:
                    self._open[name] = desk
                    while len(self._open) > MOST_OPEN:
                        gone, _ = self._open.popitem(last=False)
                        self._images = {key: packed for key, packed in self._images.items() if key[0] != gone}
        desk.refresh()
        return desk

    def image(self, name: str, which: str) -> bytes:
        """Return an image of an item as a gzipped NIfTI file."""
        desk = self.desk(name)
        if which == "labels":
            with desk.lock:
                return nifti_bytes(shown_image(desk, which))
        key = (name, which)
        if key not in self._images:
            self._images[key] = nifti_bytes(shown_image(desk, which))
        return self._images[key]

    def state(self, name: str) -> dict[str, Any]:
        """Return everything about an item but its images."""
        desk = self.desk(name)
        with desk.lock:
            return state_view(desk, values_of(desk, self.session.protocol, self.session.show_values))

    def act(self, name: str, body: Mapping[str, Any]) -> tuple[int, dict[str, Any]]:
        """Do one action; return the status and the answer."""
        try:
            desk = self.desk(name)
            head, why = body.get("head"), body.get("why", "")
            if not isinstance(head, str) or not isinstance(why, str):
                raise InputRefused.of("head and why are not text", "the request", "open the item again")
            if isinstance(body.get("action"), dict) and body["action"].get("kind") == "finish":
                require_sections(desk, self.session.protocol)
            with desk.lock:
                done = desk.act(body.get("action"), head, why, body.get("after_lock") is True)
                return 200, {"state": self.state(name), "changed": done.changed, "said": done.said}
        except HeadMoved:
            return 409, {"state": self.state(name), "said": MOVED}
        except PetflameError as error:
            faults = said_faults(error.faults, self.session, name)
            return 422, {"faults": faults, "said": faults[0]["what"]}
        except OSError as error:
            if (fault := machine_fault(error, "the log")) is None and not is_of_the_machine(error):
                raise
            told = fault.faults[0] if fault else Fault(str(error.strerror), "the log", "mend it and do it again")
            said = NOT_SAVED.format(what=told.what, remedy=told.remedy)
            return 507, {"faults": said_faults([told], self.session, name), "said": said}


def said_faults(faults: Any, session: Session, name: str = "") -> list[dict[str, str]]:
    """Write faults of an item for the page, without the path of the results and under the name the reader knows."""
    hidden = {f"{session.folder.parent.parent}/": ""}
    hidden |= {item.root.resolve().name: item.name for item in session.items if item.name == name}

    def told(text: str) -> str:
        text = without_names(text)
        for secret, shown in hidden.items():
            text = text.replace(secret, shown)
        return text

    return [{key: told(text) for key, text in fault.as_dict().items()} for fault in faults]


def _json(content: Any, status: int = 200) -> Response:
    text = json.dumps(plain(content), ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    return Response(text, status, media_type="application/json")


def application(session: Session, token: str) -> Guard:
    """Make the application of one serving; every path begins with the token."""
    room = Room(session)

    def answering(make: Callable[[Request], Response]) -> Callable[[Request], Response]:
        def answer(request: Request) -> Response:
            try:
                return make(request)
            except PetflameError as error:
                name = request.path_params.get("item", "")
                return _json({"faults": said_faults(error.faults, session, name)}, 422)

        return answer

    def page(request: Request) -> Response:
        index = STATIC / "index.html"
        return FileResponse(index) if index.exists() else PlainTextResponse("the page is not installed\n", 404)

    def told(request: Request) -> Response:
        return _json(
            {
                "reader": session.reader,
                "version": __version__,
                "protocol": session.protocol.name,
                "show_values": session.show_values,
                "prefill": session.prefill,
                "blinded": True,
                "adjudicating": session.adjudicating,
                "vessels_required": list(room.required),
            }
        )

    def worklist(request: Request) -> Response:
        return _json(room.worklist.view(request.query_params.get("order", "mine")))

    def state(request: Request) -> Response:
        return _json(room.state(request.path_params["item"]))

    def image(request: Request) -> Response:
        packed = room.image(request.path_params["item"], request.path_params["which"])
        return Response(packed, media_type="application/gzip")

    def profile(request: Request) -> Response:
        desk = room.desk(request.path_params["item"])
        vessel = request.query_params.get("vessel", "")
        return _json(profile_of(desk, vessel, session.protocol, session.show_values))

    async def act(request: Request) -> Response:
        try:
            body = json.loads(await body_of(request))
        except BodyTooLarge:
            return PlainTextResponse("too large\n", 413, headers={"connection": "close"})
        except (ValueError, RecursionError):
            body = None
        if not isinstance(body, dict):
            return _json(
                {"faults": [{"what": "it is no JSON object", "where": "the request", "remedy": "send one"}]}, 400
            )
        status, answer = await run_in_threadpool(room.act, request.path_params["item"], body)
        return _json(answer, status)

    visit = "/api/visit/{item}"
    routes = [
        Route("/", page, methods=["GET"]),
        Route("/api/session", told, methods=["GET"]),
        Route("/api/worklist", answering(worklist), methods=["GET"]),
        Route(visit, answering(state), methods=["GET"]),
        *(
            Route(f"{visit}/{which}.nii.gz", answering(_bound(image, which)), methods=["GET"])
            for which in ("ct", "pet", "labels")
        ),
        Route(f"{visit}/profile", answering(profile), methods=["GET"]),
        Route(f"{visit}/act", act, methods=["POST"]),
    ]
    if STATIC.is_dir():
        routes.append(Mount("/static", StaticFiles(directory=STATIC)))  # type: ignore[arg-type]
    return Guard(Starlette(routes=routes), token)


def _bound(make: Callable[[Request], Response], which: str) -> Callable[[Request], Response]:
    def bound(request: Request) -> Response:
        request.path_params["which"] = which
        return make(request)

    return bound
