"""Conversations and preference pairs in others' forms: system fields, parts of texts, odd turns, shared prompts."""

import json

import pytest

from bytemill.data.rows.messages import as_preference
from bytemill.data.rows.pairs import encode_pairs, read_preferences
from bytemill.errors import DataError
from bytemill.tasks.tuning import encode_for_task, read_for_task
from bytemill.train.config import load_config

END = 256


class ByteTokenizer:
    eot_token = END

    def encode_ordinary(self, text):
        return list(text.encode())


def shown(ids) -> str:
    return "".join("¶" if one == END else chr(one) for one in ids)


def chat(*rows, **settings):
    config = load_config(overrides=["task=chat", "data.seq_len=1000", *(f"data.{k}={v}" for k, v in settings.items())])
    return encode_for_task(list(rows), ByteTokenizer(), config)


def turns(*pairs):
    return [{"role": role, "content": content} for role, content in pairs]


HI, HELLO = ("user", "Hi!"), ("assistant", "Hello!")


class TestConversations:
    def test_a_system_field_is_the_first_message(self) -> None:
        messages = [{"from": "human", "value": "Hi!"}, {"from": "gpt", "value": "Hello!"}]
        as_field = chat({"system": "Be brief.", "messages": messages})
        as_message = chat({"messages": [{"from": "system", "value": "Be brief."}, *messages]})
        assert shown(as_field.rows[0].ids).startswith("Be brief.\n\n### Instruction:\nHi!")
        assert as_field.fingerprint() == as_message.fingerprint()

    @pytest.mark.parametrize("system", ["", " ", None, 3])
    def test_an_empty_system_field_is_none(self, system) -> None:
        alone = chat({"messages": turns(HI, HELLO)})
        assert chat({"system": system, "messages": turns(HI, HELLO)}).fingerprint() == alone.fingerprint()

    def test_a_system_message_goes_before_the_field(self) -> None:
        rows = {"system": "No.", "messages": turns(("system", "Yes."), HI, HELLO)}
        assert shown(chat(rows).rows[0].ids).startswith("Yes.")

    def test_text_parts_are_one_text(self) -> None:
        parts = [{"type": "text", "text": "Hel"}, {"type": "text", "text": "lo!"}]
        found = chat({"messages": turns(HI, ("assistant", parts))})
        assert found.fingerprint() == chat({"messages": turns(HI, HELLO)}).fingerprint()

    def test_another_kind_of_part_is_not_used_and_named(self) -> None:
        parts = [{"type": "text", "text": "See "}, {"type": "image_url", "image_url": "x"}]
        found = chat({"messages": turns(HI, HELLO)}, {"messages": turns(("user", parts), HELLO)})
        assert found.report().startswith("1 of 2 rows used")
        assert "1 have a part of type image_url, which is not text" in found.report()

    def test_a_conversation_loses_only_its_odd_turn(self) -> None:
        whole = turns(HI, HELLO)
        found = chat(
            {"messages": [*turns(HELLO), *whole]},
            {"messages": [*whole, *turns(HI)]},
            {"messages": [*turns(("system", "Be brief."), HELLO), *whole]},
            {"messages": whole},
        )
        assert [shown(row.ids).partition("\n")[2] for row in found.rows] == [
            "\n### Instruction:\nHi!\n\n### Response:\nHello!¶"
        ] * 4
        assert found.report() == (
            "4 of 4 rows used, 0 of them cut; 2 lost a first turn of the assistant, 1 lost a last turn of the user"
        )

    @pytest.mark.parametrize(
        "messages", [turns(HI), turns(HELLO), turns(HELLO, HELLO), turns(HI, HI), turns(HI, HI, HELLO)]
    )
    def test_more_than_an_odd_turn_is_refused_as_before(self, messages) -> None:
        with pytest.raises(DataError, match="turns do not alternate"):
            chat({"messages": messages})

    def test_a_preference_row_keeps_its_question(self) -> None:
        row = {"messages": turns(HI, HELLO, ("user", "Bye.")), "chosen": {"role": "assistant", "content": "See you."}}
        assert shown(chat(row).rows[0].ids).endswith("Bye.\n\n### Response:\nSee you.¶")

    def test_messages_are_found_under_both_usual_names(self, tmp_path) -> None:
        for name in ("messages", "conversations"):
            (tmp_path / "rows.jsonl").write_text(json.dumps({name: []}) + "\n")
            config = load_config(overrides=["task=chat", f"data.path={tmp_path / 'rows.jsonl'}"])
            assert read_for_task(config) == [{"messages": []}]
        (tmp_path / "rows.jsonl").write_text('{"turns": []}\n')
        with pytest.raises(
            DataError, match=r"'conversations' or 'messages'; there are turns; data\.messages_column names"
        ):
            read_for_task(config)


