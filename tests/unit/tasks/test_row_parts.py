"""Training, test and validation rows: by shares, from files of their own, a number of training rows, a text's end."""

import json

import pytest
import torch

from bytemill import Tokenizer
from bytemill.data.rows import encode_texts, split_rows
from bytemill.data.rows.split import split_text
from bytemill.errors import CheckpointError, ConfigError, DataError
from bytemill.tasks.labelled_parts import labelled_rows
from bytemill.tasks.preference import preference_task_from_config
from bytemill.tasks.row_parts import row_parts
from bytemill.tasks.tuning import tuning_task_from_config
from bytemill.train.config import changed_settings, former_settings, load_config
from bytemill.train.loop import fit
from bytemill.train.run.checkpoint import _spell
from bytemill.train.run.metrics import read_json_lines

ROWS = [{"text": f"text {i}", "label": "ab"[i % 2]} for i in range(1100)]
SHAPE = ["model.n_layer=1", "model.n_head=2", "model.n_embd=8", "data.seq_len=16"]


def config_of(task="lm", *overrides):
    return load_config(overrides=[f"task={task}", *overrides])


def parts_of(task="lm", *overrides, rows=ROWS, at_most=0):
    return row_parts(config_of(task, *overrides), rows, lambda name: [{"text": name}], at_most=at_most)


def sizes(parts):
    return [len(part) for part in parts]


class TestShares:
    def test_the_default_parts_are_those_of_older_runs(self) -> None:
        """Runs made before go on with the rows that they began with."""
        assert list(parts_of("instruct")) == split_rows(ROWS)
        train, validation, test = split_rows(ROWS, (0.7, 0.1, 0.2))
        assert list(parts_of("classify")) == [train, test, validation]

    @pytest.mark.parametrize(("task", "split"), [("lm", "[0.85, 0.1, 0.05]"), ("classify", "[0.7, 0.2, 0.1]")])
    def test_the_default_given_explicitly_is_the_default(self, task, split) -> None:
        assert parts_of(task, f"data.split={split}") == parts_of(task)

    @pytest.mark.parametrize("task", ["lm", "instruct", "chat", "classify", "preference"])
    def test_a_split_that_is_turned_off_trains_on_all(self, task) -> None:
        parts = parts_of(task, "data.split=[1.0, 0, 0]")
        assert sizes(parts) == [1100, 0, 0]
        assert sorted(row["text"] for row in parts.train) == sorted(row["text"] for row in ROWS)

    def test_shares_of_ones_own(self) -> None:
        assert sizes(parts_of("instruct", "data.split=[0.5, 0.2, 0.3]")) == [550, 220, 330]
        assert sizes(parts_of("classify", "data.split=[0.5, 0.2, 0.3]")) == [550, 220, 330]

    @pytest.mark.parametrize("split", ["[0.5, 0.2, 0.2]", "[1.5, -0.5, 0]", "[0, 0.5, 0.5]", "[0.5, 0.5]", "[]"])
    def test_shares_that_are_none_are_refused(self, split) -> None:
        with pytest.raises(
            ConfigError, match=r"^data\.split is .*, expected shares of training, test and validation rows"
        ):
            parts_of("lm", f"data.split={split}")

    def test_a_share_that_is_nan_is_refused(self) -> None:
        with pytest.raises(ConfigError, match=r"^data\.split\.0 is nan: Input should be a finite number"):
            parts_of("lm", "data.split=[nan, 0, 0]")

    @pytest.mark.parametrize("setting", ["val=x", "test=x", "split=[1.0, 0, 0]", "train_rows=3"])
    def test_shards_have_their_own_split(self, setting) -> None:
        with pytest.raises(ConfigError, match=f"data.{setting.partition('=')[0]} is for tasks with rows"):
            config_of("pretrain", f"data.{setting}")


