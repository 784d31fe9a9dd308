"""The `Tokenizer` class: byte-level BPE, trained here or loaded from any common format.

Rust does the work without holding the interpreter's lock. This class adds names, defaults and conversions to other
libraries. Names are those of tiktoken or Hugging Face if they have one.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Self, TypeVar

from bytemill import _core
from bytemill.errors import ArgumentError, FormatError
from bytemill.files import refuse_input_as_output
from bytemill.progress import PhaseProgress
from bytemill.tokenizer import arguments

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Mapping, Sequence

    import tiktoken
    from numpy.typing import DTypeLike
    from transformers import PreTrainedTokenizerFast

    from bytemill.tokenizer.shown import ShownTokens

__all__ = ["Tokenizer"]

END_OF_TEXT = "<|endoftext|>"
_PACKED = (".gz", ".zst", ".parquet", ".arrow", ".arrows", ".feather")
"""Endings of files whose size says little about their text."""
_Checked = TypeVar("_Checked")
_OTHER_ENDS_OF_TEXT = ("<|end_of_text|>", "</s>", "<eos>", "[EOS]", "<|eos|>")


class Tokenizer(_core.Tokenizer):
    """Convert text to ids and back, with the same result in every thread, process and run.

    Ids 0-255 are the byte values, followed by the merges in order and the special tokens; a loaded vocabulary
    keeps its own ids. A tokenizer is safe in threads and after a fork, and can be pickled and copied.

    Example:
        >>> tokenizer = Tokenizer.train(texts=["low lower lowest"], vocab_size=262)
        >>> tokenizer.merges
        [(b'l', b'o'), (b'lo', b'w'), (b' ', b'low'), (b' low', b'e'), (b's', b't')]
        >>> tokenizer.encode("lower"), tokenizer.decode([257, 101, 114])
        ([257, 101, 114], 'lower')
    """

    _name: str | None = None
    _eos_name: str | None = None

    @classmethod
    def train(
        cls,
        files: Iterable[str | Path] | str | Path | None = None,
        texts: Iterable[str | bytes] | None = None,
        *,
        vocab_size: int,
        word_counts: Mapping[str, int] | Mapping[bytes, int] | None = None,
        pattern: str | None = "gpt2",
        special_tokens: Sequence[str] = (END_OF_TEXT,),
        ties: Literal["huggingface", "lowest_id", "first_seen", "largest_bytes"] | None = None,
        feed: Literal["documents", "lines"] = "documents",
        text_field: str = "text",
        separator: str | None = None,
        min_frequency: int = 0,
        max_token_bytes: int | None = None,
        utf8_safe: bool = False,
        max_memory: int | None = None,
        threads: int | None = None,
        progress: bool = False,
        base: Tokenizer | None = None,
        counts: str | Path | None = None,
        save_counts: str | Path | None = None,
    ) -> Self:
        """Train a vocabulary: repeatedly merge the most frequent adjacent pair into a new token.

        The merges are exact, and the same for any number of threads and any memory limit.

        Args:
            files: Text files (one document each), .jsonl files (one document per line), both also as .gz or .zst,
                .parquet or .arrow files (one document per row), or folders of them; or
            texts: str or bytes, one document each; or
            word_counts: Pretokens with their counts; they are not split again; or
            counts: A file that an earlier run wrote with `save_counts`. Give exactly one of the four.
            vocab_size: Total number of ids: 256 bytes, merges and special tokens; fewer if the text has no more
                pairs.
            pattern: "gpt2", "cl100k", "o200k", tiktoken's names for these ("cl100k_base" and so on), any regex, steps
                as JSON like the `pre_tokenizer` of a tokenizer.json, or None for no splitting. A plain word that is not
                a known name is refused.
            special_tokens: They get the last ids, in this order; their text is not searched for in the documents.
            ties: Which pair is merged first among pairs with the same count. "huggingface": the smallest ids, bytes
                in the order of GPT-2's printable characters, as in Hugging Face's BpeTrainer. "lowest_id": the
                smallest ids, bytes by value, as in rustbpe. "first_seen": the first in the text, as in the plain
                definition and minbpe. "largest_bytes": the lexicographically greatest pair of byte strings, as
                in Stanford's CS336. None: "first_seen" without a pattern, else "huggingface".
            feed: "documents" takes each document as it is; "lines" takes each line with its newline as a document,
                as Hugging Face does for files.
            text_field: The field of a .jsonl line, or the column of a table, that holds the text.
            separator: Text between the documents of a text file, such as "<|endoftext|>"; it is not part of any
                document.
            min_frequency: Minimum count of a pair to be merged.
            max_token_bytes: Maximum length of a token in bytes; None for no limit.
            utf8_safe: Whether each token must consist of whole UTF-8 characters, or be part of a single one.
            max_memory: Maximum bytes of resident memory above the start. Counts that do not fit go to an unnamed
                file in the temporary folder (TMPDIR), and fewer pairs are tracked at the same time; this is slower
                and changes no merge. Distinct pretokens must fit, 4 bytes for each of their bytes.
                Without a pattern, each document is one pretoken and must fit too.
            threads: Threads for counting; all cores if None.
            progress: Show progress on stderr.
            base: A tokenizer to extend. Its pattern is used (another `pattern` is refused), its merges are applied
                first, and all its ids stay, also of special tokens. New tokens get the next ids, followed by new
                special tokens. On the same text, the result has the same merges as one training to `vocab_size`.
            save_counts: File to write the counted pretokens to, as `counts` of a later run.

        Raises:
            ArgumentError: An argument is invalid: the vocabulary is too small for bytes and special tokens, the
                pattern does not compile, or the distinct pretokens need more memory (the message says how much).
            FormatError: A row is not JSON or lacks the field; the message names file and line. A compressed file is
                damaged, truncated, or expands more than a thousandfold. Counts are damaged, or were made with
                another pattern or feed.
            OSError: A file cannot be read.
        """
        if base is not None and not isinstance(base, _core.Tokenizer):
            raise ArgumentError(f"base is a {type(base).__name__}, expected a Tokenizer")
        pattern = _unless_none(arguments.a_pattern, "pattern", pattern)
        if base is not None and pattern != "gpt2" and not is_same_pattern(pattern, base.pattern):
            raise ArgumentError("pattern is not that of base, which is used; leave pattern out")
        files = _unless_none(arguments.paths, "files", files)
        counts = _unless_none(arguments.a_path, "counts", counts)
        save_counts = _unless_none(arguments.a_path, "save_counts", save_counts)
        refuse_input_as_output(save_counts, [*(files or ()), counts], walk=True)
        possible_sources = {
            "files": files,
            "texts": _unless_none(arguments.texts, "texts", texts),
            "word_counts": _unless_none(arguments.words, "word_counts", word_counts),
            "counts": counts,
        }
        sources = [(kind, source) for kind, source in possible_sources.items() if source is not None]
        if len(sources) != 1:
            raise TypeError("give one of files, texts, word_counts and counts, not several or none")
        options: _core._TrainOptions = {
            "vocab_size": arguments.a_count("vocab_size", vocab_size),
            "pattern": pattern,
            "special_tokens": arguments.special_tokens("special_tokens", special_tokens),
            "ties": _unless_none(arguments.a_text, "ties", ties),
            "feed": arguments.a_text("feed", feed),
            "text_field": arguments.a_text("text_field", text_field),
            "separator": _unless_none(arguments.a_text, "separator", separator),
            "min_frequency": arguments.a_count("min_frequency", min_frequency),
            "max_token_bytes": _unless_none(arguments.a_count, "max_token_bytes", max_token_bytes),
            "utf8_safe": arguments.a_flag("utf8_safe", utf8_safe),
            "max_memory": _unless_none(arguments.a_count, "max_memory", max_memory),
        }
        totals = {"counting": _known_bytes(files or ())} if progress else {}
        with PhaseProgress({"counting": "bytes", "merging": "merges"}, shown=progress, totals=totals) as shown:
            trained = _core.train_tokenizer(
                sources[0],
                options,
                base=base,
                threads=_unless_none(arguments.a_count, "threads", threads),
                save_counts=save_counts,
                progress=shown.update if progress else None,
            )
        return cls(trained)

    @classmethod
    def load(
        cls,
        path: str | Path,
        *,
        pattern: str | None = "auto",
        special_tokens: Mapping[str, int] | Sequence[str] | None = None,
    ) -> Self:
        """Read a vocabulary; its format is recognized by the content.

        Args:
            path: A tokenizer.json, our readable JSON, a .tiktoken file, minbpe's .model, or a folder with
                tokenizer.json, vocab.json + merges.txt or encoder.json + vocab.bpe.
            pattern: "auto" uses the file's own. A .tiktoken file has none: the files of GPT-2, cl100k_base and
                o200k_base are recognized by their hash; for others the pattern must be given.
            special_tokens: For formats that do not store them: texts with ids, or texts that get the next ids.

        Raises:
            FormatError: The file is damaged, cannot be reproduced exactly (only byte-level BPE can), or has no
                pattern and none is given; the message says where and why.
            ArgumentError: The pattern does not compile, or is a plain word that is not a known name.
            OSError: The file cannot be read.
        """
        given = arguments.special_tokens_by_id("special_tokens", special_tokens)
        pattern = _unless_none(arguments.a_pattern, "pattern", pattern)
        path = Path(arguments.a_path("path", path))
        inside = path / "tokenizer.json"
        file = inside if inside.is_file() else path
        try:
            loaded = cls(_core.load_tokenizer(str(file), pattern, given))
        except FormatError:
            from bytemill.tokenizer.convert import refuse_other_kinds

            refuse_other_kinds(file)
            raise
        if path.is_dir() or file.name == inside.name:
            from bytemill.tokenizer.companions import read_companions

            folder = path if path.is_dir() else file.parent
            loaded._eos_name = read_companions(folder).special_names.get("eos_token")
        return loaded

    @classmethod
    def from_tiktoken(cls, encoding: tiktoken.Encoding | str) -> Self:
        """Return a tokenizer with the vocabulary of a tiktoken Encoding, given as an object or a name."""
        from bytemill.tokenizer.convert import from_tiktoken

        made = cls(from_tiktoken(encoding))
        made._name = encoding if isinstance(encoding, str) else encoding.name
        return made

    @classmethod
    def from_huggingface(cls, path_or_repo_or_tokenizer: str | Path | Any) -> Self:
        """Return the tokenizer of a folder, a hub repository, or an object of transformers or tokenizers."""
        from bytemill.tokenizer.convert import from_huggingface

        return cls(from_huggingface(path_or_repo_or_tokenizer))

    def to_tiktoken(self) -> tiktoken.Encoding:
        """Return this vocabulary as a `tiktoken.Encoding`."""
        from bytemill.tokenizer.convert import to_tiktoken

        return to_tiktoken(self)

    def to_huggingface(self) -> PreTrainedTokenizerFast:
        """Return this vocabulary as a `transformers.PreTrainedTokenizerFast`."""
        from bytemill.tokenizer.convert import to_huggingface

        return to_huggingface(self)

    def encode_to_file(
        self,
        inputs: Iterable[str | Path] | str | Path,
        output: str | Path,
        *,
        dtype: DTypeLike | None = None,
        end_token: str | None = None,
        text_field: str = "text",
        separator: str | None = None,
        threads: int | None = None,
        progress: bool = False,
        allowed_special: Literal["all"] | Collection[str] = frozenset(),
        disallowed_special: Literal["all"] | Collection[str] = "all",
    ) -> int:
        """Write the ids of whole files to one file, in order; memory use does not grow with the files.

        The file gets its name only when it is complete. It holds raw little-endian ids, like nanoGPT's `train.bin`, to
        be read with `numpy.memmap`; or NumPy's own format if the name ends in .npy.

        Args:
            inputs: Text files (one document each), .jsonl files (one document per line), both also as .gz or .zst, or
                folders of them.
            output: The file to write.
            dtype: "uint16" or "uint32"; None means uint16 if the whole vocabulary fits.
            end_token: A special token to write after each document.
            text_field: The field of a .jsonl row that holds the text.
            separator: Text between the documents of a text file; it is not part of any document.
            threads: Number of threads; all cores if None. The file is the same for any number.
            progress: Show progress on stderr.
            allowed_special: As in `encode`.
            disallowed_special: As in `encode`.

        Returns:
            The number of ids written.

        Raises:
            DataError: A text holds a disallowed special token, or an id does not fit into uint16.
            FormatError: A file is not UTF-8, or a row is not JSON or lacks the field; the message names the place.
            ArgumentError: `end_token` is not a special token of this vocabulary, `dtype` is not one of the two types,
                or the output is one of the inputs.
            OSError: A file cannot be read or written.

        Example:
            >>> import tempfile
            >>> import numpy as np
            >>> folder = Path(tempfile.mkdtemp())
            >>> _ = (folder / "text.txt").write_text("low lower")
            >>> tokenizer = Tokenizer.train(texts=["low lower lowest"], vocab_size=262)
            >>> tokenizer.encode_to_file(folder / "text.txt", folder / "ids.npy", end_token="<|endoftext|>")
            4
            >>> np.load(folder / "ids.npy").tolist() == tokenizer.encode("low lower") + [tokenizer.eot_token]
            True
        """
        sources = arguments.paths("inputs", inputs)
        target = arguments.a_path("output", output)
        refuse_input_as_output(target, sources, walk=True)
        with PhaseProgress({"encoding": "bytes"}, shown=progress) as shown:
            return self.encode_files_to(
                sources,
                target,
                dtype=dtype,
                end_token=_unless_none(arguments.a_text, "end_token", end_token),
                text_field=arguments.a_text("text_field", text_field),
                separator=_unless_none(arguments.a_text, "separator", separator),
                threads=threads,
                progress=shown.update if progress else None,
                allowed_special=allowed_special,
                disallowed_special=disallowed_special,
            )

    def save(
        self,
        path: str | Path,
        *,
        format: Literal["huggingface", "tiktoken", "readable", "gpt2"] | None = None,  # noqa: A002 - the promised name
    ) -> None:
        """Write the vocabulary atomically.

        For "gpt2", a crash between the renames of its two files leaves a new merges.txt next to an old vocab.json;
        `load` refuses this pair unless the old vocab.json has every token of the new merges.

        Args:
            path: The file; for "gpt2" the folder.
            format: "huggingface" (tokenizer.json, also if None), "tiktoken" (only ranks), "readable" (JSON with
                bytes in hexadecimal), "gpt2" (vocab.json + merges.txt).

        Raises:
            ArgumentError: The format cannot hold this vocabulary without changes.
        """
        form = "huggingface" if format is None else arguments.a_text("format", format)
        self.save_as(arguments.a_path("path", path), form)

    def show(self, text: str, *, special: bool = False) -> ShownTokens:
        """Return the tokens of a text as an object that shows them: coloured with their ids in a notebook.

        Args:
            text: Lone surrogates become U+FFFD.
            special: Whether the texts of special tokens become their ids; otherwise they are ordinary text.

        >>> Tokenizer.train(texts=["low low"], vocab_size=259).show("lower")
        low|e|r
        3 tokens, 5 bytes: 1.67 bytes per token
        """
        from bytemill.tokenizer.pieces import pieces
        from bytemill.tokenizer.shown import ShownTokens

        return ShownTokens(pieces(self, arguments.a_text("text", text), special=special))

    def truncated(self, vocab_size: int) -> Self:
        """Return the tokenizer that the same training gives at a smaller `vocab_size`.

        >>> Tokenizer.train(texts=["low lower lowest"], vocab_size=262).truncated(259).merges
        [(b'l', b'o'), (b'lo', b'w')]
        """
        return type(self)(self.truncated_base(arguments.a_count("vocab_size", vocab_size)))

    @property
    def max_token_value(self) -> int:
        """The largest id, under tiktoken's name.

        >>> Tokenizer.train(texts=["low lower lowest"], vocab_size=262).max_token_value
        261
        """
        return self.n_vocab - 1

    @property
    def name(self) -> str:
        r"""The name of the tiktoken encoding that this came from; otherwise a name made from the fingerprint.

        Pickling keeps the name; files do not store it.

        >>> import tiktoken
        >>> byte_ranks = {bytes([byte]): byte for byte in range(256)}
        >>> plain = tiktoken.Encoding("plain", pat_str=r"\w+|\W+", mergeable_ranks=byte_ranks, special_tokens={})
        >>> Tokenizer.from_tiktoken(plain).name
        'plain'
        """
        return self._name or f"bytemill-{self.fingerprint[:12]}"

    @property
    def special_tokens_set(self) -> set[str]:
        """The texts of the special tokens."""
        return set(self.special_tokens)

    @property
    def eot_token(self) -> int:
        """The id of `<|endoftext|>`, or of the equivalent token (as in Llama 3, Bloom, Gemma and BERT).

        Raises:
            KeyError: The vocabulary has no such token.
        """
        return self.special_tokens[self._end_of_text or END_OF_TEXT]

    @property
    def end_of_text_id(self) -> int | None:
        """The same id as `eot_token`, or None if the vocabulary has no such token."""
        name = self._end_of_text
        return None if name is None else self.special_tokens[name]

    @property
    def _end_of_text(self) -> str | None:
        """The known name, or else the end-of-sequence token in the tokenizer_config.json next to the file."""
        special = self.special_tokens
        known = (END_OF_TEXT, *_OTHER_ENDS_OF_TEXT, *([self._eos_name] if self._eos_name else []))
        return next((name for name in known if name in special), None)

    def __reduce__(self) -> tuple[Any, ...]:
        return _restore, (type(self), self.to_readable(), self._name, self._eos_name)

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        return self  # a tokenizer is immutable

    def _repr_html_(self) -> str:
        from bytemill.tokenizer.summary import summary

        return summary(self)

    def __repr__(self) -> str:
        specials = ", ".join(map(repr, self.special_tokens)) or "no special tokens"
        return f"<bytemill.Tokenizer of {self.n_vocab:,} ids, {specials}>"


def is_same_pattern(pattern: str | None, other: str | None) -> bool:
    r"""Return whether two patterns are the same, by name or in any known spelling.

    >>> is_same_pattern("gpt2", r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+")
    True
    """
    byte_ranks = [(bytes([byte]), byte) for byte in range(256)]
    one, another = (_core.tokenizer_from_ranks(byte_ranks, given, []).fingerprint for given in (pattern, other))
    return one == another


def _unless_none(check: Callable[[str, object], _Checked], name: str, given: object) -> _Checked | None:
    return None if given is None else check(name, given)


def _restore(cls: type[Tokenizer], readable: str, name: str | None = None, eos_name: str | None = None) -> Tokenizer:
    made = cls(_core.tokenizer_from_readable(readable))
    made._name, made._eos_name = name, eos_name
    return made


def _known_bytes(files: Iterable[str]) -> int:
    """Return the bytes of text files, for the end of a progress bar; 0 if a folder or a packed file is among them."""
    paths = [Path(file) for file in files]
    if any(path.suffix.lower() in _PACKED or not path.is_file() for path in paths):
        return 0
    return sum(path.stat().st_size for path in paths)
