"""The API reference can be built, and speaks of what a user imports."""

import subprocess
import sys
from pathlib import Path

REPOSITORY = Path(__file__).parents[2]


def test_the_reference_is_built(tmp_path: Path) -> None:
    dry = subprocess.run(
        ["make", "--dry-run", "--always-make", "docs"], cwd=REPOSITORY, capture_output=True, text=True, check=True
    )
    (command,) = [line for line in dry.stdout.splitlines() if "-m pdoc" in line]
    arguments = command.replace("build/api", str(tmp_path)).split()[1:]
    done = subprocess.run([sys.executable, *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    for page, name in {
        "bytemill.html": "Tokenizer.encode_with_offsets",
        "bytemill/data/loader.html": "TokenLoader.state_dict",
        "bytemill/model.html": "GPT2.from_huggingface",
        "bytemill/model/lora.html": "save_adapter",
        "bytemill/train/config.html": "TrainConfig.learning_rate",
        "bytemill/evaluate/judge.html": "Judge.first_wait_s",
    }.items():
        assert f'id="{name}"' in (tmp_path / page).read_text(encoding="utf-8"), (page, name)
