"""What one command leaves is all that the next one needs: template, tokenizer, end of a turn, checkpoint."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from typer.testing import CliRunner

from bytemill import Tokenizer
from bytemill.cli import app
from bytemill.data.rows import Turn, conversation_row, prompt_ids, read_rows, split_rows
from bytemill.errors import CheckpointError, ConfigError
from bytemill.model import GPT2, GPT2Config
from bytemill.tasks.base_model import load_base_model
from bytemill.tasks.classify import classify_texts, load_classifier
from bytemill.tasks.model_place import find_model
from bytemill.tasks.usable_model import open_model

TEXT = "the river and the hill. " * 200
WORDS = ("river", "hill", "and", "the river", "the hill")
LEARNS = [
    "data.batch_size=8",
    "data.seq_len=200",
    "train.max_steps=150",
    "train.warmup_steps=10",
    "train.learning_rate=1e-2",
    "train.min_learning_rate=1e-3",
    "train.eval_every=50",
    "train.checkpoint_every=50",
    "train.precision=fp32",
    "train.device=cpu",
    "train.tensorboard=false",
]
BRIEFLY = [*LEARNS, "train.max_steps=4", "train.warmup_steps=1", "train.eval_every=2", "train.checkpoint_every=2"]


def run(*words: object, stdin: str | None = None) -> str:
    """Call a command; give what it printed on stdout."""
    result = CliRunner().invoke(app, [str(word) for word in words], input=stdin)
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    assert result.exit_code == 0, result.output
    return result.stdout


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A base that was pretrained from shards, and rows; no command is given a tokenizer after `prepare`."""
    folder = tmp_path_factory.mktemp("chain")
    (folder / "text.txt").write_text(TEXT)
    rows = [
        {"instruction": f"Say {word}", "input": "it" if i % 2 else "", "output": f"the {word}"}
        for i, word in enumerate(WORDS * 6)
    ]
    (folder / "rows.json").write_text(json.dumps(rows))
    turns = [("user", "Say river"), ("assistant", "the river"), ("user", "Say hill"), ("assistant", "the hill")]
    (folder / "chat.json").write_text(
        json.dumps([{"messages": [{"role": role, "content": text} for role, text in turns]}] * 20)
    )
    (folder / "spam.tsv").write_text("label\ttext\n" + "ham\tthe river\nspam\tand hill and\n" * 20)
    run("tokenizer", "train", folder / "text.txt", "--vocab-size", 300, "-o", folder / "tokenizer.json")
    run("data", "prepare", folder / "text.txt", "-o", folder / "shards", "-t", folder / "tokenizer.json")
    shape = ["model.n_layer=1", "model.n_head=2", "model.n_embd=32", "model.n_positions=512"]
    where = ["-o", folder / "base", "--set", f"data.path={folder / 'shards'}", *shape]
    run("train", *where, *BRIEFLY, "data.batch_size=2")
    return folder


@pytest.fixture(scope="module")
def tuned(folder: Path) -> Path:
    """Tuned on instructions in ChatML until it answers."""
    output = folder / "tuned"
    where = ["--model", folder / "base", "--data", folder / "rows.json", "-o", output, "--lora-rank", 0]
    run("finetune", "instruct", *where, "--set", "data.template=chatml", *LEARNS)
    return output


@pytest.fixture(scope="module")
def adapted(folder: Path) -> Path:
    output = folder / "adapted"
    where = ["--model", folder / "base", "--data", folder / "chat.json", "-o", output, "--lora-rank", 2]
    settings = ["data.template=chatml", "data.messages_column=messages", *BRIEFLY]
    run("finetune", "chat", *where, "--set", *settings)
    return output


def test_chat_asked_a_chatml_model_in_alpacas_words(tuned: Path) -> None:
    said = run("chat", "-m", tuned, "--temperature", 0, stdin="Say river\nSay hill\n")
    assert said == "the river\nthe hill\n" or said.splitlines()[0] == "the river", said
    assert "<|im_end|>" not in said
    opened = open_model(tuned)
    assert opened.template == "chatml"


