"""The tokenizer that callers hold: byte-level BPE, trained here or loaded from any of the usual forms.

The work is done in Rust without the interpreter's lock; this class adds names, defaults and the objects of
other libraries. Where tiktoken or Hugging Face has a name for a thing, ours is the same.
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

__all__ = ["Tokenizer"]

END_OF_TEXT = "<|endoftext|>"
_Checked = TypeVar("_Checked")
_OTHER_ENDS_OF_TEXT = ("<|end_of_text|>", "</s>", "<eos>", "[EOS]", "<|eos|>")


class Tokenizer(_core.Tokenizer):
    """Text to ids and back, the same for every thread, process and run.

    Ids 0-255 are the byte values, then come the merges in order, then the special tokens; a loaded vocabulary
    keeps its own ids. Safe in threads and after a fork; pickles and copies.

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
        """Learn a vocabulary: the pair of neighbours counted most becomes a token, again and again.

        The merges are exact, and the same for any number of threads and any limit of memory.

        Args:
            files: Text (one document each), .jsonl (one a line), either as .gz or .zst, .parquet or .arrow (one
                a row), or folders of them; or
            texts: str or bytes, one document each; or
            word_counts: Pretokens counted already, each with how often it occurs; they are not split again; or
            counts: A file that an earlier run wrote by `save_counts`. Exactly one of the four.
            vocab_size: Ids in all: 256 bytes, merges and special tokens; fewer when the text gives no more.
            pattern: "gpt2", "cl100k", "o200k", tiktoken's names of these ("cl100k_base" and so on), any regex, steps
                as JSON like the `pre_tokenizer` of a tokenizer.json, or None for no split at all. A word that is no
                known name is refused.
            special_tokens: Get the last ids, in this order; their text is not looked for in the documents.
            ties: Which of several pairs with the same count comes first. "huggingface": the smallest ids, bytes
                in the order of GPT-2's printable characters, as in Hugging Face's BpeTrainer. "lowest_id": the
                smallest ids, bytes by value, as in rustbpe. "first_seen": the first in the text, as in the plain
                definition and minbpe. "largest_bytes": the lexicographically greatest pair of byte strings, as
                in Stanford's CS336. None: "first_seen" without a pattern, else "huggingface".
            feed: What is one document: as the source gives it, or each line with its newline, as Hugging Face
                feeds files.
            text_field: The field of a .jsonl line, or the column of a table, that holds the text.
            separator: What stands between the documents of a text file, such as "<|endoftext|>"; it belongs to
                none of them.
            min_frequency: Pairs met less often are not merged.
            max_token_bytes: No token grows longer.
            utf8_safe: No token cuts a UTF-8 character: each is whole characters, or lies within one.
            max_memory: Bytes of resident memory above the start. Counts that do not fit go to an unnamed file
                in the folder for temporary files (TMPDIR), and fewer pairs are watched at once, which takes
                longer and changes no merge. Distinct pretokens must fit, 4 bytes for each of their bytes.
                Without a pattern a document is one pretoken, and must fit too.
            threads: That count; every core if None.
            progress: Show progress on stderr.
            base: A tokenizer to go on from. Its pattern is used (another `pattern` is refused), its merges are made
                first, and all its ids stay, special tokens' too: new tokens get the next ids, then the special tokens
                that it lacks. With the text that it was trained on the merges are those of training to `vocab_size`
                at once.
            save_counts: Where to write the counted pretokens, for a later run to begin with.

        Raises:
            ArgumentError: An argument cannot work: a vocabulary too small for bytes and special tokens, a pattern
                that does not compile, less memory than the distinct pretokens take (says how much would do).
            FormatError: A row is not JSON or lacks the field; names file and line. A packed file is damaged, cut
                off, or grows more than a thousandfold. Counts are damaged, or of another pattern or feed.
            OSError: A file cannot be read.
        """
        if base is not None and not isinstance(base, _core.Tokenizer):
            raise ArgumentError(f"base is a {type(base).__name__}, expected a Tokenizer")
        pattern = _unless_none(arguments.a_pattern, "pattern", pattern)
        if base is not None and pattern != "gpt2" and not is_same_pattern(pattern, base.pattern):
            raise ArgumentError("pattern is not that of base, which is used; leave pattern out")
        sources = _unless_none(arguments.paths, "files", files)
        counts = _unless_none(arguments.a_path, "counts", counts)
        save_counts = _unless_none(arguments.a_path, "save_counts", save_counts)
        refuse_input_as_output(save_counts, [*(sources or ()), counts], walk=True)
        with PhaseProgress({"counting": "bytes", "merging": "merges"}, shown=progress) as shown:
            trained = _core.train_tokenizer(
                files=sources,
                texts=_unless_none(arguments.texts, "texts", texts),
                word_counts=_unless_none(arguments.words, "word_counts", word_counts),
                counts=counts,
                vocab_size=arguments.a_count("vocab_size", vocab_size),
                pattern=pattern,
                special_tokens=arguments.special_tokens("special_tokens", special_tokens),
                ties=_unless_none(arguments.a_text, "ties", ties),
                feed=arguments.a_text("feed", feed),
                text_field=arguments.a_text("text_field", text_field),
                separator=_unless_none(arguments.a_text, "separator", separator),
                min_frequency=arguments.a_count("min_frequency", min_frequency),
                max_token_bytes=_unless_none(arguments.a_count, "max_token_bytes", max_token_bytes),
                utf8_safe=arguments.a_flag("utf8_safe", utf8_safe),
                max_memory=_unless_none(arguments.a_count, "max_memory", max_memory),
                threads=_unless_none(arguments.a_count, "threads", threads),
                save_counts=save_counts,
                progress=shown.update if progress else None,
                base=base,
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
        """Read a vocabulary; what it is, is told by its content.

        Args:
            path: A tokenizer.json, our readable JSON, a .tiktoken file, minbpe's .model, or a folder with
                tokenizer.json, vocab.json + merges.txt or encoder.json + vocab.bpe.
            pattern: "auto" takes the file's own. A .tiktoken file holds none: those of GPT-2, cl100k_base and
                o200k_base are known by their hash, others need it said.
            special_tokens: For forms that do not hold them: texts with ids, or texts that get the next ids.

        Raises:
            FormatError: The file is damaged, cannot be reproduced exactly (as any but byte-level BPE), or holds no
                pattern and none was given; says where and why.
            ArgumentError: The pattern does not compile, or is a word that is no known name.
            OSError: It cannot be read.
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
        """The same vocabulary as a tiktoken Encoding, or as the one of that name."""
        from bytemill.tokenizer.convert import from_tiktoken

        made = cls(from_tiktoken(encoding))
        made._name = encoding if isinstance(encoding, str) else encoding.name
        return made

    @classmethod
    def from_huggingface(cls, path_or_repo_or_tokenizer: str | Path | Any) -> Self:
        """The same vocabulary as a folder, a hub repository, or a tokenizer of transformers or tokenizers."""
        from bytemill.tokenizer.convert import from_huggingface

        return cls(from_huggingface(path_or_repo_or_tokenizer))

    def to_tiktoken(self) -> tiktoken.Encoding:
        """This vocabulary as a `tiktoken.Encoding`."""
        from bytemill.tokenizer.convert import to_tiktoken

        return to_tiktoken(self)

    def to_huggingface(self) -> PreTrainedTokenizerFast:
        """This vocabulary as a `transformers.PreTrainedTokenizerFast`."""
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
        """Write the ids of whole files to one file of ids, in order, in memory that does not grow with them.

        The file takes its name only when it is whole: raw little-endian ids, as nanoGPT's `train.bin`, to be read
        with `numpy.memmap`; or NumPy's own form where the name ends in .npy.

        Args:
            inputs: Text (one document each), .jsonl (one a line), either as .gz or .zst, or folders of them.
            output: The file to write.
            dtype: "uint16" or "uint32"; None takes uint16 where all of the vocabulary fits.
            end_token: A special token to write after each document.
            text_field: The field of a .jsonl row that holds the text.
            separator: What stands between the documents of a text file; it belongs to none of them.
            threads: That many; every core if None. The file is the same for any number.
            progress: Show progress on stderr.
            allowed_special: As in `encode`.
            disallowed_special: As in `encode`.

        Returns:
            How many ids were written.

        Raises:
            DataError: A text holds a disallowed special token, or an id does not fit into uint16.
            FormatError: A file is not UTF-8, or a row is not JSON or lacks the field; names file and place.
            ArgumentError: `end_token` is not a special token of this vocabulary, `dtype` is another type, or the
                output is one of the inputs.
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
        """Write the vocabulary, whole or not at all.

        Only a crash just between the renames of the two files of "gpt2" leaves a new merges.txt beside an old
        vocab.json; unless the old one knows every token of the new merges, `load` refuses the pair.

        Args:
            path: The file; for "gpt2" the folder.
            format: "huggingface" (tokenizer.json, also if None), "tiktoken" (ranks alone), "readable" (JSON with
                bytes in hexadecimal), "gpt2" (vocab.json + merges.txt).

        Raises:
            ArgumentError: The form cannot hold this vocabulary so that others read the same from it.
        """
        form = "huggingface" if format is None else arguments.a_text("format", format)
        self.save_as(arguments.a_path("path", path), form)

    def truncated(self, vocab_size: int) -> Self:
        """The tokenizer that the same training would have given at a smaller `vocab_size`.

        >>> Tokenizer.train(texts=["low lower lowest"], vocab_size=262).truncated(259).merges
        [(b'l', b'o'), (b'lo', b'w')]
        """
        return type(self)(self.truncated_base(arguments.a_count("vocab_size", vocab_size)))

    @property
    def max_token_value(self) -> int:
        """The largest id, as tiktoken calls it.

        >>> Tokenizer.train(texts=["low lower lowest"], vocab_size=262).max_token_value
        261
        """
        return self.n_vocab - 1

    @property
    def name(self) -> str:
        r"""The name of the tiktoken encoding that this was made from; otherwise one made of the fingerprint.

        Pickling keeps it; files do not.

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
        """The id of `<|endoftext|>`, or of what vocabularies without it call it (Llama 3, Bloom, Gemma, BERT's kind).

        Raises:
            KeyError: The vocabulary has none.
        """
        return self.special_tokens[self._end_of_text or END_OF_TEXT]

    @property
    def end_of_text_id(self) -> int | None:
        """As `eot_token`, and None where the vocabulary has none."""
        name = self._end_of_text
        return None if name is None else self.special_tokens[name]

    @property
    def _end_of_text(self) -> str | None:
        """The name that is known, else what the tokenizer_config.json next to the file calls the end of a sequence."""
        special = self.special_tokens
        known = (END_OF_TEXT, *_OTHER_ENDS_OF_TEXT, *([self._eos_name] if self._eos_name else []))
        return next((name for name in known if name in special), None)

    def __reduce__(self) -> tuple[Any, ...]:
        return _restore, (type(self), self.to_readable(), self._name, self._eos_name)

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        return self  # nothing in it ever changes

    def __repr__(self) -> str:
        specials = ", ".join(map(repr, self.special_tokens)) or "no special tokens"
        return f"<bytemill.Tokenizer of {self.n_vocab:,} ids, {specials}>"


def is_same_pattern(pattern: str | None, other: str | None) -> bool:
    r"""Whether two patterns are one, by name or in any of the known spellings.

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
