"""The first report's tokenizer: byte pairs of a Chinese manual, compared with GPT-2's.

Run it with the folder of shared data: python examples/01_tokenizer/tokenizer_report.py ../shared/data
"""

import sys
import tempfile
from pathlib import Path

from bytemill import Tokenizer
from bytemill.report.comparison import comparison_text
from bytemill.tokenizer.compare import compare
from bytemill.tokenizer.round_trip import check_round_trip

VOCAB_SIZE = 1_024
WORDS = ["论文", "博士", "China", "University"]
PASSAGE_CHARACTERS = 1_000


def main(shared_data: Path) -> None:
    """Learn, check, save, compare; everything printed is in this folder's README."""
    manual = shared_data / "pku_manual" / "manual.txt"

    # The plain definition: the whole text is one row of bytes, and of equal pairs the first in the text wins.
    own = Tokenizer.train(files=manual, vocab_size=VOCAB_SIZE, pattern=None, special_tokens=())
    print(f"{own.n_vocab:,} ids: 256 bytes and {len(own.merges)} merges")
    print(
        "the first merges:",
        ", ".join((left + right).decode(errors="backslashreplace") for left, right in own.merges[:12]),
    )

    trip = check_round_trip(own, manual.read_bytes())
    print(
        f"manual.txt: {trip.n_bytes:,} bytes, {trip.n_tokens:,} tokens, back again",
        "equal" if trip.is_lossless else "changed",
    )

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "manual.json"
        own.save(path, format="readable")
        again = Tokenizer.load(path)
        print("saved as readable JSON and loaded:", "equal" if again.fingerprint == own.fingerprint else "changed")

    chinese = manual.read_text(encoding="utf-8")
    start = chinese.index("博士学位论文应当表明")
    english = (shared_data / "llms_from_scratch" / "the-verdict.txt").read_text(encoding="utf-8")
    texts = {
        "Chinese, of the manual": chinese[start : start + PASSAGE_CHARACTERS // 4],
        "English, a story": english[:PASSAGE_CHARACTERS],
    }
    gpt2 = Tokenizer.load(shared_data / "gpt2_vocab")
    print()
    print(comparison_text(compare({"GPT-2": gpt2, "own": own}, texts, WORDS)), end="")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
