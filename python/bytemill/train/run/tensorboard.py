"""Writes a run's metrics as event files for TensorBoard.

This uses TensorBoard's record writer, because its usual event writer puts the machine's name into each file name.
"""

from __future__ import annotations

import os
import secrets
import time
from typing import TYPE_CHECKING, Any

from bytemill.files import naming_errors, open_to_append

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

__all__ = ["TensorBoard"]

_FILE_VERSION = "brain.Event:2"


class TensorBoard:
    """Writes scalars for TensorBoard, which is imported only here because the import is slow.

    Args:
        folder: Folder of the event files; created if missing.
        before_step: Earlier events of this step and later ones are hidden, because they will be written again.
    """

    def __init__(self, folder: Path, *, before_step: int) -> None:
        from tensorboard.compat.proto import event_pb2, summary_pb2
        from tensorboard.summary.writer.record_writer import RecordWriter

        self._event: Any = event_pb2.Event
        self._summary: Any = summary_pb2.Summary
        folder.mkdir(parents=True, exist_ok=True)
        # TensorBoard reads files in the order of their names; a run may be resumed within a second.
        name = f"events.out.tfevents.{time.time():.6f}.bytemill.{os.getpid()}.{secrets.token_hex(4)}"
        self._path = folder / name
        self._writer = RecordWriter(open_to_append(self._path))
        self._write(file_version=_FILE_VERSION)
        self._write(step=before_step, session_log=event_pb2.SessionLog(status=event_pb2.SessionLog.START))
        self._flush()

    def append(self, line: Mapping[str, Any]) -> None:
        """Write all numbers of one line of metrics."""
        values = [
            self._summary.Value(tag=name, simple_value=float(value))
            for name, value in line.items()
            if name != "step" and value is not None
        ]
        self._write(step=line["step"], summary=self._summary(value=values))
        self._flush()

    def close(self) -> None:
        """Write the remaining events and close the file."""
        with naming_errors(self._path):
            self._writer.close()

    def _write(self, **fields: Any) -> None:
        with naming_errors(self._path):
            self._writer.write(self._event(wall_time=time.time(), **fields).SerializeToString())

    def _flush(self) -> None:
        with naming_errors(self._path):
            self._writer.flush()
