"""One page from several results: folders of runs, folders of sweeps, and pages that other commands wrote."""

from collections.abc import Mapping
from dataclasses import replace
from itertools import groupby
from pathlib import Path

from bytemill.errors import DataError
from bytemill.experiment.sweep.plan import is_sweep, read_plan
from bytemill.experiment.sweep.results import sweep_results
from bytemill.report.page import Page, joined
from bytemill.report.read_page import read_page
from bytemill.report.run import run_page
from bytemill.report.run_data import Folder, is_run
from bytemill.report.sweep import sweep_page

__all__ = ["document"]


def document(
    places: Mapping[str, Folder], *, title: str | None = None, is_private: bool = False, x: str = "steps"
) -> Page:
    """Return one page of all results, in their order; runs that follow each other are compared.

    Args:
        places: By displayed name: the folder of a run or of a sweep, or a page.
        title: Title of the page. Default: that of the only result, else "Report of N results".
        is_private: Whether to leave out machine, software and command lines.
        x: Horizontal axis of the curves of runs: steps, tokens or epochs.

    Raises:
        DataError: A place is none of these, or is damaged.
    """
    pages: list[Page] = []
    for kind, group in groupby(places.items(), key=lambda item: _kind(Path(item[1]))):
        named = dict(group)
        if kind == "run":
            pages.append(run_page(named, is_private=is_private, x=x))
        else:
            pages += [_one(kind, Path(place), is_private=is_private) for place in named.values()]
    if len(pages) == 1:
        return pages[0] if title is None else replace(pages[0], title=title)
    whole = [chapter for page in pages for chapter in (page.chapters or [page])]
    return joined(title or f"Report of {len(whole)} results", tuple(whole))


def _kind(place: Path) -> str:
    if is_run(place):
        return "run"
    if is_sweep(place):
        return "sweep"
    if place.is_file():
        return "page"
    if not place.exists():
        raise DataError(f"{place}: does not exist; expected a page, the folder of a run, or the folder of a sweep")
    raise DataError(
        f"{place}: contains neither metrics.jsonl nor plan.json; expected the folder of a run or of a sweep, or a page"
    )


def _one(kind: str, place: Path, *, is_private: bool) -> Page:
    if kind == "sweep":
        return sweep_page(sweep_results(read_plan(place), place))
    page = read_page(place)
    return _without_machine(page) if is_private else page


def _without_machine(page: Page) -> Page:
    """Return the page without its line of provenance, and without sections on machine and software."""
    return replace(
        page,
        provenance="",
        sections=tuple(section for section in page.sections if not section.is_about_machine),
        chapters=tuple(map(_without_machine, page.chapters)),
    )
