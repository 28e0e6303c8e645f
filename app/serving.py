"""Serves the site under plain `panel serve app`: built once, kept in memory, compressed once.

Tornado's routes have to stand before the server is made, so `app_hooks.py` calls `install()` when Panel
reads the app, which is also before any fork.
"""

from __future__ import annotations

from functools import cache
from typing import Any

from bokeh.server import urls
from bokeh.server.views.doc_handler import DocHandler
from tornado.web import HTTPError, RequestHandler

from .site import Asset, Site, build

APP = "/app"
LABORATORY = "lab"
"""The figure for which the server works: its page is a Panel session."""
POLICY = "; ".join(
    (
        "default-src 'self'",
        "script-src 'self'",
        "style-src 'self' 'unsafe-inline'",  # Bokeh sets the sizes of its canvases so
        "img-src 'self' data: blob:",
        "base-uri 'none'",
        "form-action 'none'",
        "object-src 'none'",
    )
)


# Panel puts scripts into its page, makes functions of text, and talks over a WebSocket.
SESSION_POLICY = "; ".join(
    (
        "default-src 'self'",
        "script-src 'self' 'unsafe-inline' 'unsafe-eval' blob:",
        "style-src 'self' 'unsafe-inline'",
        "img-src 'self' data: blob:",
        "connect-src 'self' ws: wss: blob:",
        "base-uri 'none'",
        "form-action 'none'",
        "object-src 'none'",
    )
)


@cache
def site() -> Site:
    """The site as it is served: built once."""
    return build(session=f"{APP.lstrip('/')}?figure={LABORATORY}")


def install() -> None:
    """Put the site's routes in front of Panel's own. A second call changes nothing."""
    if any(pattern[0] == FileHandler.route for pattern in urls.toplevel_patterns):
        return
    for asset in site().values():
        _ = asset.gzipped  # now, once, and not while the first reader waits
    urls.toplevel_patterns.insert(0, (FileHandler.route, FileHandler))
    for index, (route, handler, *rest) in enumerate(urls.per_app_patterns):
        if issubclass(handler, DocHandler):
            urls.per_app_patterns[index] = (route, page_handler(handler), *rest)  # type: ignore[assignment]


def send(handler: RequestHandler, asset: Asset) -> None:
    """Answer with the asset, compressed where the reader's browser takes that, or with 304 where it has it."""
    handler.set_header("Content-Type", f"{asset.kind}; charset=utf-8")
    handler.set_header("X-Content-Type-Options", "nosniff")
    if asset.kind == "text/html":
        handler.set_header("Content-Security-Policy", POLICY)
    handler.set_header("Vary", "Accept-Encoding")
    handler.set_header("Etag", f'"{asset.version}"')
    # A versioned address never changes its content; others are asked about at each visit.
    for_ever = handler.get_query_argument("v", "") == asset.version
    handler.set_header("Cache-Control", "max-age=31536000, immutable" if for_ever else "no-cache")
    if handler.check_etag_header():
        handler.set_status(304)
        return
    if "gzip" in handler.request.headers.get("Accept-Encoding", ""):
        handler.set_header("Content-Encoding", "gzip")
        handler.write(asset.gzipped)
    else:
        handler.write(asset.body)


class FileHandler(RequestHandler):
    """The site's files, at the addresses that they have in the export."""

    route = r"/(assets/.+|[\w-]+\.html)"

    def get(self, address: str) -> None:
        """Answer with the file, or 404."""
        asset = site().get(address)
        if asset is None:
            raise HTTPError(404)
        send(self, asset)

    head = get


def page_handler(session_handler: type[RequestHandler]) -> type[RequestHandler]:
    """A handler that answers the app's address with pages of the site, and leaves other apps as they are."""

    class PageHandler(session_handler):  # type: ignore[misc, valid-type]
        async def get(self, *args: Any, **keywords: Any) -> None:
            if self.application_context.url != APP:
                await super().get(*args, **keywords)
            elif self.request.path.endswith("/"):
                # Addresses in the page are relative, so it has one address only.
                query = f"?{self.request.query}" if self.request.query else ""
                self.redirect(self.request.path.rstrip("/") + query, permanent=True)
            elif (name := self.get_query_argument("figure", "")) == LABORATORY:
                self.set_header("Content-Security-Policy", SESSION_POLICY)
                self.set_header("Cache-Control", "no-store")
                await super().get(*args, **keywords)
            else:
                send(self, site().get(f"{name}.html", site()["index.html"]))

        async def head(self, *args: Any, **keywords: Any) -> None:
            """Say that the server is there, without making a session for it."""

    return PageHandler
