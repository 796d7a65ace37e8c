"""Serving the workbench on this machine's own address until it is stopped."""

from __future__ import annotations

import asyncio
import contextlib
import os
import secrets
import socket
import sys
import webbrowser
from collections.abc import Callable

import uvicorn

from petflame.errors import InputRefused
from petflame.review.server import Session, application

ADDRESS = "127.0.0.1"
TOKEN_BYTES = 24


def bound_socket(port: int) -> socket.socket:
    """Bind a port of this machine's own address; 0 takes a free one.

    Raises
    ------
    InputRefused
        When the port is taken or not allowed.
    """
    bound = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        bound.bind((ADDRESS, port))
    except OSError as error:
        bound.close()
        raise InputRefused.of(f"port {port} cannot be used ({error.strerror})", "--port", "name another") from None
    return bound


def has_desktop() -> bool:
    """Whether a browser would open before somebody's eyes."""
    return sys.platform in ("darwin", "win32") or bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))


def serve(session: Session, port: int, browser: bool, say: Callable[[str], None], token: str | None = None) -> None:
    """Serve until Ctrl-C; the address is said once requests are taken."""
    token = token or secrets.token_urlsafe(TOKEN_BYTES)
    with bound_socket(port) as bound:
        url = f"http://{ADDRESS}:{bound.getsockname()[1]}/{token}/"
        # Nothing of what is asked for is logged: addresses hold the token.
        config = uvicorn.Config(
            application(session, token),
            log_level="critical",
            access_log=False,
            lifespan="off",
            server_header=False,
            timeout_graceful_shutdown=5,
            timeout_keep_alive=60,
        )
        server = uvicorn.Server(config)

        async def run() -> None:
            serving = asyncio.create_task(server.serve([bound]))
            while not server.started and not serving.done():
                await asyncio.sleep(0.01)
            if server.started:
                say(url)
                if browser and has_desktop():
                    await asyncio.to_thread(webbrowser.open, url)
            await serving

        with contextlib.suppress(KeyboardInterrupt):
            asyncio.run(run())
