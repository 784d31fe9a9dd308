"""The Rust core; checked against the module by stubtest."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from os import PathLike
from pathlib import Path
from typing import Any, Literal, Self, final

import numpy as np
from numpy.typing import DTypeLike, NDArray
from typing_extensions import disjoint_base

__all__ = [
    "DecodeStream",
    "DurableFile",
    "Loader",
    "SplitReader",
    "Tokenizer",
    "__version__",
    "compare_shards",
    "load_tokenizer",
    "matches_whole",
    "merge_shards",
    "prepare_shards",
    "read_documents",
    "splitting_backend",
    "tokenizer_from_ranks",
    "tokenizer_from_readable",
    "train_tokenizer",
    "verify_shards",
    "write_whole",
]

__version__: str

_Ids = Sequence[int] | Any  # also numpy arrays and torch tensors of one dimension
_Specials = Literal["all"] | Collection[str]
_IdArray = NDArray[np.uint16] | NDArray[np.uint32]
_Progress = Callable[[str, int, int], None]

@disjoint_base
class Tokenizer:
    """The base of `bytemill.Tokenizer`, which adds names, defaults and other libraries' objects."""

    def __new__(cls, source: Tokenizer) -> Self: ...
    def encode(
        self,
        text: str,
        *,
        max_tokens: int | None = None,
        allowed_special: _Specials | None = None,
        disallowed_special: _Specials | None = None,
    ) -> list[int]:
        """The ids of `text`, with tiktoken's rules for special tokens.

        Args:
            text: Lone surrogates become U+FFFD.
            max_tokens: Only the first so many ids. The patterns gpt2, cl100k, o200k and their relations stop
                encoding there; others encode all and cut. Disallowed text is looked for in the whole.
            allowed_special: Special tokens that become their ids; "all" or texts. None: none of them.
            disallowed_special: Texts that are an error; "all" (also if None) means every special token that is
                not allowed. `()` takes what is not allowed for ordinary text.

        Raises:
            DataError: `text` holds a disallowed special token; names it.
            ArgumentError: `max_tokens` is negative.
        """

    def encode_ordinary(self, text: str, *, max_tokens: int | None = None) -> list[int]:
        """The ids of `text`, in which special tokens are text like any other; `max_tokens` as in `encode`."""

    def encode_bytes(self, data: bytes) -> list[int]:
        """The ids of any bytes; runs of bytes that are not UTF-8 are never merged with their neighbours."""

    def encode_single_token(self, text_or_bytes: str | bytes) -> int:
        """The id of the one token, ordinary or special, with this text.

        Raises:
            KeyError: It is not one token.
        """

    def encode_with_offsets(
        self,
        text: str,
        *,
        allowed_special: _Specials | None = None,
        disallowed_special: _Specials | None = None,
    ) -> tuple[list[int], list[int]]:
        """Return the ids as `encode` gives them, and for each the index of the character in which it begins.

        Indices count the characters of `text` as it was given, also where the tokenizer normalizes it. Inside a base
        character with its marks that NFC changes, they may differ from those of Hugging Face's tokenizers.

        >>> from bytemill import Tokenizer
        >>> tokenizer = Tokenizer.train(texts=["a low low"], vocab_size=260)
        >>> tokenizer.encode_with_offsets("a low")
        ([97, 258], [0, 1])
        """

    def encode_to_numpy(
        self,
        text: str,
        *,
        max_tokens: int | None = None,
        dtype: DTypeLike | None = None,
        out: _IdArray | None = None,
        allowed_special: _Specials | None = None,
        disallowed_special: _Specials | None = None,
    ) -> _IdArray:
        """As `encode`, into an array.

        Args:
            text: As in `encode`.
            max_tokens: As in `encode`.
            dtype: "uint32" (also if None) or "uint16".
            out: An array of one dimension to write to, whose type then counts; the ids go to its start.
            allowed_special: As in `encode`.
            disallowed_special: As in `encode`.

        Returns:
            A new array, or the part of `out` that was filled: `out[:n]`.

        Raises:
            DataError: An id does not fit into uint16; says which and where.
            ArgumentError: `out` is too small, read-only, not contiguous, or of another type; nothing was written.
        """

    def encode_batch(
        self,
        texts: Sequence[str],
        *,
        threads: int | None = None,
        num_threads: int | None = None,
        max_tokens: int | None = None,
        allowed_special: _Specials | None = None,
        disallowed_special: _Specials | None = None,
    ) -> list[list[int]]:
        """As `encode` for each of many texts, in order.

        Args:
            texts: As in `encode`.
            threads: At most so many; every core if None.
            num_threads: tiktoken's name for `threads`; give one of the two.
            max_tokens: As in `encode`, for each text.
            allowed_special: As in `encode`.
            disallowed_special: As in `encode`.
        """

    def encode_ordinary_batch(
        self,
        texts: Sequence[str],
        *,
        threads: int | None = None,
        num_threads: int | None = None,
        max_tokens: int | None = None,
    ) -> list[list[int]]:
        """As `encode_ordinary` for each of many texts, in order; the options are those of `encode_batch`.

        >>> from bytemill import Tokenizer
        >>> Tokenizer.train(texts=["low low"], vocab_size=259).encode_ordinary_batch(["low", "lo"], num_threads=2)
        [[257], [256]]
        """

    def encode_batch_to_numpy(
        self,
        texts: Sequence[str],
        *,
        threads: int | None = None,
        max_tokens: int | None = None,
        dtype: DTypeLike | None = None,
        out: _IdArray | None = None,
        allowed_special: _Specials | None = None,
        disallowed_special: _Specials | None = None,
    ) -> tuple[_IdArray, NDArray[np.int64]]:
        """All texts' ids in one row, and (len(texts) + 1,) offsets: text i is `ids[offsets[i]:offsets[i + 1]]`.

        `max_tokens` counts for each text, `dtype` and `out` as in `encode_to_numpy` for all of them.
        """

    def encode_file(
        self,
        path: str | PathLike[str],
        *,
        threads: int | None = None,
        dtype: DTypeLike | None = None,
        out: _IdArray | None = None,
        allowed_special: _Specials | None = None,
        disallowed_special: _Specials | None = None,
    ) -> _IdArray:
        """The ids of a file of UTF-8 text, as `encode` gives them; `dtype` and `out` as in `encode_to_numpy`.

        Raises:
            OSError: It cannot be read.
            FormatError: It is not UTF-8; says where.
        """

    def count(self, text: str) -> int:
        """How many ids `encode_ordinary` gives."""

    def count_until(self, text: str, limit: int) -> int | None:
        """How many ids `encode_ordinary` gives if these are at most `limit`, else None.

        Stops soon after the limit under the patterns gpt2, cl100k, o200k and their relations; others encode all.

        Raises:
            ArgumentError: `limit` is negative.

        >>> from bytemill import Tokenizer
        >>> tokenizer = Tokenizer.train(texts=["low low"], vocab_size=259)
        >>> tokenizer.count_until("lower", 3), tokenizer.count_until("lower", 2)
        (3, None)
        """

    def decode(self, ids: _Ids, errors: str = "replace", skip_special_tokens: bool = False) -> str:
        """The text of `ids`.

        Args:
            ids: A sequence of int, a numpy array or a torch tensor, of one dimension.
            errors: What to do where the bytes are not UTF-8, as in `bytes.decode`.
            skip_special_tokens: Leave special tokens out, as tokenizers and transformers do.

        Raises:
            DataError: An id is not in the vocabulary; says which and where.
            UnicodeDecodeError: With errors="strict".

        >>> from bytemill import Tokenizer
        >>> tokenizer = Tokenizer.train(texts=["low low"], vocab_size=259)
        >>> tokenizer.decode([257, 258]), tokenizer.decode([257, 258], skip_special_tokens=True)
        ('low<|endoftext|>', 'low')
        """

    def decode_bytes(self, ids: _Ids) -> bytes:
        """The bytes of `ids`."""

    def decode_tokens_bytes(self, ids: _Ids) -> list[bytes]:
        """The bytes of each id.

        Raises:
            KeyError: An id is not in the vocabulary.

        >>> from bytemill import Tokenizer
        >>> Tokenizer.train(texts=["low low"], vocab_size=259).decode_tokens_bytes([257, 101])
        [b'low', b'e']
        """

    def decode_batch(
        self, batch: Iterable[_Ids], errors: str = "replace", skip_special_tokens: bool = False
    ) -> list[str]:
        """As `decode` for each of many."""

    def decode_with_offsets(self, ids: _Ids) -> tuple[str, list[int]]:
        """The text of `ids`, and for each the index of the character in which it begins."""

    def pretokens(self, text: str) -> list[bytes]:
        """The stretches of `text` that merges never cross, in order; put together they are its UTF-8.

        Text is normalized first, and tokens that are found in any text are left out.

        >>> from bytemill import Tokenizer
        >>> Tokenizer.train(texts=[""], vocab_size=257).pretokens("I'll pay 50")
        [b'I', b"'ll", b' pay', b' 50']
        """

    def normalized(self, text: str) -> str:
        """The text as it is encoded; see `normalizer`."""

    def decode_stream(self) -> DecodeStream:
        """Text from ids that come one by one, as a model generates them; never a part of a character.

        >>> from bytemill import Tokenizer
        >>> stream = Tokenizer.train(texts=[""], vocab_size=257).decode_stream()
        >>> [stream.push(byte) for byte in "aé".encode()] + [stream.finish()]
        ['a', '', 'é', '']
        """

    def decode_single_token_bytes(self, token: int) -> bytes:
        """The bytes of one id.

        Raises:
            KeyError: It is not in the vocabulary.
        """

    def token_to_id(self, token: str) -> int | None:
        """The id of a token as Hugging Face spells it (`Ġthe`), or of an added token's text; None if there is none.

        `encode_single_token` takes plain text and bytes.

        >>> from bytemill import Tokenizer
        >>> tokenizer = Tokenizer.train(texts=["a low low"], vocab_size=260)
        >>> tokenizer.token_to_id("Ġlow"), tokenizer.token_to_id(" low"), tokenizer.token_to_id("<|endoftext|>")
        (258, None, 259)
        """

    def id_to_token(self, token: int) -> str | None:
        """The token of an id as Hugging Face spells it, or an added token's text; None for an id that is not there.

        >>> from bytemill import Tokenizer
        >>> tokenizer = Tokenizer.train(texts=["a low low"], vocab_size=260)
        >>> tokenizer.id_to_token(258), tokenizer.id_to_token(259), tokenizer.id_to_token(260)
        ('Ġlow', '<|endoftext|>', None)
        """

    def get_vocab(self) -> dict[str, int]:
        """Every token as Hugging Face spells it, with its id; added tokens with their text.

        >>> from bytemill import Tokenizer
        >>> Tokenizer.train(texts=["a low low"], vocab_size=260).get_vocab()["Ġlow"]
        258
        """

    def token_ids(self) -> list[int]:
        """The ids that have a token, ascending; some vocabularies leave ids out."""

    @property
    def n_vocab(self) -> int:
        """One more than the largest id."""

    @property
    def pattern(self) -> str | None:
        """The regular expression that text is split by, or None."""

    @property
    def merges(self) -> list[tuple[bytes, bytes]]:
        """The two parts of each merge, in order."""

    @property
    def special_tokens(self) -> dict[str, int]:
        """The special tokens' texts and ids."""

    @property
    def added_tokens(self) -> dict[str, int]:
        """Texts and ids of the added tokens that are not special: they are found in any text."""

    @property
    def normalizer(self) -> str | None:
        """What text goes through before it is split: "NFC", or None."""

    @property
    def fingerprint(self) -> str:
        """SHA-256, in hexadecimal, over everything that decides which ids a text becomes."""

    def __len__(self) -> int: ...
    def ranks(self) -> list[tuple[bytes, int]]:
        """Every token but the special ones with its id, if ids are ranks in tiktoken's sense.

        Raises:
            ArgumentError: tiktoken would encode differently with them; says why.
        """

    def encode_files_to(
        self,
        inputs: Sequence[str],
        output: str,
        *,
        dtype: DTypeLike | None,
        end_token: str | None,
        text_field: str,
        separator: str | None,
        threads: int | None,
        progress: _Progress | None,
        allowed_special: _Specials | None,
        disallowed_special: _Specials | None,
    ) -> int: ...
    def truncated_base(self, n_vocab: int) -> Tokenizer: ...
    def save_as(self, path: str, form: str) -> None: ...
    def to_readable(self) -> str: ...

