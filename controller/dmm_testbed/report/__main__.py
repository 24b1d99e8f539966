"""`python -m dmm_testbed.report RESULTS_DIR`: writes index.html next to results.json."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from dmm_testbed.report.page import render
from dmm_testbed.report.terminal import print_summary
from dmm_testbed.results import ResultsError, read


def write_report(directory: Path) -> Path:
    """Reads `results.json` in a directory and writes `index.html` beside it.

    Returns:
        Where the page is.

    Raises:
        ResultsError: the file is missing, is no results file or contradicts itself.
        OSError: the page cannot be written.
    """
    results = read(directory / "results.json")
    page = directory / "index.html"
    unfinished = page.with_name("index.html.part")
    unfinished.write_text(render(results), encoding="utf-8")
    unfinished.replace(page)
    return page


def main(arguments: list[str] | None = None) -> int:
    """Runs the command and returns its exit status: 0, or 1 with a sentence on standard error."""
    parser = argparse.ArgumentParser(prog="python -m dmm_testbed.report", description=__doc__)
    parser.add_argument("directory", type=Path, help="where results.json is, e.g. build/report")
    parser.add_argument("--quiet", action="store_true", help="do not print the summary table")
    options = parser.parse_args(arguments)
    try:
        page = write_report(options.directory)
        if not options.quiet:
            print_summary(read(options.directory / "results.json"))
    except (ResultsError, OSError) as error:
        print(f"report: {error}", file=sys.stderr)
        return 1
    print(f"Report: {page}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
