"""The export: the served site as plain files, which work anywhere, and are written with care for what is there."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pytest
from playwright.sync_api import BrowserContext, Page, expect

from app import export as exporting
from app import site
from app.__main__ import main
from tests import weights
from tests.app.conftest import Place
from tests.app.reader import Reader
from tests.conftest import ROOT, Watched
from widgets import FIGURES, Figure, Saturation
from widgets.controls import Range

STATES = {
    "saturation": {"drift": -3.5, "batch_norm": "on", "activation": "tanh"},
    "runaway-bias": {"step": 2500, "precision": "float16"},
    "identity": {"gamma": 2.123, "epsilon": 0.001},
    "landscape": {"start": "wall", "steps": 17},
    "steps-to-accuracy": {"target": 69.8, "axis": "log"},
}


def assert_says_what_numpy_says(reader: Reader) -> None:
    twin = reader.figure(**reader.state())
    for name, (_, value, source) in reader.says().items():
        expected = twin.say()[name]
        assert value == pytest.approx(expected.value, rel=1e-6, abs=1e-12, nan_ok=True), name
        assert source == expected.source
    assert reader.at.locator(".summary").inner_text() == twin.summarize()


# ---- the same everywhere


@pytest.mark.parametrize("figure", FIGURES, ids=lambda figure: figure.slug)
def test_a_figure_says_the_same_numbers_wherever_it_is_read(
    cut_off: Page, place: Place, figure: type[Figure]
) -> None:
    state = STATES[figure.slug]
    reader = Reader.of(cut_off, figure, place.at(figure.slug, **state))
    for name, value in state.items():
        assert reader.state()[name] == (True if value == "on" else value)
    assert not cut_off.locator(".notices").filter(visible=True).count()
    assert_says_what_numpy_says(reader)
    for name, control in figure.controls().items():
        reader.set(name, control.positions[1])
    assert reader.state() == {name: control.positions[1] for name, control in figure.controls().items()}
    cut_off.locator("h1").click()
    reader.settle()
    assert_says_what_numpy_says(reader)

    ranges = {name: control for name, control in figure.controls().items() if isinstance(control, Range)}
    finest = max(ranges, key=lambda name: len(ranges[name].positions))
    reader.drag(finest, 0.7)
    value = reader.state()[finest]
    assert ranges[finest].index(value) > 0.6 * (len(ranges[finest].positions) - 1)
    assert reader.label(finest) == ranges[finest].text(value)
    assert_says_what_numpy_says(reader)
    reader.at.locator("[data-preset]").last.click()
    reader.settle()
    assert_says_what_numpy_says(reader)
    reader.at.get_by_role("button", name="Reset").click()
    reader.settle()
    assert reader.state() == figure().state
    assert_says_what_numpy_says(reader)


def test_the_article_can_be_read_and_moved_wherever_it_is(cut_off: Page, place: Place) -> None:
    reader = Reader.of(cut_off, Saturation, f"{place.article}?saturation.drift=6&landscape.steps=7#saturation")
    expect(reader.at).to_be_in_viewport()
    assert reader.state()["drift"] == 6
    reader.drag("drift", 0.25)
    cut_off.locator('a.sets[href*="saturation.batch_norm=on"]').first.click()
    reader.settle()
    assert reader.state()["batch_norm"]
    assert_says_what_numpy_says(reader)
    last = Reader(cut_off, FIGURES[3])
    last.come_near()
    assert last.state()["steps"] == 7
    assert_says_what_numpy_says(last)


def test_pages_lead_to_each_other_with_the_state_wherever_they_are(cut_off: Page, place: Place) -> None:
    reader = Reader.of(cut_off, Saturation, f"{place.article}?saturation.drift=6#saturation")
    with cut_off.context.expect_page() as opened:
        reader.at.get_by_role("link", name="Open alone").click()
    alone = Reader(opened.value, Saturation)
    alone.come_near()
    assert alone.page.locator("figure").count() == 1
    assert alone.state() == reader.state()
    alone.set("batch_norm", True)
    alone.page.get_by_role("link", name="In the article").click()
    back = Reader(alone.page, Saturation)
    alone.page.wait_for_selector("nav.contents")
    back.come_near()
    assert back.state() == {**reader.state(), "batch_norm": True}


def test_the_site_is_the_same_bytes_whatever_the_process_has_made_before() -> None:
    first = site.build()
    Saturation(drift=3).document()
    second = site.build()
    assert {address for address, asset in first.items() if asset.body != second[address].body} == set()


def test_what_is_exported_is_what_is_served(exported: Path, served: str) -> None:
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    files = [path for path in exported.rglob("*") if path.is_file() and path.name != exporting.MARK]
    assert len(files) > 20
    # One attribute says that a server trains for the laboratory, where one does.
    session = b' data-session="app?figure=lab"'
    for path in files:
        address = path.relative_to(exported).as_posix()
        with opener.open(f"{served}/{address}", timeout=30) as answer:
            assert answer.read().replace(session, b"") == path.read_bytes(), address
    with opener.open(f"{served}/app", timeout=30) as answer:
        assert answer.read().replace(session, b"", 1) == (exported / "index.html").read_bytes()


# ---- one file


def test_one_file_holds_all_of_its_figure(context: BrowserContext, page: Page, watched: Watched, tmp_path) -> None:
    path, _ = exporting.export_single("landscape", tmp_path / "on a stick" / "my figure.html", lambda _: None)
    own = path.as_uri()
    context.route(lambda url: not url.startswith((own, "data:")), lambda route: route.abort())
    landscape = FIGURES[3]
    reader = Reader.of(page, landscape, f"{own}?start=wall&steps=17&scale=1.25&theme=dark")
    assert reader.state()["start"] == "wall"
    reader.drag("learning_rate", 0.4)
    page.locator("h1").click()
    assert_says_what_numpy_says(reader)
    reader.at.get_by_role("button", name="Reset").click()
    assert [url for url in watched.requests if not url.startswith((own, "data:"))] == []
    assert watched.problems == []


def test_a_script_within_a_script_cannot_end_it() -> None:
    evil = "a = '</script><!-- <SCRIPT>'"
    assert site._inline(evil) == r"a = '\x3C/script>\x3C!-- \x3CSCRIPT>'"


# ---- weights


def test_a_first_load_is_light() -> None:
    made = site.build()
    found = weights.weigh(made)
    for kind in FIGURES:
        for page in ("index.html", f"{kind.slug}.html"):
            assert f'"assets/{kind.slug}.js?' in made[page].body.decode(), "or its weight would not be counted"
    assert found.article < weights.ARTICLE
    assert max(found.pages.values()) < weights.PAGE
    assert max(found.singles.values()) < weights.SINGLE


# ---- written with care


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> dict[str, site.Asset]:
    """A site that is built at once."""
    made = {name: site.Asset(name.encode(), "text/plain") for name in ("index.html", "assets/a.js", "assets/b.js")}
    monkeypatch.setattr(exporting, "build", lambda: made)
    return made


def contents(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def silent(_: str) -> None:
    pass


def test_an_earlier_export_is_replaced_and_an_empty_folder_filled(small, tmp_path: Path) -> None:
    folder = tmp_path / "not" / "yet" / "there"
    exporting.export(folder, silent)
    assert folder.stat().st_mode & 0o777 == 0o755
    del small["assets/b.js"]
    small["index.html"] = site.Asset(b"newer", "text/plain")
    (folder / "assets" / ".DS_Store").write_bytes(b"a file manager was here")
    exporting.export(folder, silent)
    assert contents(folder).keys() == {"index.html", "assets/a.js", exporting.MARK}
    assert (folder / "index.html").read_bytes() == b"newer"
    empty = tmp_path / "empty"
    empty.mkdir()
    exporting.export(empty, silent)
    assert (empty / "index.html").exists()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["empty", "not"]


def test_what_is_no_export_is_never_overwritten(small, tmp_path: Path, capsys) -> None:
    mine = tmp_path / "thesis"
    (mine / "chapters").mkdir(parents=True)
    (mine / "chapters" / "1.tex").write_text("months of work")
    (tmp_path / "a file").write_text("of mine")
    grown = tmp_path / "grown"
    exporting.export(grown, silent)
    (grown / "slides").mkdir()
    (grown / "slides" / "index.html").write_text("also mine")
    forged = tmp_path / "forged"
    forged.mkdir()
    (forged / exporting.MARK).write_text("[1, 2]")
    before = contents(tmp_path)
    for name, words in (
        ("thesis", "no earlier export"),
        ("a file", "is a file"),
        ("grown", "slides/index.html"),
        ("forged", "no earlier export"),
    ):
        assert main(["export", str(tmp_path / name), "--quiet"]) == 1
        assert words in capsys.readouterr().err
    page = tmp_path / "grown" / "index.html"
    assert main(["export", str(page), "--figure", "saturation", "--single-file"]) == 1
    assert "no earlier single-file export" in capsys.readouterr().err
    assert contents(tmp_path) == before


def test_a_failure_at_any_file_or_in_the_swap_leaves_the_old_export_whole(small, tmp_path, monkeypatch) -> None:
    folder = tmp_path / "site"
    exporting.export(folder, silent)
    before = contents(tmp_path)
    small["index.html"] = site.Asset(b"newer", "text/plain")

    def interrupt_at(line: int):
        def say(_: str) -> None:
            nonlocal line
            line -= 1
            if not line:
                raise KeyboardInterrupt

        return say

    for line in range(1, 2 + len(small)):
        with pytest.raises(KeyboardInterrupt):
            exporting.export(folder, interrupt_at(line))
        assert contents(tmp_path) == before
        assert [path.name for path in tmp_path.iterdir()] == ["site"]

    rename = Path.rename

    def failing(self: Path, target: Path) -> Path:
        if target == folder and self.name != "site":
            raise OSError("No space left on device")
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", failing)
    assert main(["export", str(folder), "--quiet"]) == 1
    assert contents(tmp_path) == before
    assert [path.name for path in tmp_path.iterdir()] == ["site"]


@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_command_says_so_and_leaves_nothing_behind(tmp_path: Path, sent: signal.Signals) -> None:
    command = [sys.executable, "-m", "app", "export", str(tmp_path / "site")]
    process = subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE, text=True)
    assert process.stderr
    while "Building" not in process.stderr.readline():
        assert process.poll() is None
    time.sleep(0.2)
    process.send_signal(sent)
    assert process.wait(30) == 130
    assert process.stderr.read().strip() == "Interrupted; what was there before is as it was."
    assert list(tmp_path.iterdir()) == []


def test_the_command_tells_of_each_file_and_where_to_look(small, tmp_path, capsys, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["export", "public"]) == 0
    said = capsys.readouterr()
    assert f"open {os.path.join('public', 'index.html')}" in said.out
    assert all(name in said.err for name in small)
    assert "3/3" in said.err


@pytest.mark.parametrize(
    "wish", [["export"], ["export", "x", "--single-file"], ["export", "x", "--figure", "identity"], []]
)
def test_a_command_that_is_not_understood_is_explained(wish: list[str], tmp_path, capsys, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as end:
        main(wish)
    assert end.value.code == 2
    assert "usage" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_a_figure_that_is_not_there_is_told_with_those_that_are(tmp_path: Path, capsys) -> None:
    assert main(["export", str(tmp_path), "--figure", "nonsense", "--single-file"]) == 1
    assert "saturation, runaway-bias" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []
