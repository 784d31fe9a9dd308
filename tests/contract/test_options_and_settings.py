"""Options of training commands set the same settings as --set; two that contradict each other are an error."""

import tomllib

import pytest

from bytemill.cli import main

RESUMED = "[train]\nmax_steps = 7\nlearning_rate = 0.5\n"


@pytest.fixture
def run(capfd, monkeypatch, tmp_path):
    """Runs `bytemill ARGUMENTS…` in this process, in an empty folder: exit code, stdout, stderr."""
    monkeypatch.chdir(tmp_path)

    def call(*arguments):
        monkeypatch.setattr("sys.argv", ["bytemill", *map(str, arguments)])
        with pytest.raises(SystemExit) as stopped:
            main()
        return (stopped.value.code or 0, *capfd.readouterr())

    return call


def settings_of(outcome):
    code, out, err = outcome
    assert code == 0, err
    return tomllib.loads(out)


@pytest.mark.parametrize(
    ("command", "options", "settings"),
    [
        ("train", "--steps 12 --learning-rate 1e-3", "train.max_steps=12 train.learning_rate=0.001"),
        ("train", "--epochs 2 --batch-size 4", "train.epochs=2 data.batch_size=4"),
        ("train", "--seq-len 64 --seed 3", "data.seq_len=64 train.seed=3"),
        ("train", "--layers 2 --heads 4 --width 64", "model.n_layer=2 model.n_head=4 model.n_embd=64"),
        ("train", "--time-limit 2m", "train.max_seconds=120"),
        ("finetune lm", "--lora-rank 0 --epochs 0.5", "lora.r=0 train.epochs=0.5"),
        ("finetune lm", "--steps 9", "train.max_steps=9"),
        ("finetune classify", "--lora-rank 4", "lora.r=4"),
        ("finetune preference", "--beta 0.3", "preference.beta=0.3"),
        (
            "finetune instruct",
            "--model m --data rows.json -t t.json",
            "base=m data.path=rows.json data.tokenizer=t.json",
        ),
    ],
)
def test_options_and_set_are_one_mechanism(run, command, options, settings):
    by_option = settings_of(run(*command.split(), *options.split(), "--print-config"))
    by_set = settings_of(run(*command.split(), "--set", *settings.split(), "--print-config"))
    assert by_option == by_set
    assert by_option != settings_of(run(*command.split(), "--print-config"))


def test_an_option_changes_the_file_of_config(run, tmp_path):
    (tmp_path / "c.toml").write_text(RESUMED)
    found = settings_of(run("train", "-c", "c.toml", "--steps", 5, "--print-config"))["train"]
    assert (found["max_steps"], found["learning_rate"]) == (5, 0.5)


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        ("train --steps 3 --set train.max_steps=4", ("--steps 3", "--set train.max_steps=4")),
        ("train --steps 3 --set train.seed=1 train.max_steps=4", ("--steps 3", "--set train.max_steps=4")),
        ("train --learning-rate 1e-3 --set train.learning_rate=0.002", ("--learning-rate 0.001", "=0.002")),
        ("train --steps 3 --epochs 2", ("--steps 3", "--epochs 2")),
        ("train --steps 3 --set train.epochs=2", ("--steps 3", "--set train.epochs=2")),
        ("train --epochs 2 --set train.max_steps=3", ("--epochs 2", "--set train.max_steps=3")),
        ("train --width 64 --set model.n_embd=32", ("--width 64", "--set model.n_embd=32")),
        ("train --time-limit 3m --set train.max_seconds=4", ("--time-limit 3m", "--set train.max_seconds=4")),
        ("finetune lm --lora-rank 4 --set lora.r=8", ("--lora-rank 4", "--set lora.r=8")),
        ("finetune lm --data a.txt --set data.path=b.txt", ("--data a.txt", "--set data.path=b.txt")),
        ("finetune preference --beta 0.1 --set preference.beta=0.2", ("--beta 0.1", "--set preference.beta=0.2")),
    ],
)
def test_contradictions_name_both(run, arguments, named):
    code, out, err = run(*arguments.split())
    assert (code, out, len(err.splitlines())) == (2, "", 1)
    assert all(one in err for one in named), err


@pytest.mark.parametrize(
    "arguments",
    [
        "train --steps 3 --set train.max_steps=3",
        "train --epochs 2 --set train.epochs=2.0",
        "train --time-limit 2m --set train.max_seconds=120",
        "finetune lm --data a.txt --set data.path='\"a.txt\"'",
    ],
)
def test_the_same_value_twice_is_no_contradiction(run, arguments):
    assert settings_of(run(*arguments.replace("'", "").split(), "--print-config"))


@pytest.mark.parametrize(
    ("setting", "suggested"),
    [
        ("train.batch_size", "data.batch_size"),
        ("learning_rate", "train.learning_rate"),
        ("data.lerning_rate", "train.learning_rate"),
        ("train.n_layer", "model.n_layer"),
        ("model.batch_size", "data.batch_size"),
        ("train.lr", "train.learning_rate"),
        ("lora.rank", "lora.r"),
        ("classify.seed", "data.seed or train.seed or sample.seed"),
    ],
)
def test_a_wrong_name_is_suggested_from_all_sections(run, tmp_path, setting, suggested):
    (tmp_path / "a.txt").write_text("a text")
    code, _, err = run("finetune", "lm", "--data", "a.txt", "-t", "gpt2", "--set", f"{setting}=1")
    assert (code, err) == (2, f"bytemill: {setting} is not a setting; did you mean {suggested}?\n")


def test_a_folder_that_holds_a_run_names_resume(run, tmp_path):
    (tmp_path / "runs").mkdir()
    (tmp_path / "runs" / "config.toml").touch()
    code, _, err = run("train", "-o", "runs", "--set", "data.path=nowhere")
    assert (code, err) == (
        2,
        "bytemill: runs: already contains a run; continue it with --resume, or give another folder with --output\n",
    )
