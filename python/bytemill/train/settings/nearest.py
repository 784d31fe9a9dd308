"""Suggests settings for a name that is not one: users often know the last part of a name, but not its section."""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["nearest_settings"]

_CUTOFF = 0.7
_MOST = 3
_SAME_SECTION = 0.05
_ALSO_CALLED = {
    "alpha": "lora.lora_alpha",
    "dropout": "model.resid_pdrop",
    "heads": "model.n_head",
    "layers": "model.n_layer",
    "lr": "train.learning_rate",
    "rank": "lora.r",
    "steps": "train.max_steps",
    "width": "model.n_embd",
}
"""Common names of settings that are spelled differently here."""


def nearest_settings(name: str, known: Iterable[str]) -> list[str]:
    """Return the known settings whose last part is most like that of `name`; at most three with the same likeness.

    A setting in the section that `name` has is preferred to an equally similar one in another section.

    >>> known = ["train.find_batch_size", "data.batch_size", "train.seed", "data.seed", "train.learning_rate"]
    >>> nearest_settings("train.batch_size", known), nearest_settings("sample.seed", known)
    (['data.batch_size'], ['train.seed', 'data.seed'])
    >>> nearest_settings("learning_rte", known), nearest_settings("train.colour", known)
    (['train.learning_rate'], [])
    """
    section, _, last = name.rpartition(".")
    if last in _ALSO_CALLED:
        return [_ALSO_CALLED[last]]
    likeness = {}
    for one in known:
        own_section, _, own_last = one.rpartition(".")
        ratio = difflib.SequenceMatcher(None, last, own_last).ratio()
        likeness[one] = ratio + (_SAME_SECTION if section and section == own_section and ratio < 1 else 0.0)
    best = max(likeness.values(), default=0.0)
    return [one for one, value in likeness.items() if value == best][:_MOST] if best >= _CUTOFF else []
