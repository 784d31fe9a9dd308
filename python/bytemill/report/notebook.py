"""Shows runs, sweeps and pages in a notebook; `bytemill report` writes the same page to a file."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    import os

    from bytemill.report.page import Page

__all__ = ["show"]


def show(
    *places: str | os.PathLike[str], title: str | None = None, x: Literal["steps", "tokens", "epochs"] = "steps"
) -> Page:
    r"""Return one page of all results; as the last line of a notebook's cell, it shows itself in a frame.

    Args:
        *places: Folders of runs, folders of sweeps, and pages that bytemill wrote. Runs that follow each other are
            compared.
        title: Title of the page. Default: that of the only result, else "Report of N results".
        x: Horizontal axis of the curves of runs.

    Returns:
        The page; `html()` returns it as text, and `bytemill.report.page.write_page` writes it to a file.

    Raises:
        ArgumentError: No place is given, or `x` is none of these.
        DataError: A place is none of these, or is damaged.

    Example:
        >>> folder = getfixture("tmp_path") / "first"
        >>> folder.mkdir()
        >>> _ = (folder / "metrics.jsonl").write_text('{"step": 1, "loss": 2.0}\n')
        >>> show(folder).title
        'Pretraining: first'
    """
    from bytemill.errors import ArgumentError
    from bytemill.report.document import document
    from bytemill.report.run_data import display_names

    if not places:
        raise ArgumentError("no place was given; give at least one folder of a run or of a sweep, or a page")
    return document(display_names(places), title=title, x=x)
