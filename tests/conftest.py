"""What the browser tests share: a Chromium, a page that is watched, and the served article."""

import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import hypothesis
import psutil
import pytest
from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Page, Playwright, sync_playwright

from tests import chromium as finder

# A busy machine is slow now and then; how long a property takes is not what it claims.
hypothesis.settings.register_profile("patient", deadline=None)
hypothesis.settings.load_profile("patient")

ROOT = Path(__file__).resolve().parent.parent
START_SECONDS = 90
STOP_SECONDS = 10

# The browser must ask for nothing by itself, so that every request seen is the article's.
QUIET = (
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-quic",
    "--disable-sync",
    "--no-first-run",
)


@dataclass
class Watched:
    """What a page has said and asked for. It is told when Playwright is called, so ask the page first."""

    problems: list[str] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)
    websockets: list[str] = field(default_factory=list)

    def watch(self, page: Page) -> None:
        page.on("console", self.hear)
        page.on("pageerror", lambda error: self.problems.append(f"uncaught: {error}"))
        page.on("request", lambda request: self.requests.append(request.url))
        page.on("websocket", lambda websocket: self.websockets.append(websocket.url))

    def hear(self, message: ConsoleMessage) -> None:
        if message.type in ("error", "warning"):
            where = message.location
            self.problems.append(f"{message.type}: {message.text} ({where['url']}:{where['lineNumber']})")


def launch(playwright: Playwright) -> Browser:
    """Start the Chromium that is here, headless; get one first if there is none."""
    as_root = ["--no-sandbox"] if os.geteuid() == 0 else []
    return playwright.chromium.launch(executable_path=str(finder.ensure()), headless=True, args=[*QUIET, *as_root])


@pytest.fixture(scope="session")
def playwright() -> Iterator[Playwright]:
    with sync_playwright() as running:
        yield running


@pytest.fixture(scope="session")
def chromium(playwright: Playwright) -> Iterator[Browser]:
    browser = launch(playwright)
    yield browser
    browser.close()


@pytest.fixture
def context(chromium: Browser) -> Iterator[BrowserContext]:
    fresh = chromium.new_context()
    yield fresh
    fresh.close()


@pytest.fixture
def watched() -> Watched:
    return Watched()


@pytest.fixture
def page(context: BrowserContext, watched: Watched) -> Page:
    opened = context.new_page()
    watched.watch(opened)
    return opened


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("localhost", 0))
        return int(probe.getsockname()[1])


def answers(url: str) -> bool:
    # A proxy of the environment must not stand between us and localhost.
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(url, timeout=30) as response:
            return bool(response.status == 200)
    except urllib.error.HTTPError as error:
        raise RuntimeError(f"{url} answers with {error.code}") from error
    except OSError:
        return False


def wait_for(server: subprocess.Popen[bytes], url: str) -> None:
    deadline = time.monotonic() + START_SECONDS
    while not answers(url):
        if server.poll() is not None:
            raise RuntimeError(f"panel serve ended with {server.returncode}")
        if time.monotonic() > deadline:
            raise RuntimeError(f"{url} did not answer within {START_SECONDS} s")
        time.sleep(0.1)


def stop(server: subprocess.Popen[bytes]) -> None:
    """End a server as Ctrl-C in its terminal does: with all processes that it has started."""
    if server.poll() is not None:
        return
    for process in [*psutil.Process(server.pid).children(), server]:
        process.terminate()
    try:
        server.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        server.kill()
        server.wait()


@contextmanager
def serving(
    log: Path, port: int | None = None, *options: str, environment: Mapping[str, str] | None = None
) -> Iterator[str]:
    """Serve the article on the port, or a free one; yield the address without the /app at its end."""
    port = port or free_port()
    base = f"http://localhost:{port}"
    command = [sys.executable, "-m", "panel", "serve", "app", "--port", str(port), *options]
    settings = os.environ | (environment or {})
    with log.open("wb") as written:
        server = subprocess.Popen(command, cwd=ROOT, env=settings, stdout=written, stderr=subprocess.STDOUT)
    try:
        try:
            wait_for(server, f"{base}/app")
        except RuntimeError as error:
            raise RuntimeError(f"{error}; its log:\n{log.read_text(errors='replace')}") from error
        yield base
    finally:
        stop(server)


@pytest.fixture(scope="session")
def server_log(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The file that the served article's server writes its log to."""
    return tmp_path_factory.mktemp("server") / "panel.log"


@pytest.fixture(scope="session")
def served(server_log: Path) -> Iterator[str]:
    with serving(server_log) as base:
        yield base
