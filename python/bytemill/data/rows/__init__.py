"""Read rows, apply templates, encode ids with loss masks, and make batches; without torch.

`read.py` reads files of rows (with `file_text.py`, `tables.py`, `json_rows.py` and `arrow.py` by format), `split.py`
splits them, `messages.py` converts conversations to one form, `templates.py` has the prompt templates, `encode.py`
decides which tokens are trained, `labels.py` encodes rows for classification, and `batches.py` pads and orders rows.
"""

from bytemill.data.rows.batches import RowBatches, collate, collate_packed
from bytemill.data.rows.encode import (
    EncodedRows,
    Row,
    RowEncoder,
    conversation_row,
    encode_conversations,
    encode_rows,
    encode_texts,
    prompt_ids,
    rows_fingerprint,
)
from bytemill.data.rows.labels import LabelledRow, LabelledRows, encode_labelled, undersampled
from bytemill.data.rows.read import read_rows
from bytemill.data.rows.split import split_rows
from bytemill.data.rows.templates import (
    Template,
    TemplateName,
    Turn,
    conversation_parts,
    instruction_prompt,
    instruction_turns,
    stop_texts,
    turns_of_messages,
)

__all__ = [
    "EncodedRows",
    "LabelledRow",
    "LabelledRows",
    "Row",
    "RowBatches",
    "RowEncoder",
    "Template",
    "TemplateName",
    "Turn",
    "collate",
    "collate_packed",
    "conversation_parts",
    "conversation_row",
    "encode_conversations",
    "encode_labelled",
    "encode_rows",
    "encode_texts",
    "instruction_prompt",
    "instruction_turns",
    "prompt_ids",
    "read_rows",
    "rows_fingerprint",
    "split_rows",
    "stop_texts",
    "turns_of_messages",
    "undersampled",
]
