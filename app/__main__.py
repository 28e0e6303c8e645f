"""`python -m app export DIR`: the explainer as plain files."""

from __future__ import annotations

import argparse
import signal
import sys
from pathlib import Path

REFUSED, MISUSED, INTERRUPTED = 1, 2, 130

EXAMPLES = """examples:
  python -m app export public
      the whole explainer: open public/index.html, or put the folder on any web server
  python -m app export . --figure saturation --single-file
      saturation.html, one file to carry on a stick
"""


def arguments() -> argparse.ArgumentParser:
    """What the command line takes."""
    parser = argparse.ArgumentParser(prog="python -m app", description="The Batch Normalization explainer.")
    commands = parser.add_subparsers(dest="command", required=True)
    export = commands.add_parser(
        "export",
        help="write the explainer as plain files, which need no server and no network",
        description="Write the explainer as plain files, which need no server and no network.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    export.add_argument("place", metavar="DIR", type=Path, help="a new folder, or an earlier export to replace")
    export.add_argument("--figure", metavar="NAME", help="one figure only; with --single-file")
    export.add_argument(
        "--single-file", action="store_true", help="as one file, DIR/NAME.html, or DIR if that ends in .html"
    )
    export.add_argument("--quiet", action="store_true", help="do not tell of each file")
    return parser


def main(command_line: list[str] | None = None) -> int:
    """Do what the command line says; return the exit code."""
    parser = arguments()
    wish = parser.parse_args(command_line)
    if bool(wish.figure) != wish.single_file:
        parser.error("--figure and --single-file go together; a page of each figure is in every whole export")
    if not wish.quiet:
        print("Starting ...", file=sys.stderr)

    def say(line: str) -> None:
        if not wish.quiet:
            print(line, file=sys.stderr, flush=True)

    try:
        from . import export  # noqa: PLC0415  (it takes seconds to import, and a mistake is told at once)
    except KeyboardInterrupt:
        return INTERRUPTED
    try:
        if wish.single_file:
            path, asset = export.export_single(wish.figure, wish.place, say)
            print(f"{export.open_me(path)}: {len(asset.body) / 1e6:.2f} MB in one file; open it in a browser.")
        else:
            site = export.export(wish.place, say)
            index = export.open_me(wish.place.resolve() / "index.html")
            print(f"{len(site)} files, {export.megabytes(site)}; open {index} in a browser.")
    except export.RefusedError as error:
        print(error, file=sys.stderr)
        return REFUSED
    except OSError as error:
        print(f"The export could not be written, and nothing was replaced: {error}", file=sys.stderr)
        return REFUSED
    except KeyboardInterrupt:
        print("Interrupted; what was there before is as it was.", file=sys.stderr)
        return INTERRUPTED
    return 0


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # a polite end cleans up, too
    sys.exit(main())
