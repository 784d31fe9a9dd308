"""Check that ids equal tiktoken's, on files and random strings of all planes, with every SIMD backend.

    python benches/encode/equality.py [FILE]... [--random 1000000] [--vocabulary gpt2]...

tiktoken encodes once; bytemill encodes in one process per backend (BYTEMILL_SIMD). Prints a line per backend, and exits
with 1 if ids differ, with the first differing text. A backend that this processor lacks is reported as untested.
"""

import argparse
import json
import os
import platform
import random
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np

import vocabularies
from rivals import make

WAYS = ("neon", "scalar") if platform.machine() in ("aarch64", "arm64") else ("avx512", "avx2", "scalar")
ALPHABETS = (
    "abcdefghijklmnopqrstuvwxyz    ",
    "aA1 '\n\t.,sStTdDmMlLvVrReEſ’",
    " \t\n\r\x0b\x0c\x1c\x85\xa0\u1680\u2003\u2028\u2029\u202f\u205f\u3000\u180e\u200b\ufeff",
    "0123456789٠١٢٣०१२³¼Ⅷ一二𝟘〇",
    "北京大学模型的是不了人我在有他这，。、",
    "e\u0301a\u0308\u200d👩🏽‍🚀🇩🇪ﷺ\u0e01\u0e33\u20dd\u0903\ufe0f",
    "\x00\x01\x7f\x80\u0600\ud7ff\ue000\uffff\U00010000\U0010ffff\ud800\udfff",
    "ǅʰªßﬀ𝐀𝐚𐐀𐐨アIiPHone/\\{}!?-_",
)


def random_strings(count: int) -> Iterator[str]:
    """Yield strings of up to 60 characters, of a few alphabets or of any code points, including surrogates."""
    generator = random.Random(0)
    for _ in range(count):
        if generator.random() < 0.1:
            yield "".join(chr(generator.randrange(0x110000 >> generator.choice((0, 0, 4, 9)))) for _ in range(20))
        else:
            mixed = "".join(generator.sample(ALPHABETS, generator.randint(1, 3)))
            yield "".join(generator.choices(mixed, k=generator.randint(0, 60)))


def expected(short: str, texts: list[str], folder: Path) -> Path:
    """Write tiktoken's ids for all `texts`, and where the ids of each text end, to a file."""
    rival = make("tiktoken", vocabularies.find(short))
    face = rival.to_array if len(texts) == 1 else rival.to_list  # only the list call accepts lone surrogates
    ids = [np.asarray(face(text), dtype=np.uint32) for text in texts]
    path = folder / f"{short}.npz"
    np.savez(path, ids=np.concatenate(ids), ends=np.cumsum([len(one) for one in ids]))
    return path


def compare(short: str, texts: Path, expected_ids: Path) -> None:
    """Print the splitting backend of this process, and compare bytemill's ids with those in the file."""
    from bytemill import Tokenizer, _core

    print(_core.splitting_backend(), flush=True)
    tokenizer, strings = Tokenizer.load(vocabularies.find(short).ranks), json.loads(texts.read_text("utf-8"))
    saved = np.load(expected_ids)
    ids, offsets = tokenizer.encode_batch_to_numpy(strings, disallowed_special=())
    if not np.array_equal(offsets[1:], saved["ends"]) or not np.array_equal(ids, saved["ids"]):
        for text, start, end, begin, stop in zip(
            strings, [0, *saved["ends"]], saved["ends"], offsets, offsets[1:], strict=False
        ):
            if not np.array_equal(saved["ids"][start:end], ids[begin:stop]):
                sys.exit(f"differs: {text[:200]!r}")
        sys.exit("differs")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("files", type=Path, nargs="*")
    parser.add_argument("--random", type=int, default=0, metavar="COUNT")
    parser.add_argument("--vocabulary", action="append", choices=vocabularies.NAMES)
    parser.add_argument("--compare", nargs=2, type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.compare:
        compare(options.vocabulary[0], *options.compare)
        return
    sources = {path.name: [path.read_bytes().decode()] for path in options.files}
    if options.random:
        sources[f"{options.random} random strings"] = list(random_strings(options.random))
    failed = False
    with tempfile.TemporaryDirectory() as made:
        for name, texts in sources.items():
            written = Path(made) / "texts.json"
            written.write_text(json.dumps(texts), encoding="utf-8")
            for short in options.vocabulary or vocabularies.NAMES:
                ids = expected(short, texts, Path(made))
                for way in WAYS:
                    command = [sys.executable, __file__, "--vocabulary", short, "--compare", str(written), str(ids)]
                    done = subprocess.run(
                        command, env={**os.environ, "BYTEMILL_SIMD": way}, capture_output=True, text=True, check=False
                    )
                    failed |= done.returncode != 0
                    n_bytes = sum(len(text.encode(errors="surrogatepass")) for text in texts)
                    verdict = "equal" if done.returncode == 0 else done.stderr.strip().splitlines()[-1]
                    ran = done.stdout.strip()
                    label = way if ran == way else f"{way} untested, as this processor lacks it; {ran}"
                    print(f"{name}, {n_bytes / 1e6:.1f} MB, {short}, {label}: {verdict}", flush=True)
    sys.exit(failed)


if __name__ == "__main__":
    main()
