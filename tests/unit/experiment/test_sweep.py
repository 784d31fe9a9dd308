"""Sweeps: what is planned, what is done again, and what becomes of runs that fail or are interrupted."""

import json
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from bytemill import Tokenizer
from bytemill.errors import ConfigError, FormatError
from bytemill.experiment.sweep import run as sweep_module
from bytemill.experiment.sweep.plan import read_plan, read_sweep
from bytemill.experiment.sweep.results import SweepResult, sweep_results
from bytemill.experiment.sweep.run import Ended, ended_run, run_command, run_sweep
from bytemill.report.sweep import sweep_markdown, sweep_page

EXAMPLES = Path(__file__).parents[3] / "examples" / "configs"


def written(folder: Path, text: str) -> Path:
    path = folder / "sweep.toml"
    path.write_text(text, encoding="utf-8")
    return path


def test_a_grid_is_every_combination_and_a_list_is_a_list(tmp_path: Path) -> None:
    (tmp_path / "base.toml").write_text('task = "instruct"\n[train]\nmax_steps = 7\n')
    path = written(
        tmp_path,
        'config = "base.toml"\n[grid]\n"lora.r" = [1, 2]\ntrain.learning_rate = [1e-3, 0.01]\n'
        '[[runs]]\nname = "all parameters"\n"lora.r" = 0\n',
    )
    planned = read_sweep(path, ["data.seq_len=64"])
    assert [run.name for run in planned] == [
        "r=1_learning_rate=0.001",
        "r=1_learning_rate=0.01",
        "r=2_learning_rate=0.001",
        "r=2_learning_rate=0.01",
        "all-parameters",
    ]
    assert [run.config.lora.r for run in planned] == [1, 1, 2, 2, 0]
    assert [run.config.train.learning_rate for run in planned] == [1e-3, 0.01, 1e-3, 0.01, 5e-5]
    assert {(run.config.task, run.config.train.max_steps, run.config.data.seq_len) for run in planned} == {
        ("instruct", 7, 64)
    }
    assert planned[0].varied == {"lora.r": 1, "train.learning_rate": 1e-3}
    ordinary, instruction = planned[0].config.sample.prompts
    assert "###" not in ordinary
    assert instruction.endswith("### Response:\n")


def test_a_name_may_be_a_number(tmp_path: Path) -> None:
    assert [run.name for run in read_sweep(written(tmp_path, '[[runs]]\nname = 7\n"lora.r" = 0\n'))] == ["7"]


@pytest.mark.parametrize("name", ["logs", "Configs", "report.html", "-logs-"])
def test_a_run_may_not_be_called_as_the_sweeps_own_folders(tmp_path: Path, name: str) -> None:
    path = written(tmp_path, f'[[runs]]\nname = "{name}"\n"lora.r" = 0\n')
    with pytest.raises(ConfigError, match="but the sweep's folder uses this name; rename the run"):
        read_sweep(path)
    assert read_sweep(written(tmp_path, f'[[runs]]\nname = "{name}2"\n"lora.r" = 0\n'))


def test_lists_and_texts_are_values_too(tmp_path: Path) -> None:
    text = '[grid]\n"lora.target_modules" = [["qkv", "projection"], "all-linear"]\n"lora.bias" = ["none"]'
    planned = read_sweep(written(tmp_path, text))
    assert [run.name for run in planned] == [
        "target_modules=qkv+projection_bias=none",
        "target_modules=all-linear_bias=none",
    ]
    assert planned[0].config.lora.target_modules == ("qkv", "projection")


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", "has no runs; give a [grid] of lists, or [[runs]]"),
        ("lora.r = 1", "lora is unknown, expected one of config, grid, runs; settings of all runs go under [config]"),
        ('[grid]\n"lora.r" = 1', "grid.lora.r is 1, expected a list of values"),
        ('[grid]\n"lora.rank" = [1]', "lora.rank is not a setting"),
        ('[grid]\n"train.learning_rate" = [-1.0]', "train.learning_rate is -1.0"),
        ('runs = ["a"]', "runs has another form, expected [[runs]], one table per run"),
        ("config = 3\n[grid]\na = [1]", "config is 3, expected a file name or a table of settings"),
        ('[[runs]]\nname = "a b"\n[[runs]]\nname = "a/b"', "two runs are called 'a-b'; rename one of them"),
    ],
)
def test_what_cannot_be_planned_is_named(tmp_path: Path, text: str, sentence: str) -> None:
    path = written(tmp_path, text)
    with pytest.raises(ConfigError) as caught:
        read_sweep(path)
    assert str(caught.value).startswith(f"{path}: {sentence}")


