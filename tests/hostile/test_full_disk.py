"""A disk that is full: every command that writes ends with one sentence that names the file.

The system stands in for it by limiting how long any file may become.
"""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from bytemill import Tokenizer
from bytemill.cli import app

LIMITED = """
import contextlib, io, json, os, resource, signal, sys, traceback
from pathlib import Path
import torch, transformers
from bytemill.cli import main
from bytemill.train.run.tensorboard import TensorBoard
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
os.chdir(sys.argv[1])
resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))

def grow(folder):
    events = TensorBoard(Path(folder), before_step=0)
    for step in range(100):
        events.append({"step": step, "loss": 1.0, "lr": 1.0})

found = []
for command in json.loads(sys.argv[2]):
    sys.argv = ["bytemill", *command]
    with contextlib.redirect_stderr(io.StringIO()) as errors, contextlib.redirect_stdout(io.StringIO()):
        try:
            grow(command[1]) if command[0] == "tensorboard" else main()
            code = 0
        except SystemExit as end:
            code = end.code
        except OSError as error:
            code = f"{error.filename}: {error.strerror}"
        except BaseException:
            code = traceback.format_exc()
    found.append((code, errors.getvalue().splitlines()[-1:]))
print(json.dumps(found))
"""

COMMANDS = {
    "out/report.html": ["report", "run", "-o", "out/report.html"],
    "out/export/model.safetensors": ["model", "export", "run", "out/export"],
    "out/of_transformers/model.safetensors": ["model", "export", "bloom_run", "out/of_transformers"],
    "out/adapter/adapter_model.safetensors": ["model", "export", "tuned", "out/adapter", "--adapter"],
    "out/merged/model.safetensors": ["model", "merge", "tuned", "out/merged"],
    "out/imported/model.safetensors": ["model", "import", "exported", "out/imported"],
    "out/answers.json.part": [
        *["generate", "-m", "run", "-t", "tokenizer.json", "--rows", "rows.json"],
        *["--max-new-tokens", "40", "-o", "out/answers.json"],
    ],
}


def call(*words):
    result = CliRunner().invoke(app, [str(word) for word in words])
    assert result.exit_code == 0, result.exception or result.output


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    """(exit code or what was raised, last line on stderr) of each command."""
    from transformers import BloomConfig, BloomForCausalLM

    folder = tmp_path_factory.mktemp("full")
    (folder / "out").mkdir()
    tokenizer = Tokenizer.train(texts=["the cat sat on the mat. " * 40], vocab_size=300)
    tokenizer.save(folder / "tokenizer.json")
    rows = [{"instruction": f"Say {n}", "output": "the cat"} for n in range(40)]
    (folder / "rows.json").write_text(json.dumps(rows))
    shape = BloomConfig(vocab_size=tokenizer.n_vocab, hidden_size=32, n_layer=1, n_head=2)
    BloomForCausalLM(shape).save_pretrained(folder / "bloom")
    model = ["model.n_layer=1", "model.n_head=2", "model.n_embd=32"]
    train = ["train.max_steps=1", "train.eval_every=0", "train.sample_each_epoch=false", "train.tensorboard=false"]
    where = ["-t", folder / "tokenizer.json", "--data", folder / "rows.json"]
    settings = ["--set", *train, "data.seq_len=384", "data.batch_size=2"]
    lora = ["--lora-rank", 0]
    call("finetune", "instruct", *where, *lora, "-o", folder / "run", *settings, *model)
    call("finetune", "instruct", *where, "--model", folder / "run", "-o", folder / "tuned", *settings)
    bloom = ["--model", folder / "bloom", *lora, "-o", folder / "bloom_run"]
    call("finetune", "instruct", *where, *bloom, *settings)
    call("model", "export", folder / "run", folder / "exported")
    commands = json.dumps([*COMMANDS.values(), ["tensorboard", "out/events"]])
    done = subprocess.run(
        [sys.executable, "-c", LIMITED, str(folder), commands], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return dict(zip([*COMMANDS, "tensorboard"], json.loads(done.stdout.splitlines()[-1]), strict=True))


@pytest.mark.parametrize("file", COMMANDS)
def test_a_full_disk_is_one_sentence_with_the_file(results, file):
    assert results[file] == [1, [f"bytemill: {file}: File too large"]]


def test_events_for_tensorboard_on_a_full_disk_name_their_file(results):
    code, _ = results["tensorboard"]
    assert code.startswith("out/events/events.out.tfevents.")
    assert code.endswith(": File too large")


def test_standard_output_that_is_full_is_named():
    with Path("/dev/full").open("w", encoding="utf-8") as full:
        words = [sys.executable, "-m", "bytemill", "train", "--print-config"]
        done = subprocess.run(words, stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert (done.returncode, done.stderr) == (1, "bytemill: standard output: No space left on device\n")
