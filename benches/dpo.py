"""Compare a step of preference tuning with TRL: the same weights, pairs and optimizer; losses are compared first.

Each trainer runs in its own process. TRL gets transformers' GPT-2 with peft's adapters, whose A is copied from ours,
and the pairs as ids in our order. fp32, one thread by default. Memory is the peak resident memory minus that after the
imports.

    python benches/dpo.py --rows preferences.json --tokenizer tokenizer.json --trl-python trl-env/bin/python
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

BETA, RATE, CLIP = 0.1, 1e-3, 1.0


def resident_mib() -> float:
    pages = int(Path("/proc/self/statm").read_text(encoding="utf-8").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


def peak_mib() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**10


def prepare(arguments: argparse.Namespace, folder: Path) -> None:
    """Write the model, its new adapter and the pairs in order, for both trainers."""
    import torch

    from bytemill import Tokenizer
    from bytemill.data.rows.pairs import encode_pairs, read_preferences
    from bytemill.model import GPT2, GPT2Config
    from bytemill.model.lora import LoraConfig, apply_lora, save_adapter

    tokenizer = Tokenizer.load(arguments.tokenizer)
    torch.manual_seed(0)
    shape = {"n_layer": arguments.layers, "n_head": arguments.heads, "n_embd": arguments.width}
    model = GPT2(GPT2Config(vocab_size=tokenizer.n_vocab, n_positions=arguments.tokens, pad_vocab_to=1, **shape))
    model.save_huggingface(folder / "model", end_of_text_id=tokenizer.eot_token)
    if arguments.rank:
        lora = LoraConfig(r=arguments.rank, lora_alpha=2 * arguments.rank, target_modules=["qkv", "projection"])
        save_adapter(apply_lora(model, lora), folder / "adapter")
    tokenizer.save(folder / "tokenizer.json")
    n_pairs = arguments.steps * arguments.batch
    encoded = encode_pairs(read_preferences(arguments.rows), tokenizer, max_tokens=arguments.tokens - 1)
    pairs = [
        {
            "prompt_ids": pair.chosen.ids[: pair.chosen.n_prompt].tolist(),
            "chosen_ids": pair.chosen.ids[pair.chosen.n_prompt :].tolist(),
            "rejected_ids": pair.rejected.ids[pair.rejected.n_prompt :].tolist(),
        }
        for pair in encoded.pairs[:n_pairs]
    ]
    if len(pairs) < n_pairs:
        raise SystemExit(f"{n_pairs} pairs are needed, but {arguments.rows} has {len(pairs)}")
    (folder / "pairs.json").write_text(json.dumps(pairs))


def ours(arguments: argparse.Namespace, folder: Path) -> dict[str, Any]:
    import copy

    import numpy as np
    import torch

    from bytemill import Tokenizer
    from bytemill.data.rows import Row
    from bytemill.data.rows.pairs import EncodedPairs, Pair, collate_pairs
    from bytemill.experiment.trial import run_trial
    from bytemill.model import GPT2
    from bytemill.model.lora import load_adapter, lora_parameters
    from bytemill.tasks.preference import preference_task
    from bytemill.train.config import DataConfig, PreferenceConfig, TrainConfig

    torch.set_num_threads(arguments.threads)
    start = resident_mib()
    tokenizer = Tokenizer.load(folder / "tokenizer.json")
    model = GPT2.from_huggingface(folder / "model")
    reference, parameters = None, []
    if arguments.rank:
        parameters = lora_parameters(load_adapter(model, folder / "adapter"))
    else:
        reference = copy.deepcopy(model).requires_grad_(False)

    def row(one: dict[str, list[int]], kind: str) -> Row:
        return Row(np.array(one["prompt_ids"] + one[kind]), len(one["prompt_ids"]))

    read = json.loads((folder / "pairs.json").read_text())
    pairs = [Pair(row(one, "chosen_ids"), row(one, "rejected_ids")) for one in read]
    task = preference_task(
        model,
        EncodedPairs(pairs, len(pairs), 0, {}),
        tokenizer,
        reference=reference,
        parameters=parameters,
        settings=PreferenceConfig(beta=BETA),
        data=DataConfig(batch_size=arguments.batch),
    )

    class InOrder:
        def __init__(self) -> None:
            self.place = 0

        def __iter__(self) -> InOrder:
            return self

        def __next__(self) -> Any:
            self.place += arguments.batch
            return collate_pairs(pairs[self.place - arguments.batch : self.place], pad_id=tokenizer.eot_token)

        def state_dict(self) -> dict[str, Any]:
            return {"position": self.place}

        def load_state_dict(self, state: dict[str, Any]) -> None:
            self.place = state["position"]

    settings = TrainConfig(
        max_steps=arguments.steps,
        learning_rate=RATE,
        schedule="constant",
        warmup_steps=0,
        weight_decay=0.0,
        betas=(0.9, 0.999),
        clip_norm=CLIP,
        precision="fp32",
        device="cpu",
    )
    object.__setattr__(task, "batches", InOrder())
    trial = run_trial(task, settings, n_steps=arguments.steps)
    return {"losses": trial.losses, "ms": trial.milliseconds, "mib": peak_mib() - start}


def trl(arguments: argparse.Namespace, folder: Path) -> dict[str, Any]:
    import torch
    from datasets import Dataset
    from peft import LoraConfig
    from safetensors.torch import load_file
    from transformers import GPT2LMHeadModel, PreTrainedTokenizerFast, TrainerCallback
    from trl import DPOConfig, DPOTrainer

    torch.set_num_threads(arguments.threads)
    start = resident_mib()
    model = GPT2LMHeadModel.from_pretrained(folder / "model", dtype=torch.float32)
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_file=str(folder / "tokenizer.json"), eos_token="<|endoftext|>", pad_token="<|endoftext|>"
    )

    class InOrder(DPOTrainer):  # type: ignore[misc]
        def _prepare_dataset(self, dataset: Any, *_: Any) -> Any:
            return dataset

        def _get_train_sampler(self, dataset: Any = None) -> Any:
            return torch.utils.data.SequentialSampler(dataset or self.train_dataset)

    class Clock(TrainerCallback):  # type: ignore[misc]
        ms: list[float] = []  # noqa: RUF012 - one trainer per process

        def on_step_begin(self, *_: Any, **__: Any) -> None:
            self.began = time.perf_counter()

        def on_step_end(self, *_: Any, **__: Any) -> None:
            self.ms.append(1e3 * (time.perf_counter() - self.began))

    lora = None
    if arguments.rank:
        targets = ["attn.c_attn", "attn.c_proj"]
        lora = LoraConfig(r=arguments.rank, lora_alpha=2 * arguments.rank, target_modules=targets, fan_in_fan_out=True)
    config = DPOConfig(
        output_dir=str(folder / "trl"),
        beta=BETA,
        learning_rate=RATE,
        lr_scheduler_type="constant",
        max_grad_norm=CLIP,
        per_device_train_batch_size=arguments.batch,
        max_steps=arguments.steps,
        max_length=arguments.tokens,
        logging_steps=1,
        save_strategy="no",
        report_to=[],
        use_cpu=True,
        bf16=False,
        gradient_checkpointing=False,
        disable_tqdm=True,
        remove_unused_columns=False,
    )
    rows = Dataset.from_list(json.loads((folder / "pairs.json").read_text()))
    trainer = InOrder(
        model=model,
        args=config,
        train_dataset=rows,
        processing_class=tokenizer,
        peft_config=lora,
        callbacks=[Clock()],
    )
    if arguments.rank:
        saved = load_file(folder / "adapter" / "adapter_model.safetensors")
        own = dict(trainer.model.named_parameters())
        with torch.no_grad():
            for name, tensor in saved.items():
                own[name.replace(".weight", ".default.weight")].copy_(tensor)
    trainer.train()
    losses = [line["loss"] for line in trainer.state.log_history if "loss" in line]
    return {"losses": losses, "ms": Clock.ms, "mib": peak_mib() - start}


def child(python: str, name: str, folder: Path) -> dict[str, Any]:
    environment = {**os.environ, "TOKENIZERS_PARALLELISM": "false"}
    command = [python, __file__, *sys.argv[1:], "--child", name, "--folder", str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    if done.returncode:
        raise SystemExit(f"{name} failed:\n{done.stderr[-3000:]}")
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=Path, required=True)
    parser.add_argument("--tokenizer", type=Path, required=True)
    parser.add_argument("--trl-python", default=sys.executable, help="a Python with trl and peft")
    parser.add_argument("--rank", type=int, default=8, help="0 trains all parameters")
    parser.add_argument("--layers", type=int, default=4)
    parser.add_argument("--heads", type=int, default=4)
    parser.add_argument("--width", type=int, default=256)
    parser.add_argument("--tokens", type=int, default=256)
    parser.add_argument("--batch", type=int, default=4, help="pairs")
    parser.add_argument("--steps", type=int, default=10)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=1, help="interleaved; the medians count")
    parser.add_argument("--child", choices=["ours", "trl"], help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.child:
        print(json.dumps({"ours": ours, "trl": trl}[arguments.child](arguments, arguments.folder)))
        return
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        prepare(arguments, folder)
        pythons = {"ours": sys.executable, "trl": arguments.trl_python}
        rounds = [
            {kind: child(python, kind, folder) for kind, python in pythons.items()} for _ in range(arguments.rounds)
        ]
    report(arguments, rounds)


def report(arguments: argparse.Namespace, rounds: list[dict[str, Any]]) -> None:
    first = rounds[0]
    apart = max(abs(a - b) for a, b in zip(first["ours"]["losses"], first["trl"]["losses"], strict=True))
    print(f"losses, step by step: at most {apart:.1e} apart; the first {first['ours']['losses'][0]:.4f}")
    if apart > 2e-3:
        raise SystemExit(f"the losses differ: ours {first['ours']['losses']}, TRL's {first['trl']['losses']}")
    print("\n| | ms per step | MiB |\n| --- | ---: | ---: |")
    median: dict[str, float] = {}
    for kind, name in (("ours", "bytemill"), ("trl", "TRL")):
        # The first steps also warm up allocators and caches.
        median[kind] = statistics.median(statistics.median(one[kind]["ms"][2:]) for one in rounds)
        print(f"| {name} | {median[kind]:.1f} | {statistics.median(one[kind]['mib'] for one in rounds):.0f} |")
    print(f"\n{median['trl'] / median['ours']:.2f} times TRL's speed; {vars(arguments)}")


if __name__ == "__main__":
    main()