def test_rows_and_prompts_are_asked_in_the_template_of_the_run(tuned: Path, folder: Path, tmp_path: Path) -> None:
    rows = folder / "rows.json"
    run("generate", "-m", tuned, "--rows", rows, "-o", tmp_path / "a.json", "--temperature", 0, "--max-new-tokens", 24)
    answers = json.loads((tmp_path / "a.json").read_text())
    right = [row["model_response"] == row["output"] for row in answers]
    assert sum(right) >= 0.5 * len(right), answers[:5]
    run(
        "generate", "-m", tuned, "--rows", rows, "-o", tmp_path / "b.json", "--temperature", 0, "--max-new-tokens", 24,
        "--template", "alpaca",
    )  # fmt: skip
    other = json.loads((tmp_path / "b.json").read_text())
    assert [row["model_response"] for row in other] != [row["model_response"] for row in answers]
    table = json.loads(
        run("eval", "prompts", "-m", f"x={tuned}", "--rows", rows, "--n-rows", 3, "--temperature", 0, "--json")
    )
    assert table["answers"]["x"] == [row["model_response"] for row in answers[:3]]


@pytest.mark.parametrize("template", ["alpaca", "alpaca_one_header", "chatml", "chatml_text"])
def test_a_conversation_has_the_same_ids_in_training_and_in_chat(folder: Path, template: str) -> None:
    """The second turn lacked the end of text after the first answer."""
    tokenizer = Tokenizer.load(folder / "tokenizer.json")
    turns = [Turn("user", "Say river"), Turn("assistant", "the river"), Turn("user", "Say hill")]
    prompt = prompt_ids(turns, tokenizer, template)
    row = conversation_row([*turns, Turn("assistant", "the hill")], tokenizer, template)
    assert row.ids[: len(prompt)].tolist() == prompt
    assert prompt.count(tokenizer.eot_token) == 1
    assert row.ids[-1] == tokenizer.eot_token
    assert not row.trained()[: row.n_prompt].any()
    assert row.trained()[len(prompt) :].all()


def test_the_export_gives_the_same_ids_and_the_same_answer_in_transformers(tuned: Path, tmp_path: Path) -> None:
    """AutoTokenizer gave an empty tokenizer, pipeline an error, and generation never stopped."""
    transformers = pytest.importorskip("transformers")
    run("model", "export", tuned, tmp_path / "mine")
    theirs = transformers.AutoTokenizer.from_pretrained(tmp_path / "mine")
    turns = [("user", "Say hill"), ("assistant", "the hill"), ("user", "Say river")]
    messages = [{"role": role, "content": text} for role, text in turns]
    found = theirs.apply_chat_template(messages, add_generation_prompt=True, return_dict=False)
    opened = open_model(tuned)
    assert found == prompt_ids([Turn(*turn) for turn in turns], opened.tokenizer, opened.template)
    pipe = transformers.pipeline("text-generation", model=str(tmp_path / "mine"))
    answer = pipe(messages[:1], max_new_tokens=30, do_sample=False)[0]["generated_text"][-1]["content"]
    assert answer == run("chat", "-m", tuned, "--temperature", 0, "--max-new-tokens", 30, stdin="Say hill\n").strip()
    settings = json.loads((tmp_path / "mine" / "generation_config.json").read_text())
    assert settings["eos_token_id"] == opened.tokenizer.eot_token
    # the export is a model like any other here, too
    again = open_model(tmp_path / "mine")
    assert (again.template, again.tokenizer.fingerprint) == ("chatml", opened.tokenizer.fingerprint)
    assert run("chat", "-m", tmp_path / "mine", "--temperature", 0, stdin="Say hill\n").strip() == answer


def test_a_lora_checkpoint_holds_the_adapter_and_names_its_base(adapted: Path, folder: Path) -> None:
    checkpoint = find_model(adapted).folder
    names = load_file(checkpoint / "model.safetensors").keys()
    assert names
    assert all("lora" in name for name in names), names
    base = json.loads((checkpoint / "config.json").read_text())["base"]
    assert base["sha256"] == find_model(folder / "base").state["files"]["model.safetensors"]["sha256"]
    loaded = load_base_model(adapted)
    ids = torch.arange(20)[None]
    plain = load_base_model(folder / "base")
    assert not torch.equal(loaded(ids)[0], plain(ids)[0])
    run("model", "merge", adapted, folder / "merged")
    torch.testing.assert_close(load_base_model(folder / "merged")(ids)[0], loaded(ids)[0])
    assert open_model(folder / "merged").template == "chatml"


