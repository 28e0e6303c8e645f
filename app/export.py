"""Writes the site as plain files, which need no server: `python -m app export DIR`.

What is written is put together beside its place and moved there when it is whole, so an export that is interrupted
or fails leaves what was there before. What an export did not write, an export does not remove.
"""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from widgets import FIGURES, Figure, Lab

from .site import MADE_BY, Asset, Site, build, single

MARK = "export.json"
"""The file by which a folder is known to be an export; it lists the others."""
NOT_OURS_BUT_HARMLESS = {".DS_Store", "Thumbs.db"}
"""What file managers leave behind."""

Say = Callable[[str], None]


class RefusedError(Exception):
    """The export would overwrite what it must not, or cannot be made; the message says why."""


def export(folder: Path, say: Say) -> Site:
    """Write the whole site into the folder, which is new, empty or an earlier export; tell of each file."""
    folder = folder.resolve()
    _check(folder)  # before the work, and not only after it
    say("Building the site ...")
    site = build()
    files = sorted(site)
    mark = {
        "what": "An export of the Batch Normalization explainer. The next export replaces the files listed here.",
        "files": files,
    }
    with _beside(folder) as fresh:
        for number, address in enumerate(files, start=1):
            body = site[address].body
            path = fresh / address
            path.parent.mkdir(exist_ok=True)
            path.write_bytes(body)
            say(f"{number:4d}/{len(files)}  {len(body) / 1000:8.1f} kB  {address}")
        (fresh / MARK).write_text(json.dumps(mark, indent=1) + "\n", "utf-8")
        _check(folder)  # somebody may have put something there meanwhile
        _swap(fresh, folder)
    return site


def export_single(name: str, place: Path, say: Say) -> tuple[Path, Asset]:
    """Write one figure as one file, to `place` if that ends in .html, else into the folder `place`."""
    kind = figure(name)
    path = (place if place.suffix.lower() in (".html", ".htm") else place / f"{name}.html").resolve()
    if path.is_dir() or (path.exists() and MADE_BY.encode() not in path.read_bytes()[:4000]):
        raise RefusedError(f"{path} is there already, and is no earlier single-file export: choose another name.")
    say(f"Building {name} ...")
    asset = Asset(single(kind), "text/html")
    path.parent.mkdir(parents=True, exist_ok=True)
    with _beside(path) as fresh:
        written = fresh / path.name
        written.write_bytes(asset.body)
        written.replace(path)
    return path, asset


def figure(name: str) -> type[Figure]:
    """The figure of that name."""
    figures = {kind.slug: kind for kind in FIGURES}
    if name == Lab.slug:
        raise RefusedError(
            "The laboratory is not made as a single file, because its recordings are megabytes. "
            "An export of the whole explainer has it in lab.html."
        )
    if name not in figures:
        raise RefusedError(f"There is no figure {name!r}. The figures are {', '.join(figures)}.")
    return figures[name]


def _check(folder: Path) -> None:
    """Refuse to overwrite what is not an export, or has in it what no export wrote."""
    if not folder.exists():
        return
    if not folder.is_dir():
        raise RefusedError(f"{folder} is a file: choose another name for the folder.")
    there = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_symlink() or path.is_file()}
    if not there and not any(folder.iterdir()):
        return
    try:
        listed = json.loads((folder / MARK).read_text("utf-8"))["files"]
    except (OSError, ValueError, LookupError, TypeError):
        raise RefusedError(
            f"{folder} is there already, and is no earlier export, so it is left as it is: choose a new folder."
        ) from None
    strangers = sorted(path for path in there - {*listed, MARK} if Path(path).name not in NOT_OURS_BUT_HARMLESS)
    if strangers:
        more = ", ..." if len(strangers) > 3 else ""
        raise RefusedError(
            f"{folder} is an earlier export, but holds what no export wrote ({', '.join(strangers[:3])}{more}), "
            "which would be lost: move that away first, or choose a new folder."
        )


@contextmanager
def _beside(place: Path) -> Iterator[Path]:
    """An empty folder beside the place, gone afterwards."""
    place.parent.mkdir(parents=True, exist_ok=True)
    fresh = Path(tempfile.mkdtemp(prefix=f".{place.name}-", dir=place.parent))
    fresh.chmod(0o755)  # as a web server needs it; a temporary folder is for its owner alone
    try:
        yield fresh
    finally:
        shutil.rmtree(fresh, ignore_errors=True)


def _swap(fresh: Path, folder: Path) -> None:
    """Put the fresh folder in the place of the old one, or leave the old one there."""
    if not folder.exists():
        fresh.rename(folder)
        return
    with _beside(folder) as aside:
        old = aside / folder.name
        folder.rename(old)
        try:
            fresh.rename(folder)
        except BaseException:
            with suppress(OSError):
                old.rename(folder)
            raise


def megabytes(files: Site) -> str:
    """How much there is, for people."""
    return f"{sum(len(asset.body) for asset in files.values()) / 1e6:.1f} MB"


def open_me(path: Path) -> str:
    """The path as a person would type it from here."""
    return os.path.relpath(path) if path.is_relative_to(Path.cwd()) else str(path)