@pytest.mark.parametrize("path", sorted(EXAMPLES.glob("sweep_*.toml")), ids=lambda path: path.stem)
def test_the_examples_are_sweeps(path: Path) -> None:
    planned = read_sweep(path, ["base=somewhere"])
    assert len(planned) >= 4
    assert {run.config.task for run in planned} == {"instruct"}
    assert len({run.config.model_dump_json() for run in planned}) == len(planned)


# A stand-in for `python -m bytemill …`: writes what a run would, and ends as its name says.
_STAND_IN = """
import json, os, pathlib, signal, sys, time
out, resumed = pathlib.Path(sys.argv[1]), "--resume" in sys.argv
out.mkdir(parents=True, exist_ok=True)
(out / "config.toml").write_text("")
(out / "gpu.txt").write_text(os.environ.get("CUDA_VISIBLE_DEVICES", "none"))
with (out / "tries.txt").open("a") as tries:
    tries.write("resumed " if resumed else "fresh ")
if "slow" in out.name and not resumed:
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    (out.parent / "slow_began").write_text("")
    time.sleep(60)
rows = [{"step": s, "loss": 3.0 - s, "memory_mib": 5.0} for s in (1, 2)] + [{"step": 2, "val_loss": 1.5}]
(out / "metrics.jsonl").write_text("".join(json.dumps(row) + "\\n" for row in rows))
(out / "samples.jsonl").write_text(json.dumps({"step": 2, "prompt": "Hi", "text": out.name}) + "\\n")
(out / "environment.json").write_text(json.dumps({"parameters": {"all": 9, "trainable": 4}}))
if "bad" in out.name and not resumed:
    print("bytemill: the loss is nan", file=sys.stderr)
    sys.exit(1)
"""


@pytest.fixture
def stand_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    script = tmp_path / "stand_in.py"
    script.write_text(_STAND_IN)

    def command(run: Any, folder: Path) -> list[str]:
        resume = run_command(run, folder)[-1]
        return [sys.executable, str(script), str(folder / run.name), *([resume] if resume == "--resume" else [])]

    monkeypatch.setattr(sweep_module, "run_command", command)
    monkeypatch.setattr(sweep_module, "visible_gpus", list)


def planned_of(tmp_path: Path, *names: str, steps: int = 3) -> Any:
    runs = "".join(f'[[runs]]\nname = "{name}"\n"data.seed" = {i}\n' for i, name in enumerate(names))
    return read_sweep(written(tmp_path, f"[config.train]\nmax_steps = {steps}\n{runs}"))


def tries(folder: Path, name: str) -> str:
    return (folder / name / "tries.txt").read_text().strip()


@pytest.mark.usefixtures("stand_in")
def test_done_runs_are_skipped_and_failed_ones_tried_again(tmp_path: Path) -> None:
    planned, folder = planned_of(tmp_path, "good", "bad", "last"), tmp_path / "sweep"
    told: list[tuple[str, int | None]] = []

    def shown(run: Any, ended: Ended | None) -> None:
        told.append((run.name, ended and ended.exit_code))

    ended = run_sweep(planned, folder, shown=shown)
    assert told == [("good", None), ("good", 0), ("bad", None), ("bad", 1), ("last", None), ("last", 0)]
    assert [(one.exit_code, one.error) for one in ended] == [(0, ""), (1, "the loss is nan"), (0, "")]
    first = ended_run(folder / "bad")
    ended = run_sweep(planned, folder, parallel=2)
    assert [one.exit_code for one in ended] == [0, 0, 0]
    assert [tries(folder, name) for name in ("good", "bad", "last")] == ["fresh", "fresh resumed", "fresh"]
    assert first is not None
    assert ended[1].seconds > first.seconds


@pytest.mark.usefixtures("stand_in")
def test_each_gpu_has_a_run_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sweep_module, "visible_gpus", lambda: ["3", "5"])
    folder, at_once, most = tmp_path / "sweep", 0, 0

    def shown(_: Any, ended: Ended | None) -> None:
        nonlocal at_once, most
        at_once += 1 if ended is None else -1
        most = max(most, at_once)

    run_sweep(planned_of(tmp_path, "a", "b", "c", "d"), folder, shown=shown)
    used = [(folder / name / "gpu.txt").read_text() for name in "abcd"]
    assert most == 2
    assert set(used) == {"3", "5"}
    assert used[0] != used[1]


def test_gpus_are_called_as_the_environment_calls_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torch.cuda.device_count", lambda: 2)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    assert sweep_module.visible_gpus() == ["0", "1"]
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "4,GPU-abc")
    assert sweep_module.visible_gpus() == ["4", "GPU-abc"]