def test_an_adapter_whose_base_is_gone_or_was_changed_says_which(adapted: Path, folder: Path, tmp_path: Path) -> None:
    shutil.copytree(folder / "base", tmp_path / "base")
    where = ["--model", tmp_path / "base", "--data", folder / "rows.json", "-o", tmp_path / "run"]
    run("finetune", "instruct", *where, "--set", *BRIEFLY)
    (tmp_path / "base").rename(tmp_path / "moved")
    with pytest.raises(CheckpointError, match=rf"holds an adapter; its base {tmp_path / 'base'}"):
        load_base_model(tmp_path / "run")
    shutil.copytree(find_model(folder / "adapted").folder, tmp_path / "base" / "checkpoints" / "step_00000004")
    with pytest.raises(CheckpointError, match="has other weights now"):
        load_base_model(tmp_path / "run")


def test_a_lora_run_goes_on_as_if_it_had_not_been_cut_off(adapted: Path, folder: Path, tmp_path: Path) -> None:
    where = ["--model", folder / "base", "--data", folder / "chat.json", "-o", tmp_path / "run", "--lora-rank", 2]
    settings = ["data.template=chatml", "data.messages_column=messages", *BRIEFLY]
    run("finetune", "chat", *where, "--set", *settings, "train.max_steps=2", "train.schedule=constant")
    run("finetune", "chat", "-o", tmp_path / "run", "--resume", "--set", "train.max_steps=4")
    whole = tmp_path / "whole"
    where[where.index(tmp_path / "run")] = whole
    run("finetune", "chat", *where, "--set", *settings, "train.schedule=constant")
    cut, uncut = (load_file(find_model(run).folder / "model.safetensors") for run in (tmp_path / "run", whole))
    assert cut.keys() == uncut.keys()
    assert all(torch.equal(cut[name], uncut[name]) for name in cut)


def test_a_checkpoint_is_named_by_its_step_as_best_or_as_newest(tuned: Path) -> None:
    losses = {
        int(path.name.removeprefix("step_")): json.loads((path / "state.json").read_text())["validation_loss"]
        for path in (tuned / "checkpoints").iterdir()
    }
    best = min(losses, key=lambda step: losses[step])
    assert find_model(f"{tuned}@best").state["step"] == best
    assert find_model(f"{tuned}@newest").state["step"] == max(losses) == find_model(tuned).state["step"]
    assert find_model(f"{tuned}@{min(losses)}").state["step"] == min(losses)
    with pytest.raises(CheckpointError, match=r"expected .*@best, @newest or @STEP"):
        find_model(f"{tuned}@7")
    with pytest.raises(CheckpointError, match=r"expected .*@best, @newest or @STEP"):
        find_model(f"{tuned}@worst")


def test_a_damaged_newest_checkpoint_is_named_and_never_handed_on(tuned: Path, tmp_path: Path) -> None:
    copy = tmp_path / "run"
    shutil.copytree(tuned, copy)
    weights = find_model(copy).folder / "model.safetensors"
    data = bytearray(weights.read_bytes())
    data[-1] ^= 1
    weights.write_bytes(data)
    result = CliRunner().invoke(app, ["generate", "-m", str(copy), "Say", "--max-new-tokens", "2"])
    assert result.exit_code == 0
    assert "passed over a damaged checkpoint" in result.stderr
    assert "using the checkpoint of step" in result.stderr
    for command in ("export", "merge"):
        with pytest.raises(CheckpointError, match=r"damaged.*to use the checkpoint before it, give .*@\d+"):
            run("model", command, copy, tmp_path / command)
        assert not (tmp_path / command).exists()