ANSWERS = {"chosen": turns(HI, HELLO), "rejected": turns(HI, ("assistant", "What?"))}


class TestPreferences:
    def pair(self, row):
        return encode_pairs([row], ByteTokenizer(), max_tokens=1000).pairs[0]

    @pytest.mark.parametrize(
        "row",
        [
            ANSWERS,
            {"prompt": "Hi!", **ANSWERS},
            {"prompt": turns(HI), "chosen": turns(HELLO), "rejected": turns(("assistant", "What?"))},
            {"prompt": "Hi!", "chosen": turns(HELLO), "rejected": turns(("assistant", "What?"))},
            {"messages": ANSWERS["chosen"], **ANSWERS},
            {"prompt": turns(HI), "chosen": "Hello!", "rejected": "What?"},
        ],
    )
    def test_a_shared_prompt_is_found(self, row) -> None:
        expected = self.pair({"messages": turns(HI), "chosen": "Hello!", "rejected": "What?"})
        found = self.pair(row)
        for one, other in ((found.chosen, expected.chosen), (found.rejected, expected.rejected)):
            assert shown(one.ids) == shown(other.ids)
            assert one.n_prompt == other.n_prompt

    def test_a_prompt_that_is_a_text_is_an_instruction(self) -> None:
        row = {"chosen": "Hello!", "rejected": "What?"}
        as_instruction = self.pair({"instruction": "Hi!", **row})
        assert shown(self.pair({"prompt": "Hi!", **row}).chosen.ids) == shown(as_instruction.chosen.ids)

    def test_a_shared_conversation_is_the_prompt(self) -> None:
        shared = turns(("system", "Be brief."), HI, HELLO, ("user", "Bye."))
        row = {
            "chosen": [*shared, *turns(("assistant", "See you."))],
            "rejected": [*shared, *turns(("assistant", "No."))],
        }
        assert as_preference(row, {})["messages"] == shared

    @pytest.mark.parametrize(
        ("row", "reason"),
        [
            ({"chosen": turns(HI, HELLO), "rejected": turns(HI, HELLO)}, "with chosen equal to rejected"),
            ({"chosen": turns(HI, HELLO, HI, HELLO), "rejected": turns(HI, ("assistant", "No."))}, "without a text in"),
            ({"chosen": [], "rejected": []}, "without a text in chosen"),
        ],
    )
    def test_what_is_no_pair_is_counted_by_reason(self, row, reason) -> None:
        with pytest.raises(DataError, match=reason):
            self.pair(row)

    def test_files_of_such_rows(self, tmp_path) -> None:
        (tmp_path / "rows.json").write_text(json.dumps({"data": [ANSWERS]}))
        assert read_preferences(tmp_path / "rows.json") == [ANSWERS]
        (tmp_path / "rows.json").write_text(json.dumps([{"q": "Hi", "chosen": "a", "rejected": "b"}]))
        with pytest.raises(
            DataError, match=r"no row has a column 'instruction' or 'messages'; there are q, .*rejected$"
        ):
            read_preferences(tmp_path / "rows.json")
