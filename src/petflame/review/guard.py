"""Who may talk to the workbench: this machine's own browser, with the address that was printed for it."""

from __future__ import annotations

import hmac
import re
from typing import Any

from starlette.responses import PlainTextResponse, RedirectResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

OWN_HOSTS = re.compile(r"(?i)(127\.0\.0\.1|localhost|\[::1\])(:\d{1,5})?")
LARGEST_BODY = 4 << 20
# The viewer draws its font from a picture that it carries within.
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
HEADERS = (
    (b"content-security-policy", POLICY.encode()),
    (b"referrer-policy", b"no-referrer"),
    (b"x-content-type-options", b"nosniff"),
    (b"cache-control", b"no-store"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"x-frame-options", b"DENY"),
)


class BodyTooLarge(Exception):
    """More was sent than any action needs."""


class Guard:
    """Let through only what carries the token, names this machine and, to change anything, comes from its own page.

    Parameters
    ----------
    app : ASGI application
        Sees paths without the token.
    token : str
    """

    def __init__(self, app: ASGIApp, token: str) -> None:
        self._app, self._token = app, token.encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        if scope["type"] != "http":
            return

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                given = [(k, v) for k, v in message.get("headers", ()) if k.lower() not in dict(HEADERS)]
                message = {**message, "headers": [*given, *HEADERS]}
            await send(message)

        refusal = self._refusal(scope)
        if refusal is not None:
            await refusal(scope, receive, send_with_headers)
            return
        path = scope["path"][1 + len(self._token) :]
        if not path:
            there = RedirectResponse(f"/{self._token.decode()}/")
            await there(scope, receive, send_with_headers)
            return
        await self._app({**scope, "path": path, "raw_path": path.encode()}, receive, send_with_headers)

    def _refusal(self, scope: Scope) -> PlainTextResponse | None:
        headers: dict[bytes, list[bytes]] = {}
        for name, value in scope["headers"]:
            headers.setdefault(name.lower(), []).append(value)
        hosts = headers.get(b"host", [])
        host = hosts[0].decode("latin-1") if len(hosts) == 1 else ""
        if not OWN_HOSTS.fullmatch(host):
            return _closed(PlainTextResponse("wrong host\n", 403))
        first = scope["path"].split("/")[1] if "/" in scope["path"] else ""
        if not hmac.compare_digest(first.encode("utf-8", "surrogatepass"), self._token):
            return _closed(PlainTextResponse("not found\n", 404))
        if scope["method"] in ("GET", "HEAD"):
            return None
        if scope["method"] != "POST":
            return _closed(PlainTextResponse("method not allowed\n", 405))
        origins = [o.decode("latin-1").lower() for o in headers.get(b"origin", [])]
        if origins != [f"http://{host.lower()}"]:
            return _closed(PlainTextResponse("wrong origin\n", 403))
        kind = headers.get(b"content-type", [b""])[0].split(b";")[0].strip().lower()
        if kind != b"application/json":
            return _closed(PlainTextResponse("send application/json\n", 415))
        length = headers.get(b"content-length", [b"0"])[0]
        if not length.isdigit() or len(length) > 9 or int(length) > LARGEST_BODY:
            return _closed(PlainTextResponse("too large\n", 413))
        return None


def _closed(response: PlainTextResponse) -> PlainTextResponse:
    """Have the connection closed, so that nothing more of a refused request is read."""
    response.headers["connection"] = "close"
    return response


async def body_of(request: Any) -> bytes:
    """Read a request's body as far as an action may be long.

    Raises
    ------
    BodyTooLarge
        As soon as it is longer, whatever its length was said to be.
    """
    parts, size = [], 0
    async for part in request.stream():
        size += len(part)
        if size > LARGEST_BODY:
            raise BodyTooLarge
        parts.append(part)
    return b"".join(parts)