class TestTrainingRows:
    @pytest.mark.parametrize(("wanted", "n"), [(1, 1), (934, 934), (935, 935), (1024, 935)])
    def test_as_many_as_wanted_and_no_row_of_another_part(self, wanted, n) -> None:
        whole, parts = parts_of("instruct"), parts_of("instruct", f"data.train_rows={wanted}")
        assert parts.train == whole.train[:n]
        assert parts[1:] == whole[1:]

    def test_1024_of_1024_rows(self) -> None:
        parts = parts_of("instruct", "data.train_rows=1024", "data.split=[1.0, 0, 0]", rows=ROWS[:1024])
        assert sizes(parts) == [1024, 0, 0]


class TestFilesOfTheirOwn:
    @pytest.mark.parametrize(
        ("task", "settings", "expected"),
        [
            ("instruct", ["data.val=v"], [990, 110, 1]),
            ("instruct", ["data.test=t"], [1045, 1, 55]),
            ("instruct", ["data.val=v", "data.test=t"], [1100, 1, 1]),
            ("classify", ["data.val=v"], [880, 220, 1]),
            ("classify", ["data.test=t"], [990, 1, 110]),
            ("instruct", ["data.val=v", "data.split=[0.9, 0.1, 0]"], [990, 110, 1]),
        ],
    )
    def test_their_share_is_trained(self, task, settings, expected) -> None:
        parts = parts_of(task, *settings)
        assert sizes(parts) == expected
        for part, name in ((parts.test, "t"), (parts.validation, "v")):
            assert len(part) > 1 or part == [{"text": name}]

    @pytest.mark.parametrize(("name", "split"), [("val", "[0.9, 0, 0.1]"), ("test", "[0.9, 0.1, 0]")])
    def test_a_file_and_a_share_are_one_too_many(self, name, split) -> None:
        with pytest.raises(
            ConfigError, match=rf"data\.split keeps 0\.1 of the rows for {name}, and data\.{name} names others"
        ):
            config_of("lm", f"data.{name}=x", f"data.split={split}")

    @pytest.fixture
    def folder(self, tmp_path):
        for name, n in (("train", 20), ("val", 3), ("test", 4)):
            rows = [{"text": f"{name} {i}", "label": "ab"[i % 2]} for i in range(n)]
            (tmp_path / f"{name}.json").write_text(json.dumps(rows))
        pairs = [{"instruction": f"{i}", "chosen": "yes", "rejected": "no"} for i in range(4)]
        (tmp_path / "pairs.json").write_text(json.dumps(pairs))
        Tokenizer.train(texts=["text val test"], vocab_size=258).save(tmp_path / "tokenizer.json")
        return tmp_path

    def settings(self, folder, task, *more):
        places = [f"data.{name}={folder / f'{name}.json'}" for name in ("val", "test")]
        own = [f"data.path={folder / 'train.json'}", *places, f"data.tokenizer={folder / 'tokenizer.json'}"]
        return config_of(task, *own, *SHAPE, "train.device=cpu", "train.precision=fp32", *more)

    def test_they_validate_and_test(self, folder, tmp_path) -> None:
        task, config, reports = tuning_task_from_config(self.settings(folder, "lm", "train.epochs=0.1"))
        assert [report.partition(",")[0] for report in reports] == [
            "training: 20 of 20 rows used", "validation: 3 of 3 rows used", "test: 4 of 4 rows used"
        ]  # fmt: skip
        fit(task, config, tmp_path / "run", progress=False)
        task.model.eval()
        with torch.no_grad():
            assert set(task.test()) == {"test_loss", "test_perplexity", "test_bits_per_byte"}
            assert task.test()["test_loss"] > 0

    def test_classes(self, folder) -> None:
        rows = labelled_rows(self.settings(folder, "classify"), Tokenizer.load(folder / "tokenizer.json"))
        assert [len(part.rows) for part in rows] == [20, 3, 4]

    def test_pairs(self, folder) -> None:
        from bytemill.model import GPT2, GPT2Config

        n_vocab = Tokenizer.load(folder / "tokenizer.json").n_vocab
        model = GPT2(GPT2Config(vocab_size=n_vocab, n_positions=256, n_embd=8, n_layer=1, n_head=2))
        model.save_huggingface(folder / "base")
        places = [f"data.{name}={folder / 'pairs.json'}" for name in ("path", "val", "test")]
        more = [*places, "data.seq_len=256", f"base={folder / 'base'}"]
        config = load_config(overrides=["task=preference", *more, f"data.tokenizer={folder / 'tokenizer.json'}"])
        task, _, reports = preference_task_from_config(config)
        assert [report.partition(",")[0] for report in reports] == [
            "training: 4 of 4 pairs used", "validation: 4 of 4 pairs used", "test: 4 of 4 pairs used"
        ]  # fmt: skip
        with torch.no_grad():
            assert task.test()["test_loss"] == pytest.approx(0.6931, abs=1e-4)

    def test_a_file_that_is_of_no_use_is_named(self, folder) -> None:
        (folder / "val.json").write_text(json.dumps([{"text": ""}]))
        with pytest.raises(DataError, match=r"val\.json: no row can be trained on: .* 1 with an empty text"):
            tuning_task_from_config(self.settings(folder, "lm"))
        with pytest.raises(DataError, match=r"val\.json: no row has a column 'label'"):
            labelled_rows(self.settings(folder, "classify"), Tokenizer.load(folder / "tokenizer.json"))


