"""Type stubs of the Rust core; stubtest checks them against the module."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from os import PathLike
from pathlib import Path
from typing import Any, Literal, Self, TypedDict, final

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

class _TrainOptions(TypedDict):
    vocab_size: int
    pattern: str | None
    special_tokens: Sequence[str]
    ties: str | None
    feed: str
    text_field: str
    separator: str | None
    min_frequency: int
    max_token_bytes: int | None
    utf8_safe: bool
    max_memory: int | None

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
        """Return the ids of `text`, with tiktoken's rules for special tokens.

        Args:
            text: Text to encode; lone surrogates become U+FFFD.
            max_tokens: Maximum number of ids; the rest is cut off. The patterns gpt2, cl100k, o200k and their variants
                stop encoding there; others encode the whole text first. Disallowed text is searched for in the whole
                text.
            allowed_special: Special tokens that become their ids: "all" or a collection of texts; None allows none.
            disallowed_special: Texts that are an error; "all" (also if None) means every special token that is
                not allowed. `()` encodes special tokens that are not allowed as ordinary text.

        Raises:
            DataError: `text` contains a disallowed special token; the message names it.
            ArgumentError: `max_tokens` is negative.
        """

    def encode_ordinary(self, text: str, *, max_tokens: int | None = None) -> list[int]:
        """Return the ids of `text`, with special tokens as ordinary text; `max_tokens` as in `encode`."""

    def encode_bytes(self, data: bytes) -> list[int]:
        """Return the ids of any bytes; invalid UTF-8 is never merged with the text around it."""

    def encode_single_token(self, text_or_bytes: str | bytes) -> int:
        """Return the id of the single token, ordinary or special, with this text.

        Raises:
            KeyError: The text is not a single token.
        """

    def encode_with_offsets(
        self,
        text: str,
        *,
        allowed_special: _Specials | None = None,
        disallowed_special: _Specials | None = None,
    ) -> tuple[list[int], list[int]]:
        """Return the ids as in `encode`, and for each id the index of the character where it begins.

        Indices count the characters of the original `text`, even if the tokenizer normalizes it. Inside a base
        character with combining marks that NFC changes, they may differ from Hugging Face's tokenizers.

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
        """Return the ids as in `encode`, as an array.

        Args:
            text: As in `encode`.
            max_tokens: As in `encode`.
            dtype: "uint32" (the default) or "uint16".
            out: A one-dimensional array to write to, from its start; its dtype is used.
            allowed_special: As in `encode`.
            disallowed_special: As in `encode`.

        Returns:
            A new array, or the filled part of `out`: `out[:n]`.

        Raises:
            DataError: An id does not fit into uint16; the message says which and where.
            ArgumentError: `out` is too small, read-only, not contiguous, or of another type; nothing is written.
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
        """Return the ids of each text in order, as in `encode`.

        Args:
            texts: As in `encode`.
            threads: Maximum number of threads; all cores if None.
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
        """Return the ids of each text as in `encode_ordinary`; options as in `encode_batch`.

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
        """Return all ids in one array, and (len(texts) + 1,) offsets: text i is `ids[offsets[i]:offsets[i + 1]]`.

        `max_tokens` applies to each text; `dtype` and `out` are as in `encode_to_numpy`.
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
        """Return the ids of a UTF-8 text file as in `encode`; `dtype` and `out` as in `encode_to_numpy`.

        Raises:
            OSError: The file cannot be read.
            FormatError: The file is not UTF-8; the message says where.
        """

    def count(self, text: str) -> int:
        """Return the number of ids of `encode_ordinary`."""

    def count_until(self, text: str, limit: int) -> int | None:
        """Return the number of ids of `encode_ordinary` if it is at most `limit`, else None.

        The patterns gpt2, cl100k, o200k and their variants stop soon after the limit; others encode the whole text.

        Raises:
            ArgumentError: `limit` is negative.

        >>> from bytemill import Tokenizer
        >>> tokenizer = Tokenizer.train(texts=["low low"], vocab_size=259)
        >>> tokenizer.count_until("lower", 3), tokenizer.count_until("lower", 2)
        (3, None)
        """

    def decode(self, ids: _Ids, errors: str = "replace", skip_special_tokens: bool = False) -> str:
        """Return the text of `ids`.

        Args:
            ids: A sequence of int, or a one-dimensional numpy array or torch tensor.
            errors: How to handle bytes that are not UTF-8, as in `bytes.decode`.
            skip_special_tokens: Omit special tokens, as in tokenizers and transformers.

        Raises:
            DataError: An id is not in the vocabulary; the message says which and where.
            UnicodeDecodeError: The bytes are not UTF-8, with errors="strict".

        >>> from bytemill import Tokenizer
        >>> tokenizer = Tokenizer.train(texts=["low low"], vocab_size=259)
        >>> tokenizer.decode([257, 258]), tokenizer.decode([257, 258], skip_special_tokens=True)
        ('low<|endoftext|>', 'low')
        """

    def decode_bytes(self, ids: _Ids) -> bytes:
        """Return the bytes of `ids`."""

    def decode_tokens_bytes(self, ids: _Ids) -> list[bytes]:
        """Return the bytes of each id.

        Raises:
            KeyError: An id is not in the vocabulary.

        >>> from bytemill import Tokenizer
        >>> Tokenizer.train(texts=["low low"], vocab_size=259).decode_tokens_bytes([257, 101])
        [b'low', b'e']
        """

    def decode_batch(
        self, batch: Iterable[_Ids], errors: str = "replace", skip_special_tokens: bool = False
    ) -> list[str]:
        """Return the text of each sequence of ids, as in `decode`."""

    def decode_with_offsets(self, ids: _Ids) -> tuple[str, list[int]]:
        """Return the text of `ids`, and for each id the index of the character where it begins."""

    def pretokens(self, text: str) -> list[bytes]:
        """Return the pretokens of `text` in order; merges never cross them, and joined they are its UTF-8.

        Text is normalized first, and added tokens are omitted.

        >>> from bytemill import Tokenizer
        >>> Tokenizer.train(texts=[""], vocab_size=257).pretokens("I'll pay 50")
        [b'I', b"'ll", b' pay', b' 50']
        """

    def normalized(self, text: str) -> str:
        """Return the text after normalization; see `normalizer`."""

    def decode_stream(self) -> DecodeStream:
        """Return a decoder for ids that come one by one; it never returns part of a character.

        >>> from bytemill import Tokenizer
        >>> stream = Tokenizer.train(texts=[""], vocab_size=257).decode_stream()
        >>> [stream.push(byte) for byte in "aé".encode()] + [stream.finish()]
        ['a', '', 'é', '']
        """

    def decode_single_token_bytes(self, token: int) -> bytes:
        """Return the bytes of one id.

        Raises:
            KeyError: The id is not in the vocabulary.
        """

    def token_to_id(self, token: str) -> int | None:
        """Return the id of a token in Hugging Face's spelling (`Ġthe`) or of an added token; None if unknown.

        `encode_single_token` takes plain text and bytes.

        >>> from bytemill import Tokenizer
        >>> tokenizer = Tokenizer.train(texts=["a low low"], vocab_size=260)
        >>> tokenizer.token_to_id("Ġlow"), tokenizer.token_to_id(" low"), tokenizer.token_to_id("<|endoftext|>")
        (258, None, 259)
        """

    def id_to_token(self, token: int) -> str | None:
        """Return the token of an id in Hugging Face's spelling, or an added token's text; None if unknown.

        >>> from bytemill import Tokenizer
        >>> tokenizer = Tokenizer.train(texts=["a low low"], vocab_size=260)
        >>> tokenizer.id_to_token(258), tokenizer.id_to_token(259), tokenizer.id_to_token(260)
        ('Ġlow', '<|endoftext|>', None)
        """

    def get_vocab(self) -> dict[str, int]:
        """Return every token in Hugging Face's spelling with its id; added tokens with their text.

        >>> from bytemill import Tokenizer
        >>> Tokenizer.train(texts=["a low low"], vocab_size=260).get_vocab()["Ġlow"]
        258
        """

    def token_ids(self) -> list[int]:
        """Return the ids that have a token, ascending; some vocabularies skip ids."""

    @property
    def n_vocab(self) -> int:
        """The largest id plus 1."""

    @property
    def pattern(self) -> str | None:
        """The regular expression that splits text, or None."""

    @property
    def merges(self) -> list[tuple[bytes, bytes]]:
        """The two parts of each merge, in order."""

    @property
    def special_tokens(self) -> dict[str, int]:
        """The special tokens' texts and ids."""

    @property
    def added_tokens(self) -> dict[str, int]:
        """Texts and ids of the added tokens that are not special; they are recognized in any text."""

    @property
    def normalizer(self) -> str | None:
        """The normalization before splitting: "NFC", or None."""

    @property
    def fingerprint(self) -> str:
        """SHA-256, in hexadecimal, of everything that determines the ids of a text."""

    def __len__(self) -> int: ...
    def ranks(self) -> list[tuple[bytes, int]]:
        """Return every ordinary token with its id, if ids are ranks in tiktoken's sense.

        Raises:
            ArgumentError: tiktoken would encode differently; the message says why.
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
    """The decoder of `Tokenizer.decode_stream`; all returned texts joined equal `decode` of all ids."""

    def push(self, token: int) -> str:
        """Return the text that this id completes: often one token's text, sometimes nothing.

        Raises:
            DataError: The id is not in the vocabulary; the message says which and where.
        """

    def finish(self) -> str:
        """Return the rest after the last id: nothing, or U+FFFD for an incomplete character; then reset."""

@final
class Loader:
    """The core of `bytemill.data.TokenLoader`, which documents the arguments."""

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
    """The tokens of a split by position; each block is checked when first read."""

    def __new__(cls, folder: str, split: str) -> Self: ...
    def __len__(self) -> int: ...
    def read(self, first: int, n: int) -> NDArray[np.uint32]: ...
    def document_starts(self) -> NDArray[np.uint64]: ...

def train_tokenizer(
    source: tuple[str, object],
    options: _TrainOptions,
    *,
    base: Tokenizer | None,
    threads: int | None,
    save_counts: str | None,
    progress: _Progress | None,
) -> Tokenizer: ...
def read_documents(
    files: Sequence[str], *, text_field: str = "text", separator: str | None = None, max_bytes: int = ...
) -> list[bytes]: ...
def load_tokenizer(
    path: str, pattern: str | None, special_tokens: Sequence[tuple[str, int | None]] | None
) -> Tokenizer: ...
def splitting_backend() -> Literal["avx512", "avx2", "neon", "scalar"]:
    """Return the backend that splits text in this process.

    Raises:
        ArgumentError: The environment variable `BYTEMILL_SIMD` names an unknown backend.
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
    def write(self, contents: bytes) -> None: ...
    def hand_over(self) -> Path | None: ...
    def reopen(self) -> None: ...
    def commit(self) -> None: ...
    def discard(self) -> None: ...
