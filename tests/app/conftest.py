"""The places where the explainer can be read: served, exported to a web server's sub-path, exported to a disk."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import urlencode

import pytest
from playwright.sync_api import BrowserContext, Page

from app.export import export
from tests.conftest import Watched

SUB_PATH = "teaching/bn"


@dataclass(frozen=True)
class Place:
    """Where the explainer is: the article's address, and how those of the figures' pages are made."""

    article: str
    own: str
    """How all its addresses begin."""
    served: bool = False

    def at(self, slug: str, **state: object) -> str:
        """The address of a figure's page."""
        query = urlencode(state)
        if self.served:
            return f"{self.article}?figure={slug}" + (f"&{query}" if query else "")
        return self.article.removesuffix("index.html") + f"{slug}.html" + (f"?{query}" if query else "")


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def folder_served(folder: Path) -> Iterator[int]:
    """A plain web server for a folder, as any other; yields its port."""
    with ThreadingHTTPServer(("", 0), partial(Quiet, directory=str(folder))) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server.server_address[1]
        server.shutdown()


@pytest.fixture(scope="session")
def web_root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A web server's folder that has the export somewhere below it."""
    root = tmp_path_factory.mktemp("web")
    export(root / SUB_PATH, lambda _: None)
    return root


@pytest.fixture(scope="session")
def exported(web_root: Path) -> Path:
    """The folder of the export."""
    return web_root / SUB_PATH


@pytest.fixture(scope="session")
def web_port(web_root: Path) -> Iterator[int]:
    """The port of a plain web server that has the export at `SUB_PATH`."""
    with folder_served(web_root) as port:
        yield port


@pytest.fixture(params=["served", "sub-path", "file"])
def place(request: pytest.FixtureRequest) -> Place:
    """Each of the three places."""
    if request.param == "served":
        base = request.getfixturevalue("served")
        return Place(f"{base}/app", f"{base}/", served=True)
    if request.param == "sub-path":
        own = f"http://localhost:{request.getfixturevalue('web_port')}/{SUB_PATH}/"
    else:
        own = request.getfixturevalue("exported").as_uri() + "/"
    return Place(f"{own}index.html", own)


@pytest.fixture
def cut_off(context: BrowserContext, page: Page, place: Place, watched: Watched) -> Iterator[Page]:
    """A page that reaches nothing but its place; afterwards it has not even tried."""
    context.route(lambda url: not url.startswith((place.own, "data:", "blob:")), lambda route: route.abort())
    yield page
    assert [url for url in watched.requests if not url.startswith((place.own, "data:", "blob:"))] == []
    assert watched.problems == []
