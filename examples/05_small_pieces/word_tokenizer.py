"""Why bytes: a tokenizer of whole words has no id for a word it has not seen, and one of bytes always has some."""

import re

from bytemill import Tokenizer

UNKNOWN, END_OF_TEXT = "<|unk|>", "<|endoftext|>"
TEXT = "The mill grinds the corn. The miller, who owns the mill, sells the flour; the baker buys it."


class WordTokenizer:
    """Words and punctuation marks to ids, by a list of those that a text holds."""

    def __init__(self, text: str) -> None:
        words = sorted(set(self.split(text)))
        self.id_of = {word: one for one, word in enumerate([*words, END_OF_TEXT, UNKNOWN])}
        self.word_of = {one: word for word, one in self.id_of.items()}

    @staticmethod
    def split(text: str) -> list[str]:
        """Special tokens, words, and marks each by itself; spaces are dropped."""
        return re.findall(r"<\|\w+\|>|\w+|[^\w\s]", text)

    def encode(self, text: str) -> list[int]:
        """The id of each word, or that of the unknown."""
        return [self.id_of.get(word, self.id_of[UNKNOWN]) for word in self.split(text)]

    def decode(self, ids: list[int]) -> str:
        """The words with spaces between them, none before a mark: not always the text that was."""
        return re.sub(r"\s+([,.;:?!])", r"\1", " ".join(self.word_of[one] for one in ids))


def main() -> None:
    """Encode a sentence with a word that is not in the list, in both ways."""
    words = WordTokenizer(TEXT)
    print(f"{len(words.id_of)} words: {', '.join(list(words.id_of)[:8])}, …")
    for text in ("the baker sells the mill", f"the miller sleeps. {END_OF_TEXT} The end"):
        ids = words.encode(text)
        print(f"{text!r} -> {ids} -> {words.decode(ids)!r}")

    byte_pairs = Tokenizer.train(texts=[TEXT], vocab_size=280)
    ids = byte_pairs.encode("the miller sleeps")
    pieces = [byte_pairs.decode([one]) for one in ids]
    print(f"byte pairs: {pieces} -> {byte_pairs.decode(ids)!r}")


if __name__ == "__main__":
    main()
