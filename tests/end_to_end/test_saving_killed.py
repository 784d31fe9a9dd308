"""Reliability row 1, for files that users name: a process that saves is killed at any instant; old or new is there."""

from __future__ import annotations

import itertools
import os
import random
import signal
import time
from typing import TYPE_CHECKING

import pytest

from bytemill import Tokenizer
from bytemill.errors import FormatError
from forks import exit_with

if TYPE_CHECKING:
    from pathlib import Path

TEXTS = ("low lower lowest, slow and slower. " * 2_000, "new newer newest, few and fewer! " * 2_000)


def save(tokenizer: Tokenizer, folder: Path) -> bool:
    """Everything that a tokenizer writes, of its own ids."""
    tokenizer.save(folder / "t.json")
    tokenizer.save(folder / "gpt2", format="gpt2")
    tokenizer.encode_to_file(folder / "text.txt", folder / "ids.npy")
    return True


def save_for_ever(tokenizers: list[Tokenizer], folder: Path) -> bool:
    return all(save(tokenizer, folder) for tokenizer in itertools.cycle(tokenizers))


def loaded_pair(folder: Path) -> str | None:
    """The fingerprint of a vocabulary in two files; None where they are refused as what lies between two renames."""
    try:
        return Tokenizer.load(folder).fingerprint
    except FormatError as error:
        if all(name in str(error) for name in ("merges.txt", "vocab.json", "the same vocabulary")):
            return None
        raise


def check_kills(folder: Path, n_kills: int) -> None:
    tokenizers = [Tokenizer.train(texts=[text], vocab_size=280, pattern="gpt2") for text in TEXTS]
    (folder / "text.txt").write_text("".join(TEXTS))
    contents = set()
    for tokenizer in tokenizers:
        save(tokenizer, folder)
        contents.add((folder / "ids.npy").read_bytes())
    whole = {tokenizer.fingerprint for tokenizer in tokenizers}
    chance = random.Random(0)
    for _ in range(n_kills):
        child = os.fork()
        if child == 0:
            exit_with(lambda: save_for_ever(tokenizers, folder))
        time.sleep(chance.uniform(0, 0.03))
        os.kill(child, signal.SIGKILL)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL
        assert Tokenizer.load(folder / "t.json").fingerprint in whole
        assert (folder / "ids.npy").read_bytes() in contents
        assert loaded_pair(folder / "gpt2") in {*whole, None}
    names = {path.name for path in folder.rglob("*") if not path.name.endswith(".tmp")}
    assert names == {"t.json", "gpt2", "vocab.json", "merges.txt", "ids.npy", "text.txt"}


def test_a_process_killed_while_it_saves_leaves_old_or_new(tmp_path: Path) -> None:
    check_kills(tmp_path, 20)


@pytest.mark.long
def test_many_processes_killed_while_they_save(tmp_path: Path) -> None:
    check_kills(tmp_path, 500)
