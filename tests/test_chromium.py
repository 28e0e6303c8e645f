import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests import chromium as finder


def write_script(path: Path, body: str) -> Path:
    path.write_text(f"#!/bin/sh\n{body}\n")
    path.chmod(0o755)
    return path


@pytest.fixture
def bare(monkeypatch, tmp_path):
    """A machine without any browser; returns the one folder on its PATH."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.delenv("BROWSER", raising=False)
    monkeypatch.setenv("PATH", str(folder))
    monkeypatch.setenv("PLAYWRIGHT_BROWSERS_PATH", str(tmp_path / "none"))
    monkeypatch.setattr(finder, "BUNDLE_FOLDERS", (tmp_path / "Applications",))
    return folder


def test_the_found_browser_says_its_version():
    found = finder.ensure()
    assert found.is_file()
    assert "Chrom" in finder.version(found)


def test_as_a_program_it_prints_the_path_alone():
    done = subprocess.run([sys.executable, finder.__file__], capture_output=True, text=True, timeout=60, check=True)
    assert Path(done.stdout.strip()).is_file()


def test_a_browser_that_is_named_but_missing_gives_the_sentence(tmp_path):
    done = subprocess.run(
        [sys.executable, finder.__file__],
        env={**os.environ, "BROWSER": str(tmp_path / "missing")},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 1
    assert done.stdout == ""
    assert str(tmp_path / "missing") in done.stderr
    assert finder.SENTENCE in done.stderr


def test_a_named_program_that_is_no_chromium_gives_the_sentence(monkeypatch, tmp_path):
    monkeypatch.setenv("BROWSER", str(write_script(tmp_path / "other", "echo Mozilla Firefox 1.0")))
    assert finder.find() is None
    with pytest.raises(finder.NoChromiumError, match="no Chromium that runs"):
        finder.ensure()


def test_a_named_browser_comes_before_those_on_the_path(bare, monkeypatch, tmp_path):
    write_script(bare / "chromium", "echo Chromium 1.0")
    named = write_script(tmp_path / "my chrome", "echo Google Chrome 2.0")
    monkeypatch.setenv("BROWSER", str(named))
    assert finder.find() == named


def test_a_stub_on_the_path_is_passed_over(bare):
    write_script(bare / "chromium", "echo Install the Chromium snap; exit 1")
    real = write_script(bare / "google-chrome", "echo Google Chrome 2.0")
    assert finder.find() == real


def test_a_macos_bundle_is_found(bare, tmp_path):
    bundle = tmp_path / "Applications" / finder.BUNDLES[0]
    bundle.parent.mkdir(parents=True)
    write_script(bundle, "echo Google Chrome 2.0")
    assert finder.find() == bundle


def test_a_bare_machine_has_none(bare):
    assert finder.find() is None


def test_the_first_way_of_getting_one_that_works_is_the_last_tried(bare, monkeypatch):
    script = f"printf '#!/bin/sh\\necho Chromium 3.0\\n' > {bare}/chromium; /bin/chmod 755 {bare}/chromium"
    ways = [[(["/bin/sh", "-c", "exit 1"], 5)], [(["/bin/sh", "-c", script], 5)], [(["never"], 5)]]
    monkeypatch.setattr(finder, "installers", lambda: iter(ways))
    assert finder.ensure() == bare / "chromium"


def test_when_nothing_works_all_that_was_printed_is_shown(bare, monkeypatch):
    ways = [
        [(["/bin/sh", "-c", "echo no network; exit 1"], 5), (["/bin/sh", "-c", "echo not reached"], 5)],
        [(["no-such-program"], 5)],
    ]
    monkeypatch.setattr(finder, "installers", lambda: iter(ways))
    with pytest.raises(finder.NoChromiumError) as caught:
        finder.ensure()
    message = str(caught.value)
    assert "\nno network\n" in message
    assert "\nnot reached\n" not in message
    assert "No such file" in message
    assert message.endswith(finder.SENTENCE)


def test_only_root_with_apt_tries_apt(bare, monkeypatch):
    write_script(bare / "apt-get", "exit 1")
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert len(list(finder.installers())) == 1
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    assert len(list(finder.installers())) == 2
    (bare / "apt-get").unlink()
    assert len(list(finder.installers())) == 1


def test_a_command_that_hangs_is_stopped_with_all_it_started():
    before = time.monotonic()
    succeeded, output = finder.run(["/bin/sh", "-c", "echo begun; sleep 60 & sleep 60"], seconds=1)
    assert not succeeded
    assert output.startswith("begun\n")
    assert "stopped after 1 s" in output
    assert time.monotonic() - before < 10
