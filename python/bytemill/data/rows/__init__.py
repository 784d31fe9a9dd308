"""Examples to ids with a loss mask: files of rows, templates, masks, batches; free of torch.

`read.py` opens files of rows (`file_text.py`, `tables.py`, `json_rows.py` and `arrow.py` by kind), `split.py` splits
them, `messages.py` brings conversations into one form, `templates.py` holds the wording around them, `encode.py`
decides what is trained, `labels.py` does so for classification, `batches.py` pads and orders.
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