def test_a_run_without_a_checkpoint_says_so(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    shutil.copy(folder / "base" / "config.toml", tmp_path / "run")
    with pytest.raises(CheckpointError, match="this run has no checkpoint yet"):
        open_model(tmp_path / "run")


def test_a_run_is_used_and_resumed_after_its_project_was_moved(folder: Path, tmp_path: Path, monkeypatch) -> None:
    """Relative paths in its settings were looked for in the present folder only."""
    project = tmp_path / "project"
    project.mkdir()
    monkeypatch.chdir(project)
    for name in ("base", "rows.json"):
        (shutil.copytree if name == "base" else shutil.copy)(folder / name, project / name)
    run("finetune", "instruct", "--model", "base", "--data", "rows.json", "-o", "runs/a", "--set", *BRIEFLY)
    project.rename(tmp_path / "elsewhere")
    monkeypatch.chdir(tmp_path)
    moved = tmp_path / "elsewhere" / "runs" / "a"
    run("generate", "-m", moved, "Say", "--max-new-tokens", 2)
    run("finetune", "instruct", "-o", moved, "--resume", "--set", "train.max_steps=6")
    assert find_model(moved).state["step"] == 6


def test_a_classifier_in_transformers_gives_the_same_probabilities(folder: Path, tmp_path: Path) -> None:
    transformers = pytest.importorskip("transformers")
    where = ["--model", folder / "base", "--data", folder / "spam.tsv", "-o", tmp_path / "spam", "--lora-rank", 2]
    run("finetune", "classify", *where, "--set", *BRIEFLY, "data.seq_len=30")
    run("model", "export", tmp_path / "spam", tmp_path / "mine")
    texts = ["the river", "and hill and", "and the hill and the river and the hill again"]
    classifier, max_tokens = load_classifier(tmp_path / "spam")
    tokenizer = find_model(tmp_path / "spam").tokenizer()
    own = [classify_texts(classifier, tokenizer, [text], max_tokens=max_tokens)[0] for text in texts]
    exported = transformers.AutoTokenizer.from_pretrained(tmp_path / "mine")
    assert set(exported("the river")) == {"input_ids", "attention_mask"}  # transformers 4 gave token_type_ids too
    pipe = transformers.pipeline("text-classification", model=str(tmp_path / "mine"), top_k=None)
    for found, ours in zip(pipe(texts, batch_size=3, truncation=True), own, strict=True):
        assert {one["label"]: one["score"] for one in found} == pytest.approx(ours, abs=1e-5)
    assert run("classify", "-m", tmp_path / "spam", texts[0]).split("\t")[0] in ("ham", "spam")


def test_the_test_rows_are_those_that_the_run_kept_aside(folder: Path, tmp_path: Path) -> None:
    """`--split test` took 85 / 10 / 5 by seed 0, whatever the run's own split was."""
    rows = read_rows(folder / "rows.json")
    for number, row in enumerate(rows):
        row["number"] = number
    (tmp_path / "rows.json").write_text(json.dumps(rows))
    where = ["--model", folder / "base", "--data", tmp_path / "rows.json", "-o", tmp_path / "run"]
    run("finetune", "instruct", *where, "--set", "data.split=[0.5, 0.4, 0.1]", "data.seed=3", *BRIEFLY)
    where = ["-m", tmp_path / "run", "--rows", tmp_path / "rows.json", "--split", "test", "--max-new-tokens", 1]
    run("generate", *where, "-o", tmp_path / "test.json")
    answered = [row["number"] for row in json.loads((tmp_path / "test.json").read_text())]
    assert answered == [row["number"] for row in split_rows(rows, (0.5, 0.4, 0.1), seed=3)[1]]
    run("generate", *where, "--split-seed", 0, "-o", tmp_path / "other.json")
    other = [row["number"] for row in json.loads((tmp_path / "other.json").read_text())]
    assert other == [row["number"] for row in split_rows(rows, (0.5, 0.4, 0.1), seed=0)[1]]


def test_a_models_own_chat_template_goes_from_the_base_to_the_export(folder: Path, tmp_path: Path) -> None:
    """Qwen and Llama bring their template and its special tokens; both were ignored."""
    transformers = pytest.importorskip("transformers")
    template = (
        "{% for message in messages %}{{ '<|im_start|>' + message.role + '\\n' + message.content + '<|im_end|>\\n' }}"
        "{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}"
    )
    special = ("<|endoftext|>", "<|im_start|>", "<|im_end|>")
    tokenizer = Tokenizer.train(
        texts=[TEXT + "Say system user assistant\n" * 9], vocab_size=300, special_tokens=special
    )
    theirs = tokenizer.to_huggingface()
    theirs.add_special_tokens({"eos_token": "<|im_end|>", "bos_token": "<|endoftext|>"})
    theirs.chat_template = template
    theirs.save_pretrained(tmp_path / "base")
    shape = GPT2Config(vocab_size=tokenizer.n_vocab, n_positions=256, n_embd=32, n_layer=1, n_head=2)
    GPT2(shape).save_huggingface(tmp_path / "base")
    opened = open_model(tmp_path / "base")
    assert opened.place.stop_ids(opened.tokenizer) == tuple(
        tokenizer.special_tokens[one] for one in (special[0], special[2])
    )
    turns = [Turn("user", "Say hill <|im_end|>")]
    expected = theirs.apply_chat_template([{"role": "user", "content": "Say hill"}], add_generation_prompt=True)
    assert prompt_ids([Turn("user", "Say hill")], opened.tokenizer, opened.template) == list(
        expected if isinstance(expected, list) else expected["input_ids"]
    )
    marks = [
        one
        for one in prompt_ids(turns, opened.tokenizer, opened.template)
        if one == tokenizer.special_tokens[special[2]]
    ]
    assert len(marks) == 1  # the template's; what the user wrote stays text
    where = ["--model", tmp_path / "base", "--data", folder / "chat.json", "-o", tmp_path / "run", "--lora-rank", 0]
    run("finetune", "chat", *where, "--set", *LEARNS, "data.messages_column=messages")
    assert 'template = "own"' in (tmp_path / "run" / "config.toml").read_text()
    run("model", "export", tmp_path / "run", tmp_path / "mine")
    assert (tmp_path / "mine" / "chat_template.jinja").read_text() == template
    pipe = transformers.pipeline("text-generation", model=str(tmp_path / "mine"))
    messages = [{"role": "user", "content": "Say river"}]
    answer = pipe(messages, max_new_tokens=30, do_sample=False)[0]["generated_text"][-1]["content"]
    assert answer.strip() == "the river"
    assert run("chat", "-m", tmp_path / "run", "--temperature", 0, stdin="Say river\n").strip() == answer.strip()


def test_tuning_needs_an_end_of_text_and_generating_does_not(folder: Path, tmp_path: Path) -> None:
    """A tokenizer without `<|endoftext|>` was a KeyError, in a run at its first sample."""
    plain = Tokenizer.train(texts=[TEXT], vocab_size=300, special_tokens=())
    plain.save(tmp_path / "plain.json")
    other = Tokenizer.train(texts=[TEXT], vocab_size=300, special_tokens=("[EOS]",))
    other.save(tmp_path / "eos.json")
    shape = ["model.n_layer=1", "model.n_head=2", "model.n_embd=32", "model.n_positions=512"]
    for name in ("plain", "eos"):
        run("data", "prepare", folder / "text.txt", "-o", tmp_path / name, "-t", tmp_path / f"{name}.json")
        where = ["-o", tmp_path / f"run-{name}", "--set", f"data.path={tmp_path / name}", *shape]
        run("train", *where, *BRIEFLY, "data.batch_size=2", "train.sample_every=2", 'sample.prompts=["the"]')
        run("generate", "-m", tmp_path / f"run-{name}", "the", "--max-new-tokens", 4)
    where = ["--data", folder / "rows.json", "-o", tmp_path / "tuned", "--set", *BRIEFLY]
    with pytest.raises(ConfigError, match=r"run-plain/.*: this tokenizer has no end of text"):
        run("finetune", "instruct", "--model", tmp_path / "run-plain", *where)
    run("finetune", "instruct", "--model", tmp_path / "run-eos", *where)
    rows = read_rows(folder / "rows.json")
    assert other.eot_token == other.special_tokens["[EOS]"]
    assert conversation_row([Turn("user", rows[0]["instruction"]), Turn("assistant", "a")], other, "alpaca").ids[
        -1
    ] == (other.eot_token)


def test_sharded_over_processes_a_lora_checkpoint_holds_the_adapter_too(folder: Path, tmp_path: Path) -> None:
    """Sharding puts other parameters in the places of those that the task named."""
    where = ["--model", folder / "base", "--data", folder / "rows.json", "-o", tmp_path / "run", "--lora-rank", 2]
    settings = [*BRIEFLY, "train.max_steps=1", "train.parallel=fsdp", "train.micro_batches=2"]
    words = ["-m", "bytemill", "finetune", "instruct", *where, "--set", *settings]
    launch = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    done = subprocess.run([*launch, *map(str, words)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    names = load_file(find_model(tmp_path / "run").folder / "model.safetensors").keys()
    assert names
    assert all("lora" in name for name in names), names
    open_model(tmp_path / "run")
