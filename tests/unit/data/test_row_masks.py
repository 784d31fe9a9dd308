"""What is trained, token by token: each masking rule with the tokens that it lets through."""

import numpy as np
import pytest

from bytemill import Tokenizer
from bytemill.data.rows import (
    collate,
    conversation_parts,
    encode_conversations,
    encode_rows,
    encode_texts,
    turns_of_messages,
)
from bytemill.errors import DataError

END = 256
HEAD = "Below is an instruction that describes a task. Write a response that appropriately completes the request."


class ByteTokenizer:
    """Ids are bytes; one special token, shown here as ¶."""

    eot_token = END

    def encode_ordinary(self, text):
        return list(text.encode())


def shown(ids) -> str:
    return "".join("¶" if one == END else chr(one) for one in ids)


def trained_text(encoded, *, mask_prompt: bool = True) -> str:
    """What the batch of the only row asks for: its labels, a | wherever something between them is not asked."""
    _, targets = collate(encoded.rows, pad_id=END, mask_prompt=mask_prompt)
    (row,) = targets
    pieces = "".join("\0" if label == -100 else shown([label]) for label in row)
    return "|".join(piece for piece in pieces.split("\0") if piece)


def texts(*values, max_tokens=100):
    return encode_texts([{"text": value} for value in values], ByteTokenizer(), max_tokens=max_tokens)


def chat(*turns, template="alpaca", max_tokens=1000, **more):
    messages = [dict(zip(("from", "value"), turn, strict=True)) for turn in turns]
    rows = [{"messages": messages, **more}]
    return encode_conversations(rows, ByteTokenizer(), max_tokens=max_tokens, template=template)


class TestText:
    def test_all_of_a_text_and_its_end_are_trained_but_not_its_beginning(self) -> None:
        encoded = texts("A film.")
        assert shown(encoded.rows[0].ids) == "¶A film.¶"
        assert trained_text(encoded) == "A film.¶"

    def test_padding_is_the_same_id_and_never_trained(self) -> None:
        inputs, targets = collate(texts("Long text", "Hm").rows, pad_id=END)
        assert [shown(row) for row in inputs] == ["¶Long text", "¶Hm¶¶¶¶¶¶¶"]
        assert targets[1].tolist() == [ord("H"), ord("m"), END, *[-100] * 7]

    def test_a_cut_text_has_no_end_and_is_counted(self) -> None:
        encoded = texts("A long film.", max_tokens=5)
        assert trained_text(encoded) == "A lon"
        assert encoded.n_cut == 1

    def test_a_text_that_fits_exactly_keeps_its_end(self) -> None:
        encoded = texts("four", max_tokens=5)
        assert trained_text(encoded) == "four¶"
        assert encoded.n_cut == 0

    def test_rows_without_text_are_counted_by_reason(self) -> None:
        encoded = texts("One.", "", None, 3, " \n")
        assert encoded.report() == (
            "1 of 5 rows used, 0 of them cut; not used: 2 with an empty text, 2 without a text in text"
        )
        with pytest.raises(DataError, match="no row can be trained on"):
            texts("", "")

    @pytest.mark.parametrize("text", ["four", "fives", "A long film.", "exactly ten", "0123456789" * 20])
    def test_windows_train_every_token_of_a_long_text_once(self, text) -> None:
        encoded = encode_texts([{"text": text}], ByteTokenizer(), max_tokens=5, long_texts="window")
        labels = [shown(row.ids[row.trained()]) for row in encoded.rows]
        assert "".join(labels) == f"{text}¶"
        assert all(len(row.ids) <= 6 for row in encoded.rows)
        assert all(len(one) == 5 for one in labels[:-1])
        whole = f"¶{text}¶"
        assert [shown(row.ids) for row in encoded.rows] == [whole[i : i + 6] for i in range(0, len(whole) - 1, 5)]
        assert encoded.n_cut == 0

    def test_windows_are_counted(self) -> None:
        rows = [{"text": "0123456789"}, {"text": "four"}, {"text": ""}]
        encoded = encode_texts(rows, ByteTokenizer(), max_tokens=5, long_texts="window")
        assert encoded.report() == (
            "2 of 3 rows used, 0 of them cut; not used: 1 with an empty text; 1 longer than 5 tokens became 3 windows"
        )

    def test_texts_that_fit_are_the_same_rows_as_ever(self) -> None:
        rows = [{"text": "One."}, {"text": "Two."}]
        cut, windows = (encode_texts(rows, ByteTokenizer(), max_tokens=5, long_texts=how) for how in ("cut", "window"))
        assert cut.fingerprint() == windows.fingerprint()
        assert cut.report() == windows.report()

    def test_a_long_text_has_the_ids_of_a_short_one(self, monkeypatch) -> None:
        tokenizer = Tokenizer.train(texts=["the river and the hill. " * 20], vocab_size=280)
        rows = [{"text": "the river <|endoftext|> and the hill. " * 9}]
        lists = encode_texts(rows, tokenizer, max_tokens=50, long_texts="window").fingerprint()
        monkeypatch.setattr("bytemill.data.rows.encode._LONG_CHARACTERS", 10)
        assert encode_texts(rows, tokenizer, max_tokens=50, long_texts="window").fingerprint() == lists


