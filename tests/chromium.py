"""Finds a Chromium for the tests; gets one when there is none; else says in a sentence what to install.

    python tests/chromium.py

prints the path of the browser, and installs one first when it has to.
"""

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
BUNDLES = ("Google Chrome.app/Contents/MacOS/Google Chrome", "Chromium.app/Contents/MacOS/Chromium")
BUNDLE_FOLDERS = (Path("/Applications"), Path.home() / "Applications")

SENTENCE = (
    "The tests need a Chromium: install one (on Debian: sudo apt install chromium; "
    "on macOS: Google Chrome), or set BROWSER to the path of one."
)

# Asked in a process of its own, because Playwright's sync API refuses to start twice in one thread.
ASK_PLAYWRIGHT = (
    "from playwright.sync_api import sync_playwright\n"
    "with sync_playwright() as playwright: print(playwright.chromium.executable_path)"
)

Command = tuple[list[str], int]  # what to run, and for how many seconds at most


class NoChromiumError(RuntimeError):
    """There is no Chromium, and none could be got; the message says what was tried and what to install."""


def run(command: list[str], seconds: int) -> tuple[bool, str]:
    """Run a command for a bounded time; return whether it succeeded, and all it printed."""
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    try:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            env=environment,
            # Its own group: a helper it has started would otherwise outlive it and hold the pipe open.
            start_new_session=True,
        )
    except OSError as error:
        return False, str(error)
    try:
        output, _ = process.communicate(timeout=seconds)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        output, _ = process.communicate()
        return False, f"{output}(stopped after {seconds} s)"
    except BaseException:  # Ctrl-C does not reach the other group by itself
        os.killpg(process.pid, signal.SIGKILL)
        raise
    return process.returncode == 0, output


def version(executable: Path) -> str:
    """Return what the browser says of its version, or "" when it does not run or is no Chromium.

    Being on PATH is not enough: Ubuntu's chromium-browser may be a script that only tells of a snap.
    """
    succeeded, output = run([str(executable), "--version"], seconds=20)
    lines = [line.strip() for line in output.splitlines() if "Chrom" in line]
    return lines[-1] if succeeded and lines else ""


def playwrights_own() -> Path | None:
    """Return the browser that Playwright has downloaded, if it has."""
    succeeded, output = run([sys.executable, "-c", ASK_PLAYWRIGHT], seconds=30)
    path = Path(output.strip().rpartition("\n")[2])
    return path if succeeded and path.is_file() else None


def candidates() -> Iterator[Path]:
    """Yield the browsers that are here, those that are quickest to look up first."""
    wanted = os.environ.get("BROWSER")
    names = (wanted,) if wanted else NAMES
    yield from (Path(path).absolute() for path in map(shutil.which, names) if path)
    if wanted:
        return  # who names one does not want another
    bundles = (folder / bundle for folder in BUNDLE_FOLDERS for bundle in BUNDLES)
    yield from (path for path in bundles if path.is_file())
    if own := playwrights_own():
        yield own


def find() -> Path | None:
    """Return an installed Chromium that runs; install nothing."""
    return next((path for path in candidates() if version(path)), None)


def installers() -> Iterator[list[Command]]:
    """Yield the ways of getting a Chromium, each as the commands it takes."""
    yield [([sys.executable, "-m", "playwright", "install", "chromium"], 300)]
    if shutil.which("apt-get") and os.geteuid() == 0:
        yield [
            (["apt-get", "update"], 120),
            (["apt-get", "install", "--yes", "--no-install-recommends", "chromium"], 600),
        ]


def attempt(commands: list[Command]) -> str:
    """Run the commands; return what they printed, up to the first that fails."""
    report = ""
    for command, seconds in commands:
        line = " ".join(command)
        print(f"No Chromium yet; trying: {line}", file=sys.stderr, flush=True)
        succeeded, output = run(command, seconds)
        report += f"$ {line}\n{output.strip()}\n"
        if not succeeded:
            break
    return report


def ensure() -> Path:
    """Return a Chromium that runs, after installing one if there is none."""
    if found := find():
        return found
    if wanted := os.environ.get("BROWSER"):
        raise NoChromiumError(f"BROWSER is {wanted!r}, which is no Chromium that runs. {SENTENCE}")
    reports = []
    for commands in installers():
        reports.append(attempt(commands))
        if found := find():
            return found
    raise NoChromiumError("\n".join([*reports, SENTENCE]))


def main() -> int:
    try:
        print(ensure())
    except NoChromiumError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
