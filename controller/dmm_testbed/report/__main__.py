"""`python -m dmm_testbed.report RESULTS_DIR`: writes index.html next to results.json."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from dmm_testbed.report.page import render
from dmm_testbed.report.scene import ContradictionError
from dmm_testbed.report.terminal import print_summary
from dmm_testbed.results import ResultsError, read

if TYPE_CHECKING:
    from dmm_testbed.results import Results


def write_page(results: Results, page: Path) -> bool:
    """Writes the page, so that nobody ever sees half of it.

    Returns:
        Whether it differs from what was there.

    Raises:
        ContradictionError: the results contradict themselves; says which field.
        OSError: the page cannot be written.
    """
    html = render(results).encode()
    if page.is_file() and page.read_bytes() == html:
        return False
    unfinished = page.with_name(page.name + ".part")
    unfinished.write_bytes(html)
    unfinished.replace(page)
    return True


def main(arguments: list[str] | None = None) -> int:
    """Runs the command and returns its exit status: 0, or 1 with a sentence on standard error."""
    parser = argparse.ArgumentParser(prog="python -m dmm_testbed.report", description=__doc__)
    parser.add_argument("directory", type=Path, help="where results.json is, e.g. build/report")
    parser.add_argument("--quiet", action="store_true", help="do not print the summary table")
    options = parser.parse_args(arguments)
    source, page = options.directory / "results.json", options.directory / "index.html"
    if not source.exists():
        print(f"report: {source}: no such file; a run of the scenario writes it", file=sys.stderr)
        return 1
    try:
        results = read(source)
        changed = write_page(results, page)
    except ContradictionError as error:
        print(f"report: {source}: {error}", file=sys.stderr)
        return 1
    except (ResultsError, OSError) as error:
        print(f"report: {error}", file=sys.stderr)
        return 1
    if not options.quiet:
        print_summary(results)
    print(f"Report: {page}" if changed else f"Report unchanged: {page}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