class TestInstruction:
    ROW = {"instruction": "Say hi.", "input": "", "output": "Hi!"}  # noqa: RUF012

    def test_the_answer_and_one_end(self) -> None:
        assert trained_text(encode_rows([self.ROW], ByteTokenizer(), max_tokens=1000)) == "Hi!¶"

    def test_unmasked_the_prompt_too_but_for_its_first_token(self) -> None:
        encoded = encode_rows([self.ROW], ByteTokenizer(), max_tokens=1000)
        expected = f"{HEAD}\n\n### Instruction:\nSay hi.\n\n### Response:\nHi!¶"[1:]
        assert trained_text(encoded, mask_prompt=False) == expected

    def test_a_cut_answer_has_no_end(self) -> None:
        prompt = len(f"{HEAD}\n\n### Instruction:\nSay hi.\n\n### Response:\n")
        assert trained_text(encode_rows([self.ROW], ByteTokenizer(), max_tokens=prompt + 1)) == "Hi"


TWO_TURNS = [("human", "Hi!"), ("gpt", "Hello!"), ("human", "Bye."), ("gpt", "See you.")]


class TestConversation:
    def test_every_answer_with_its_end_and_nothing_else(self) -> None:
        encoded = chat(*TWO_TURNS)
        assert shown(encoded.rows[0].ids) == (
            f"{HEAD}\n\n### Instruction:\nHi!\n\n### Response:\nHello!¶"
            "\n\n### Instruction:\nBye.\n\n### Response:\nSee you.¶"
        )
        assert trained_text(encoded) == "Hello!¶|See you.¶"

    def test_chatml(self) -> None:
        encoded = chat(("system", "Be brief."), *TWO_TURNS, template="chatml")
        assert shown(encoded.rows[0].ids) == (
            "<|im_start|>system\nBe brief.<|im_end|>\n<|im_start|>user\nHi!<|im_end|>\n<|im_start|>assistant\n"
            "Hello!¶\n<|im_start|>user\nBye.<|im_end|>\n<|im_start|>assistant\nSee you.¶"
        )
        assert trained_text(encoded) == "Hello!¶|See you.¶"

    def test_chatml_as_earlier_versions_wrote_it(self) -> None:
        encoded = chat(("system", "Be brief."), *TWO_TURNS, template="chatml_text")
        assert shown(encoded.rows[0].ids) == (
            "<|im_start|>system\nBe brief.<|im_end|>\n<|im_start|>user\nHi!<|im_end|>\n<|im_start|>assistant\n"
            "Hello!<|im_end|>¶\n<|im_start|>user\nBye.<|im_end|>\n<|im_start|>assistant\nSee you.<|im_end|>¶"
        )
        assert trained_text(encoded) == "Hello!<|im_end|>¶|See you.<|im_end|>¶"

    def test_a_system_message_stands_in_the_first_line(self) -> None:
        encoded = chat(("system", "Be brief."), *TWO_TURNS[:2])
        assert shown(encoded.rows[0].ids).startswith("Be brief.\n\n### Instruction:\nHi!")
        assert trained_text(encoded) == "Hello!¶"

    def test_unmasked_everything_is_trained(self) -> None:
        encoded = chat(*TWO_TURNS, template="chatml")
        assert trained_text(encoded, mask_prompt=False) == shown(encoded.rows[0].ids)[1:]

    def test_a_cut_conversation_keeps_its_first_answers(self) -> None:
        first = len(f"{HEAD}\n\n### Instruction:\nHi!\n\n### Response:\nHello!¶")
        encoded = chat(*TWO_TURNS, max_tokens=first + 20)
        assert trained_text(encoded) == "Hello!¶"
        assert encoded.n_cut == 1

    def test_the_liked_answer_of_a_preference_row_ends_it(self) -> None:
        liked = {"from": "gpt", "value": "Hello!"}
        assert trained_text(chat(("human", "Hi!"), chosen=liked, rejected={"from": "gpt", "value": "No."})) == "Hello!¶"

    def test_names_of_roles_and_fields(self) -> None:
        rows = [{"messages": [{"role": "user", "content": "Hi!"}, {"role": "assistant", "content": "Hello!"}]}]
        assert trained_text(encode_conversations(rows, ByteTokenizer(), max_tokens=1000)) == "Hello!¶"

    @pytest.mark.parametrize(
        ("turns", "reason"),
        [
            ([("gpt", "Hello!")], "turns do not alternate"),
            ([("human", "Hi!")], "turns do not alternate"),
            ([("human", "Hi!"), ("human", "Hm"), ("gpt", "Hello!")], "turns do not alternate"),
            ([("system", "Be brief.")], "turns do not alternate"),
            ([*TWO_TURNS[:2], ("system", "Be brief.")], "a system message after the first turn"),
            ([("human", "Hi!"), ("gpt", " ")], "an empty message"),
            ([("human", "Hi!"), ("dog", "Woof")], "a role 'dog'"),
            ([("human", "Hi!"), (["gpt"], "Woof")], r"a role \['gpt'\]"),
            ([], "without messages"),
        ],
    )
    def test_what_is_no_conversation_is_counted_by_reason(self, turns, reason) -> None:
        with pytest.raises(DataError, match=reason):
            chat(*turns)

    def test_the_fingerprint_sees_the_masks(self) -> None:
        merged = chat(("human", "Hi!"), ("gpt", "Hello!¶")).fingerprint()
        assert chat(("human", "Hi!"), ("gpt", "Hello!")).fingerprint() != merged
        one, other = chat(*TWO_TURNS), chat(*TWO_TURNS)
        assert one.fingerprint() == other.fingerprint()
        np.testing.assert_array_equal(one.rows[0].trained(), other.rows[0].trained())

    def test_parts_join_to_the_text(self) -> None:
        turns = turns_of_messages([{"from": role, "value": text} for role, text in TWO_TURNS])
        assert [part.is_answer for part in conversation_parts(turns)] == [False, True] * 2