@final
class DecodeStream:
    """What `Tokenizer.decode_stream` gives; all that it returns, put together, is `decode` of all ids."""

    def push(self, token: int) -> str:
        """The text that is complete with this id; often one token's, sometimes nothing.

        Raises:
            DataError: The id is not in the vocabulary; says which and where.
        """

    def finish(self) -> str:
        """What is left when no more ids come: nothing, or U+FFFD for a character cut short. Begins anew."""

@final
class Loader:
    """The loader behind `bytemill.data.TokenLoader`, which documents it."""

    def __new__(
        cls,
        folders: Sequence[str],
        *,
        batch_size: int,
        seq_len: int,
        seed: int,
        rank: int,
        world_size: int,
        split: str,
        weights: Sequence[float] | None,
        packing: str,
        shuffle: bool,
        verify: str,
        prefetch_batches: int,
        id_type: str,
        mmap: bool,
        stored_dtype: str | None,
        boundaries: str | None,
    ) -> Self: ...
    def next_batch(self) -> tuple[NDArray[np.int64] | NDArray[np.int32], ...]: ...
    def state(self) -> str: ...
    def load_state(self, state: str) -> None: ...
    def n_samples(self) -> list[int]: ...
    def epochs(self) -> list[float]: ...

@final
class SplitReader:
    """The tokens of a split by position, each block checked when it is first read."""

    def __new__(cls, folder: str, split: str) -> Self: ...
    def __len__(self) -> int: ...
    def read(self, first: int, n: int) -> NDArray[np.uint32]: ...
    def document_starts(self) -> NDArray[np.uint64]: ...

