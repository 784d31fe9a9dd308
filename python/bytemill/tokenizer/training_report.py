"""Measure a trained vocabulary on held-out text.

The first merges of a run are also the merges of every smaller vocabulary. A report therefore costs one encoding of the
held-out text per size, and no further training.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Self

from bytemill.errors import ArgumentError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    import numpy as np
    from numpy.typing import NDArray

    from bytemill.tokenizer.tokenizer import Tokenizer

__all__ = ["TrainingReport"]

N_SIZES = 14
N_LONGEST = 20


@dataclass(frozen=True)
class TrainingReport:
    """Figures of a vocabulary at several sizes.

    Example:
        >>> from bytemill import Tokenizer
        >>> tokenizer = Tokenizer.train(texts=["low lower lowest"], vocab_size=262)
        >>> report = TrainingReport.measure(tokenizer, ["low low"], sizes=[257, 260])
        >>> report.growth
        ((257, 1.0), (260, 3.5), (262, 3.5))
        >>> report.longest_tokens[:2], report.n_unused
        ((b' lowe', b' low'), 3)
    """

    n_vocab: int
    """Total number of ids."""
    n_learnt: int
    """Number of tokens made by merges."""
    held_out_bytes: int
    """Bytes of the held-out text."""
    held_out_tokens: int
    """Tokens of the held-out text with the whole vocabulary."""
    growth: tuple[tuple[int, float], ...]
    """Total ids and bytes of held-out text per token, for smaller vocabularies and finally this one."""
    longest_tokens: tuple[bytes, ...]
    """The longest trained tokens, longest first."""
    n_unused: int
    """Number of trained tokens that the held-out text never uses."""

    @classmethod
    def measure(cls, tokenizer: Tokenizer, texts: Iterable[str | bytes], *, sizes: Sequence[int] | None = None) -> Self:
        """Encode held-out text with the vocabulary at several sizes.

        Args:
            tokenizer: The trained tokenizer.
            texts: Documents that it was not trained on. Bytes that are not UTF-8 count as U+FFFD; special tokens are
            ordinary text.
            sizes: Smaller vocabularies to measure too; None means several, evenly spaced in the logarithm. A vocabulary
                that
            extends another has none, because its special tokens are between the merges.

        Raises:
            ArgumentError: There is no text, or a size is not possible for this vocabulary.
        """
        held_out = [text.decode(errors="replace") if isinstance(text, bytes) else text for text in texts]
        n_bytes = sum(len(text.encode(errors="replace")) for text in held_out)
        if not n_bytes:
            raise ArgumentError("the held-out text is empty, expected text to measure on")
        if sizes is None:
            sizes = _sizes(tokenizer) if _is_plain(tokenizer) else []
        growth = [(size, n_bytes / len(_ids(tokenizer.truncated(size), held_out))) for size in sizes]
        ids = _ids(tokenizer, held_out)
        used = set(ids.tolist())
        merged = [left + right for left, right in tokenizer.merges]
        return cls(
            n_vocab=tokenizer.n_vocab,
            n_learnt=len(merged),
            held_out_bytes=n_bytes,
            held_out_tokens=len(ids),
            growth=(*growth, (tokenizer.n_vocab, n_bytes / len(ids))),
            longest_tokens=tuple(sorted(merged, key=len, reverse=True)[:N_LONGEST]),
            n_unused=sum(tokenizer.encode_single_token(token) not in used for token in merged),
        )

    @property
    def bytes_per_token(self) -> float:
        """Bytes of held-out text per token of the whole vocabulary."""
        return self.held_out_bytes / self.held_out_tokens

    @property
    def unused_share(self) -> float:
        """The fraction of trained tokens that the held-out text never uses."""
        return self.n_unused / self.n_learnt if self.n_learnt else 0.0

    def as_dict(self) -> dict[str, Any]:
        """Return all figures for JSON, with tokens' bytes in hexadecimal."""
        figures = asdict(self) | {"bytes_per_token": self.bytes_per_token, "unused_share": self.unused_share}
        return figures | {"longest_tokens": [token.hex() for token in self.longest_tokens]}


def _is_plain(tokenizer: Tokenizer) -> bool:
    """Return whether ids are bytes, merges and special tokens in this order, so that it can be truncated."""
    try:
        tokenizer.truncated(tokenizer.n_vocab)
    except ArgumentError:
        return False
    return True


def _sizes(tokenizer: Tokenizer) -> list[int]:
    smallest = 256 + len(tokenizer.special_tokens)
    growth = tokenizer.n_vocab / smallest
    sizes = {round(smallest * growth ** (step / N_SIZES)) for step in range(N_SIZES)}
    return sorted(sizes - {tokenizer.n_vocab})


def _ids(tokenizer: Tokenizer, texts: Sequence[str]) -> NDArray[np.uint16] | NDArray[np.uint32]:
    ids, _ = tokenizer.encode_batch_to_numpy(texts, disallowed_special=())
    return ids