class TestOneText:
    TEXT = "".join(f"Line {i} of a text.\n" for i in range(1000))

    def test_a_text_is_split_at_its_lines(self) -> None:
        parts = parts_of(rows=[{"text": self.TEXT}])
        texts = [part[0]["text"] for part in parts]
        assert "".join(texts) == self.TEXT
        assert [round(len(text) / len(self.TEXT), 2) for text in texts] == [0.85, 0.1, 0.05]
        assert all(text.endswith("\n") for text in texts)

    @pytest.mark.parametrize("text", ["", "a", "no blank here" * 3, "a b", "\n", "words " * 5000])
    @pytest.mark.parametrize("shares", [(0.85, 0.1, 0.05), (1.0, 0, 0), (0.5, 0, 0.5)])
    def test_no_character_is_lost(self, text, shares) -> None:
        pieces = split_text(text, shares)
        assert "".join(pieces) == text
        assert [piece for piece, share in zip(pieces, shares, strict=True) if not share and piece] == []

    def test_a_break_far_away_is_not_taken(self) -> None:
        assert [len(piece) for piece in split_text("title\n" + "x" * 9994, (0.85, 0.15))] == [8500, 1500]

    def test_a_text_file_is_trained_on_whole(self, tmp_path) -> None:
        (tmp_path / "book.txt").write_text(self.TEXT)
        tokenizer = Tokenizer.train(texts=[self.TEXT], vocab_size=280)
        tokenizer.save(tmp_path / "tokenizer.json")
        places = [f"data.path={tmp_path / 'book.txt'}", f"data.tokenizer={tmp_path / 'tokenizer.json'}"]
        task, _, reports = tuning_task_from_config(config_of("lm", *places, *SHAPE, "data.split=[1.0, 0, 0]"))
        n_labels = sum(int(row.trained().sum()) for row in task.batches._rows)
        assert n_labels == len(tokenizer.encode_ordinary(self.TEXT)) + 1
        assert reports[1] == "validation: no rows are kept aside"