@pytest.mark.usefixtures("stand_in")
def test_a_run_with_other_settings_than_it_began_with_is_refused(tmp_path: Path) -> None:
    folder = tmp_path / "sweep"
    run_sweep(planned_of(tmp_path, "one"), folder)
    with pytest.raises(ConfigError, match=r"one: was started with other settings: train\.max_steps was 3 and is 4 now"):
        run_sweep(planned_of(tmp_path, "one", "two", steps=4), folder)
    run_sweep(planned_of(tmp_path, "one", "two"), folder)
    assert tries(folder, "two") == "fresh"


_SWEEP = """
import pathlib, sys
from bytemill.experiment.sweep import run as sweep
from bytemill.experiment.sweep.plan import read_sweep
script, plan, folder = map(pathlib.Path, sys.argv[1:])
real = sweep.run_command
def command(run, folder):
    resume = [part for part in real(run, folder) if part == "--resume"]
    return [sys.executable, str(script), str(folder / run.name), *resume]
sweep.run_command, sweep.visible_gpus = command, list
sweep.run_sweep(read_sweep(plan), folder)
"""


@pytest.mark.usefixtures("stand_in")
def test_an_interrupted_sweep_stops_its_run_and_goes_on_with_it(tmp_path: Path) -> None:
    planned, folder = planned_of(tmp_path, "quick", "slow"), tmp_path / "sweep"
    command = [sys.executable, "-c", _SWEEP, tmp_path / "stand_in.py", tmp_path / "sweep.toml", folder]
    process = subprocess.Popen(list(map(str, command)), stderr=subprocess.PIPE)
    until = time.monotonic() + 60
    while not (folder / "slow_began").exists() and time.monotonic() < until:
        time.sleep(0.05)
    with pytest.raises(ConfigError, match="another sweep, or a run of one, is using this folder"):
        run_sweep(planned, folder)
    process.send_signal(signal.SIGTERM)
    _, said = process.communicate(timeout=60)
    assert b"Interrupted: stopped by SIGTERM" in said
    assert ended_run(folder / "quick") is not None
    assert ended_run(folder / "slow") is None
    assert [ended.exit_code for ended in run_sweep(planned, folder)] == [0, 0]
    assert (tries(folder, "quick"), tries(folder, "slow")) == ("fresh", "fresh resumed")


@pytest.mark.usefixtures("stand_in")
def test_the_page_and_the_table_compare_what_there_is(tmp_path: Path) -> None:
    planned, folder = planned_of(tmp_path, "good", "bad", "waits"), tmp_path / "sweep"
    run_sweep(planned[:2], folder)
    results = sweep_results(planned, folder)
    assert [result.state for result in results] == ["done", "failed: the loss is nan", "not begun"]
    assert (results[0].train_loss, results[0].validation_loss, results[0].n_trainable) == (1.0, 1.5, 4)
    table = sweep_markdown(results).splitlines()
    assert sweep_page(results).title == "Sweep of data.seed: 3 runs"
    assert table[0].startswith("|  | validation loss | data.seed | training loss | lowest | steps | trainable |")
    assert table[2].startswith("| 1 | 1.5000 | 0 | 1.0000 | 1.5000 | 2 | 4 | 5.2")
    assert table[2].endswith("| done | good |")
    assert table[4].endswith("| not begun | waits |")
    html = sweep_page(results).html()
    assert "there is nothing to compare. 1 of 3 runs are done, 1 failed." in html
    assert html.count("<h4>seed=0</h4>") == 1
    assert "Validation loss" in html


def test_a_page_of_many_runs_keeps_their_colours_apart() -> None:
    def result(i: int) -> SweepResult:
        metrics = [{"step": step, "loss": 2.0 + i, "val_loss": 2.0 + i / 10} for step in range(1, 4)]
        samples = [{"step": 3, "prompt": "Hi", "text": f"text {i}"}]
        return SweepResult(f"run-{i}", {"lora.r": i}, Ended(0, 1.0), 7, metrics, samples)

    html = sweep_page([result(i) for i in range(14)]).html()
    assert [f"Validation loss, {i} of 3" in html for i in (1, 2, 3, 4)] == [True, True, True, False]
    assert all(f"text {i}" in html for i in range(14))
    assert "<code>r=0</code> is best: 2.0000 validation loss, 0.1000 below the next." in html
    assert all(f"r={i}. training: from {2.0 + i:.3f} at step" in html for i in range(8))
    assert "run-3. training" not in sweep_page([result(3)], each_run=False).html()