def train_tokenizer(
    *,
    files: Sequence[str] | None,
    texts: Iterable[str | bytes] | None,
    word_counts: Sequence[tuple[str | bytes, int]] | None,
    counts: str | None,
    vocab_size: int,
    pattern: str | None,
    special_tokens: Sequence[str],
    ties: str | None,
    feed: str,
    text_field: str,
    separator: str | None,
    min_frequency: int,
    max_token_bytes: int | None,
    utf8_safe: bool,
    max_memory: int | None,
    threads: int | None,
    progress: _Progress | None,
    base: Tokenizer | None,
    save_counts: str | None,
) -> Tokenizer: ...
def read_documents(
    files: Sequence[str], *, text_field: str = "text", separator: str | None = None, max_bytes: int = ...
) -> list[bytes]: ...
def load_tokenizer(
    path: str, pattern: str | None, special_tokens: Sequence[tuple[str, int | None]] | None
) -> Tokenizer: ...
def splitting_backend() -> Literal["avx512", "avx2", "neon", "scalar"]:
    """The backend that splits text in this process.

    Raises:
        ArgumentError: The environment's `BYTEMILL_SIMD` names none.
    """

def tokenizer_from_readable(text: str) -> Tokenizer: ...
def tokenizer_from_ranks(
    ranks: Sequence[tuple[bytes, int]], pattern: str | None, special_tokens: Sequence[tuple[str, int]]
) -> Tokenizer: ...
def prepare_shards(
    sources: Sequence[str],
    out_dir: str,
    *,
    tokenizer: Tokenizer,
    shard_tokens: int,
    val: float | None,
    seed: int,
    threads: int | None,
    text_field: str,
    max_memory: int | None,
    check: bool,
    progress: Callable[[str, int, int, int], None] | None,
) -> None: ...
def verify_shards(folder: str) -> None: ...
def compare_shards(
    folder: str,
    sources: Sequence[str],
    *,
    tokenizer: Tokenizer,
    progress: Callable[[str, int, int, int], None] | None,
) -> None: ...
def merge_shards(folders: Sequence[str], out_dir: str) -> None: ...
def matches_whole(pattern: str, names: Sequence[str]) -> list[bool]: ...
def write_whole(path: str, contents: bytes) -> None: ...

@final
class DurableFile:
    def __new__(cls, path: str) -> Self: ...
    @property
    def temporary(self) -> Path | None: ...
    def write(self, contents: bytes) -> None: ...
    def reopen(self) -> None: ...
    def commit(self) -> None: ...
    def discard(self) -> None: ...