class TestResumed:
    @pytest.fixture
    def folder(self, tmp_path):
        rows = [{"text": "the river and the hill " * (i % 5 + 1)} for i in range(40)]
        (tmp_path / "rows.json").write_text(json.dumps(rows))
        Tokenizer.train(texts=[row["text"] for row in rows], vocab_size=258).save(tmp_path / "tokenizer.json")
        return tmp_path

    def settings(self, folder, *more):
        return [
            "task=lm",
            f"data.path={folder / 'rows.json'}",
            f"data.tokenizer={folder / 'tokenizer.json'}",
            *SHAPE,
            "train.max_steps=2",
            "train.eval_every=0",
            "train.device=cpu",
            "train.precision=fp32",
            "train.tensorboard=false",
            *more,
        ]

    def tune(self, folder, *more, resume=False):
        from bytemill.cli.given_settings import resolve

        run = folder / "run"
        given = list(more) if resume else self.settings(folder, *more)
        task, config, _ = tuning_task_from_config(resolve(None, given, run if resume else None))
        return fit(task, config, run, resume=resume, progress=False)

    def as_made_before(self, folder) -> None:
        """Take the settings out that did not exist when older runs were saved."""
        path = folder / "run" / "config.toml"
        lines = path.read_text().splitlines(keepends=True)
        path.write_text("".join(line for line in lines if not line.startswith(("long_texts", "train_rows"))))
        for state in folder.glob("run/checkpoints/*/state.json"):
            fields = json.loads(state.read_text())
            for name in ("long_texts", "train_rows", "split", "val", "test"):
                del fields["settings"]["data"][name]
            state.write_text(_spell(fields))

    def test_a_run_made_before_windows_goes_on_with_its_cut_texts(self, folder) -> None:
        self.tune(folder, "data.long_texts=cut")
        self.as_made_before(folder)
        assert self.tune(folder, "train.max_steps=3", resume=True).steps == 3
        changes = read_json_lines(folder / "run" / "changes.jsonl")
        assert [change["setting"] for change in changes] == ["train.max_steps"]
        assert 'long_texts = "cut"' in (folder / "run" / "config.toml").read_text()

    def test_a_new_run_goes_on_with_its_windows(self, folder) -> None:
        self.tune(folder)
        assert self.tune(folder, "train.max_steps=3", resume=True).steps == 3
        assert 'long_texts = "window"' in (folder / "run" / "config.toml").read_text()

    def test_settings_that_a_run_lacks_are_what_it_did(self) -> None:
        config = load_config()
        assert former_settings(config.model_dump()) == []
        old = load_config(overrides=former_settings({"data": {}}))
        assert changed_settings(config, old) == [("data.long_texts", "window", "cut")]

    @pytest.mark.parametrize(
        ("setting", "sentence"),
        [
            ("data.seed=7", r"data\.seed was 0 when .*run began and is 7 now: it sets the order of the data"),
            ("data.max_rows=9", r"run was trained on other rows: data\.max_rows was 0 and is 9 now"),
            ("data.split=[1.0, 0, 0]", r"other rows: data\.split was None and is \[1\.0, 0\.0, 0\.0\] now"),
            ("data.long_texts=cut", r"other rows: data\.long_texts was 'window' and is 'cut' now"),
        ],
    )
    def test_other_rows_on_resume_name_the_setting(self, folder, setting, sentence) -> None:
        self.tune(folder)
        with pytest.raises((ConfigError, CheckpointError), match=sentence):
            self.tune(folder, setting, resume=True)

    def test_the_rows_of_a_run_with_default_settings_are_those_of_the_version_before(self) -> None:
        class Letters:
            eot_token = 256

            def encode_ordinary(self, text):
                return list(text.encode())

        rows = [{"text": f"text number {i}"} for i in range(40)]
        train = row_parts(config_of("lm"), rows, lambda _: []).train
        cut = encode_texts(split_rows(rows)[0], Letters(), max_tokens=256)
        windows = encode_texts(train, Letters(), max_tokens=256, long_texts="window")
        assert windows.fingerprint() == cut.fingerprint() == OLD_FINGERPRINT


OLD_FINGERPRINT = "5838d76cda3b2a1f003d3ddc1c847bd148610852ce5048b8b5bae388b3271a3f"
"""As the version before windows printed it."""