def test_a_table_has_columns_for_few_settings_that_differ() -> None:
    def results(**settings: list[Any]) -> list[SweepResult]:
        rows = [dict(zip(settings, values, strict=True)) for values in zip(*settings.values(), strict=True)]
        return [SweepResult(str(row), row, None, None, [], []) for row in rows]

    def header(**settings: list[Any]) -> str:
        return sweep_markdown(results(**settings)).splitlines()[0].partition(" training loss")[0]

    assert header(r=[1, 2], epochs=[3, 3], bias=["none", "all"]) == "|  | validation loss | r | bias |"
    assert header(**{name: [1, 2] for name in "abcdefgh"}) == "|  | validation loss | a | b | c | d | e | f |"
    page = sweep_page(results(r=[1, 2], epochs=[3, 3], bias=["none", "all"]))
    assert page.title == "Sweep of r, bias: 2 runs"
    assert "The same in all runs: <code>epochs</code> 3." in page.html()


def test_a_setting_that_only_some_runs_name_has_its_value_in_all(tmp_path: Path) -> None:
    path = written(tmp_path, '[config]\ntask = "lm"\n[[runs]]\nname = "a"\n[[runs]]\nname = "b"\nlora.r = 3\n')
    found = sweep_results(read_sweep(path), tmp_path / "s")
    assert [one.varied["lora.r"] for one in found] == [read_sweep(path)[0].config.lora.r, 3]


def test_a_sweep_is_read_back_from_its_folder(tmp_path: Path) -> None:
    planned, folder = planned_of(tmp_path, "good", "bad"), tmp_path / "sweep"
    run_sweep(planned, folder)
    again = read_plan(folder)
    assert sweep_markdown(sweep_results(again, folder)) == sweep_markdown(sweep_results(planned, folder))
    (folder / "plan.json").write_text('{"runs": [{"name": "../good", "varied": {}}]}')
    with pytest.raises(FormatError, match=r"plan\.json: run 1: expected a name of a folder"):
        read_plan(folder)


@pytest.mark.parametrize("grid", ["[1]", "3", '"r"'])
def test_a_grid_that_is_no_table_is_one_sentence(tmp_path: Path, grid: str) -> None:
    """It was an AttributeError."""
    with pytest.raises(ConfigError, match=r"grid is .*, expected a table with a list of values per setting"):
        read_sweep(written(tmp_path, f"grid = {grid}\n"))


def test_the_ready_sweep_of_ranks_has_those_of_the_reports() -> None:
    planned = read_sweep(Path(__file__).parents[3] / "examples" / "configs" / "sweep_rank.toml")
    assert [run.config.lora.r for run in planned] == [0, 1, 2, 4, 8, 16, 32, 64]
    assert {run.config.lora.lora_alpha / run.config.lora.r for run in planned[1:]} == {2}
    assert all(run.config.train.tensorboard for run in planned)


def test_samples_are_asked_for_in_the_template_of_the_rows(tmp_path: Path) -> None:
    base = '[config]\ntask = "chat"\n[config.data]\nchat_template = "chatml"\n[grid]\nlora.r = [1]\n'
    (run,) = read_sweep(written(tmp_path, base))
    assert run.config.sample.prompts[1].startswith("<|im_start|>user\n")
    assert (run.config.train.sample_every, run.config.train.sample_each_epoch) == (1_000_000_000, False)


def test_a_real_run(tmp_path: Path) -> None:
    tokenizer = Tokenizer.train(texts=["say the number "] * 9, vocab_size=270)
    tokenizer.save(tmp_path / "tokenizer.json")
    rows = [{"instruction": f"say {n}", "input": "", "output": f"the number {n}"} for n in range(40)]
    (tmp_path / "rows.json").write_text(json.dumps(rows))
    small = {"n_layer": 1, "n_head": 2, "n_embd": 16, "n_positions": 256}
    model = "".join(f"{name} = {value}\n" for name, value in small.items())
    text = (
        f'[config]\ntask = "instruct"\n[config.model]\n{model}[config.data]\nseq_len = 256\n'
        f'path = "{tmp_path}/rows.json"\ntokenizer = "{tmp_path}/tokenizer.json"\n'
        "[config.train]\nmax_steps = 2\nwarmup_steps = 1\neval_every = 2\nthreads = 1\ntensorboard = false\n"
        "[config.sample]\nmax_new_tokens = 3\n[grid]\nlora.r = [1]\n"
    )
    command = [sys.executable, "-m", "bytemill", "sweep", "-c", str(written(tmp_path, text)), "-o", str(tmp_path / "s")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert [line.rpartition(" | ")[2] for line in lines[2:]] == ["r=1 |"]
    assert all("| done |" in line for line in lines[2:])
    assert "there is nothing to compare" in (tmp_path / "s" / "report.html").read_text()
    results = sweep_results(read_sweep(tmp_path / "sweep.toml"), tmp_path / "s")
    assert [len(result.samples) for result in results] == [2]
    assert results[0].n_trainable == (16 + 48) + (16 + 16) + (16 + 64) + (64 + 16)
