"""Read rows in Arrow formats: Parquet files, and folders of the package datasets' `save_to_disk`."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from bytemill.errors import ArgumentError, DataError
from bytemill.json_reader import read_object

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

__all__ = ["parquet_table", "saved_data_set"]

_STATE, _SPLITS = "state.json", "dataset_dict.json"


def parquet_table(path: Path, _: Sequence[str], __: list[str]) -> list[dict[str, Any]]:
    """Return the rows of a .parquet."""
    pyarrow = _pyarrow(path, "parquet")
    _refuse_other_than_file(path)
    try:
        found: list[dict[str, Any]] = pyarrow.parquet.read_table(path).to_pylist()
    except pyarrow.ArrowException as error:
        raise DataError(f"{path}: incomplete or damaged Parquet file: {error}") from None
    return found


def saved_data_set(folder: Path) -> list[dict[str, Any]]:
    """Return the rows of a folder of `datasets.save_to_disk`; if it has several splits, the `train` split.

    Raises:
        DataError: The folder is not of this kind, has no split `train`, or a file is missing or damaged.
    """
    if (folder / _SPLITS).is_file():
        splits = read_object(folder / _SPLITS, error=DataError).get("splits")
        if not isinstance(splits, list) or "train" not in splits:
            raise DataError(f"{folder}: has no split 'train'; give the folder of the one to read")
        return saved_data_set(folder / "train")
    if (folder / "manifest.json").is_file():
        raise DataError(f"{folder}: a folder of token shards, expected rows: a file, or a folder of `save_to_disk`")
    if not (folder / _STATE).is_file():
        raise DataError(f"{folder}: a folder, expected a file of rows, or a folder that `datasets.save_to_disk` wrote")
    pyarrow = _pyarrow(folder, "ipc")
    rows: list[dict[str, Any]] = []
    for path in _data_files(folder):
        _refuse_other_than_file(path)
        try:
            with pyarrow.memory_map(str(path)) as source, pyarrow.ipc.open_stream(source) as stream:
                for batch in stream:
                    rows += batch.to_pylist()
        except (pyarrow.ArrowException, OSError) as error:
            raise DataError(f"{path}: incomplete or damaged Arrow file: {error}") from None
    return rows


def _data_files(folder: Path) -> list[Path]:
    state = read_object(folder / _STATE, error=DataError)
    entries = state.get("_data_files")
    names = [entry.get("filename") if isinstance(entry, dict) else None for entry in entries or ()]
    if not names or not all(isinstance(name, str) and name == name.rpartition("/")[2] for name in names):
        raise DataError(f"{folder / _STATE}: not written by `datasets.save_to_disk`: it lists no data files")
    if state.get("_indices_data_files"):
        raise DataError(f"{folder}: its rows are chosen by indices; save it again with a newer version of datasets")
    return [folder / str(name) for name in names]


def _refuse_other_than_file(path: Path) -> None:
    if path.exists() and not path.is_file():
        raise DataError(f"{path}: a folder, pipe or device, expected a regular file; save its content to a file")


def _pyarrow(path: Path, module: str) -> Any:
    """Return the package pyarrow with one of its modules imported."""
    try:
        import_module(f"pyarrow.{module}")
        return import_module("pyarrow")
    except ImportError:
        raise ArgumentError(f"{path}: these rows need the package pyarrow: pip install 'bytemill[hf]'") from None
