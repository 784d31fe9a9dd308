"""Time text generation of bytemill, transformers and nanochat's engine, in CPU milliseconds per token.

    python benches/generation.py [--nanochat CHECKOUT] [--tokens 64] [--rounds 3] [--json FILE] [--docs]

The shape of the smallest GPT-2 with random weights, greedy, with a key-value cache, a prompt of 16 tokens. Each
contender runs in a fresh process per round; rounds are interleaved; the result is the median CPU time of all threads.
In bf16 all weights of all contenders are bf16. bytemill and transformers have the same weights, and their ids in fp32
are compared first; nanochat has another model of the same size (untied head, no biases).
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

import page

N_PROMPT = 16
DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16}
Generate = Callable[[int], list[list[int]]]


def bytemill(dtype: torch.dtype, batch: int, checkout: str | None) -> Generate:
    from bytemill.model import GPT2, GPT2Config, generate

    torch.manual_seed(0)
    model = GPT2(GPT2Config.named("gpt2")).to(dtype)
    prompt = _prompt().expand(batch, -1)
    return lambda n: generate(model, prompt, max_new_tokens=n, temperature=0).tolist()


def transformers(dtype: torch.dtype, batch: int, checkout: str | None) -> Generate:
    import tempfile

    from transformers import GPT2LMHeadModel, logging

    from bytemill.model import GPT2, GPT2Config

    logging.set_verbosity_error()
    torch.manual_seed(0)
    with tempfile.TemporaryDirectory() as folder:
        GPT2(GPT2Config.named("gpt2")).save_huggingface(folder)
        model = GPT2LMHeadModel.from_pretrained(folder, dtype=dtype)
    prompt = _prompt().expand(batch, -1)
    options = {"do_sample": False, "use_cache": True, "pad_token_id": 0, "eos_token_id": None}
    mask = torch.ones_like(prompt)
    return lambda n: model.generate(prompt, attention_mask=mask, max_new_tokens=n, **options).tolist()


def nanochat(dtype: torch.dtype, batch: int, checkout: str | None) -> Generate:
    sys.path.insert(0, str(checkout))
    from nanochat.engine import Engine
    from nanochat.gpt import GPT, GPTConfig

    torch.manual_seed(0)
    shape = {"n_layer": 12, "n_head": 12, "n_kv_head": 12, "n_embd": 768}
    model = GPT(GPTConfig(sequence_len=1024, vocab_size=50304, window_pattern="L", **shape))
    model.init_weights()
    model.to(dtype).eval()
    engine, prompt = Engine(model, _NoTokens()), _prompt()[0].tolist()

    def generate(n: int) -> list[list[int]]:
        columns = engine.generate(prompt, num_samples=batch, max_tokens=n, temperature=0.0)
        return [list(row) for row in zip(*(ids for ids, _ in columns), strict=True)]

    return generate


CONTENDERS = {"bytemill": bytemill, "transformers": transformers, "nanochat": nanochat}


class _NoTokens:
    """A tokenizer whose special tokens are never sampled."""

    def encode_special(self, text: str) -> int:
        return -1

    def get_bos_token_id(self) -> int:
        return -1


def _prompt() -> torch.Tensor:
    return torch.arange(1000, 1000 + N_PROMPT)[None]


def work(asked: argparse.Namespace) -> None:
    """Run one contender in this process: a short warm-up, then all tokens."""
    torch.set_num_threads(asked.threads)
    generate = CONTENDERS[asked.worker](DTYPES[asked.dtype], asked.batch, asked.nanochat)
    with torch.inference_mode():
        generate(4)
        began = time.process_time()
        ids = generate(asked.tokens)
        seconds = time.process_time() - began
    print(json.dumps({"ms": seconds * 1e3 / asked.tokens, "ids": ids[0]}))


def run(asked: argparse.Namespace, contender: str, dtype: str, batch: int) -> Any:
    words = ["--worker", contender, "--dtype", dtype, "--batch", batch, "--threads", asked.threads]
    words += ["--tokens", asked.tokens, *(["--nanochat", asked.nanochat] if asked.nanochat else [])]
    long_name = {"fp32": "float32", "bf16": "bfloat16"}[dtype]
    done = subprocess.run(
        [sys.executable, __file__, *map(str, words)],
        env=os.environ | {"NANOCHAT_DTYPE": long_name, "OMP_NUM_THREADS": str(asked.threads)},
        stdout=subprocess.PIPE,
        check=True,
    )
    return json.loads(done.stdout.splitlines()[-1])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--nanochat", help="a checkout")
    parser.add_argument("--tokens", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--docs", action="store_true")
    parser.add_argument("--worker", choices=CONTENDERS, help=argparse.SUPPRESS)
    parser.add_argument("--dtype", choices=DTYPES, default="fp32", help=argparse.SUPPRESS)
    parser.add_argument("--batch", type=int, default=1, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.worker:
        work(asked)
        return
    names = [name for name in CONTENDERS if name != "nanochat" or asked.nanochat]
    rows, figures = [], {}
    for dtype in DTYPES:
        for batch in (1, 8):
            rounds = [{name: run(asked, name, dtype, batch) for name in names} for _ in range(asked.rounds)]
            if dtype == "fp32" and rounds[0]["bytemill"]["ids"] != rounds[0]["transformers"]["ids"]:
                raise SystemExit("bytemill and transformers gave different ids")
            ms = {name: statistics.median(done[name]["ms"] for done in rounds) for name in names}
            others = [f"{ms[name] / ms['bytemill']:.2f}x" for name in names[1:]]
            rows.append([f"{dtype}, batch {batch}", *(f"{ms[name]:.1f}" for name in names), *others])
            figures[f"{dtype} {batch}"] = ms
            print(rows[-1], file=sys.stderr)
    columns = ["CPU ms per step", *names, *(f"faster than {name}" for name in names[1:])]
    text = page.table(columns, rows)
    print(text)
    if asked.json:
        asked.json.write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")
    if asked.docs:
        source = page.provenance(page.command_line(), ["torch", "transformers"])
        page.write_section("generation", "generation", f"## CPU time per step\n\n{text}\n\n{source}")


if __name__ == "__main__":
    main()
