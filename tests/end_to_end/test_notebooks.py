"""The notebooks of examples/notebooks run from the first cell to the last, with few steps, and are stored clean."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import nbclient
import nbformat
import pytest

FOLDER = Path(__file__).parents[2] / "examples" / "notebooks"
SHORT = {
    "01_tokenizer": "VOCAB_SIZE = 512",
    "02_attention": "LENGTHS, REPEATS = (8, 16), 1",
    "03_gpt2": "STEPS = 2",
    "04_training": "STEPS, TOKENS_PER_ROW, SAMPLE_TOKENS = 1, 16, 2",
    "05_lora": "BASE_STEPS, TUNING_STEPS, SAMPLE_TOKENS = 1, 1, 2",
    "06_preference": "BASE_STEPS, TUNING_STEPS, N_SAMPLES = 1, 1, 2",
}
"""A cell that replaces the parameters of each notebook, as papermill does."""
BADGE = "https://colab.research.google.com/github/ADDRESS-OF-THIS-REPOSITORY/blob/main/examples/notebooks/{}.ipynb"
MAX_BYTES = 20_000


def read(name: str) -> Any:
    return nbformat.read(FOLDER / f"{name}.ipynb", as_version=4)


@pytest.fixture(scope="module")
def kernel(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """One kernel for all notebooks, so torch is imported once; each notebook begins without variables."""
    folder = tmp_path_factory.mktemp("jupyter")
    client = nbclient.NotebookClient(
        nbformat.v4.new_notebook(),
        kernel_name="python3",
        timeout=120,
        coalesce_streams=True,  # as JupyterLab does: lines that follow each other are one output
        extra_arguments=["--HistoryManager.enabled=False"],
        shutdown_kernel="immediate",
        resources={"metadata": {"path": str(folder)}},
    )
    with pytest.MonkeyPatch.context() as patch:
        for name in ("IPYTHONDIR", "JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR", "JUPYTER_RUNTIME_DIR", "TMPDIR"):
            patch.setenv(name, str(folder))
        patch.setenv("JUPYTER_PLATFORM_DIRS", "1")
        patch.setenv("OMP_NUM_THREADS", "1")
        with client.setup_kernel():
            yield client


def executed(notebook: Any, kernel: Any) -> Any:
    """Return the notebook with its outputs."""
    notebook.cells[:0] = [nbformat.v4.new_code_cell("%reset -f")]
    kernel.nb = notebook
    kernel.execute(reset_kc=False, cleanup_kc=False)
    return notebook


def shortened(name: str) -> Any:
    """Return the notebook with few steps."""
    notebook = read(name)
    place = next(i for i, cell in enumerate(notebook.cells) if "parameters" in cell.metadata.get("tags", []))
    notebook.cells[place + 1 : place + 1] = [nbformat.v4.new_code_cell(SHORT[name])]
    return notebook


@pytest.mark.parametrize("name", SHORT)
def test_it_runs(name: str, kernel: Any) -> None:
    notebook = executed(shortened(name), kernel)
    outputs = [cell.outputs for cell in notebook.cells if cell.cell_type == "code" and cell.outputs]
    assert len(outputs) > 5
    streams = [sum(one.output_type == "stream" for one in cell) for cell in outputs]
    assert max(streams) == 1, "the lines of a cell are one output"
    kinds = [
        one.data.keys() for cell in outputs for one in cell if one.output_type in ("display_data", "execute_result")
    ]
    pictures = sum("image/png" in kind for kind in kinds)
    pages = sum("text/html" in kind for kind in kinds)
    assert pictures + pages > 1, "plots, tokens or pages"


def test_training_shows_one_bar_and_one_block_of_lines(kernel: Any) -> None:
    notebook = nbformat.v4.new_notebook()
    source = """
from bytemill.train.run.progress import ProgressLine
line = ProgressLine(3, shown=True)
for step in range(1, 4):
    line.measuring("validation", 0, 2)
    line.show(step, {"loss": 1.5, "val_loss": 2.0, "tokens_per_s": 10.0})
    line.say("[bold] <b>")
line.close()
"""
    notebook.cells = [nbformat.v4.new_code_cell(source)]
    bar, lines = executed(notebook, kernel).cells[-1].outputs
    assert bar.output_type == "display_data"
    assert "3/3" in bar.data["text/plain"]
    assert "loss 1.5000" in bar.data["text/html"]
    assert lines.name == "stdout"
    assert lines.text.count("\n") == 6
    assert lines.text.endswith("step 3 of 3: loss 1.5000 · validation 2.0000 · 10 tokens/s\n[bold] <b>\n")


def test_each_notebook_is_tested() -> None:
    assert sorted(path.stem for path in FOLDER.glob("*.ipynb")) == sorted(SHORT)


@pytest.mark.parametrize("name", SHORT)
def test_it_is_stored_clean(name: str) -> None:
    path = FOLDER / f"{name}.ipynb"
    text = path.read_text(encoding="utf-8")
    notebook = json.loads(text)
    assert path.stat().st_size < MAX_BYTES
    assert not re.search(r"/(?:home|root|work|Users)/", text)
    assert {cell["id"] for cell in notebook["cells"]} == {f"cell-{i:02}" for i in range(1, len(notebook["cells"]) + 1)}
    for cell in notebook["cells"]:
        if cell["cell_type"] == "code":
            assert cell["outputs"] == []
            assert cell["execution_count"] is None


@pytest.mark.parametrize("name", SHORT)
def test_it_has_a_badge_parameters_and_exercises_with_room_to_answer(name: str) -> None:
    first, *cells = read(name).cells
    assert f"]({BADGE.format(name)})" in first.source
    assert next(cell for cell in cells if cell.cell_type == "code").metadata["tags"] == ["parameters"]
    start = next(i for i, cell in enumerate(cells) if cell.source.startswith("## Exercises"))
    exercises, answers = cells[start::2], cells[start + 1 :: 2]
    assert len(exercises) == len(answers) == 3
    for number, (exercise, answer) in enumerate(zip(exercises, answers, strict=True), start=1):
        assert f"**{number}.**" in exercise.source
        assert answer.source == "# Your code"
