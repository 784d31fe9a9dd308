"""Chat templates: our own in Jinja, models' own, and user text that looks like a special token."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bytemill import Tokenizer
from bytemill.data.rows import Turn, conversation_row, prompt_ids
from bytemill.data.rows.jinja_templates import ChatTemplate, jinja_of, named_template
from bytemill.data.rows.templates import conversation_parts

SPECIAL = ("<|endoftext|>", "<|im_start|>", "<|im_end|>", "<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>")
TEXT = "system user assistant Below is an instruction. ### Instruction: Hi! Say river and hill.\n\n" * 20
QWEN = (
    "{% for message in messages %}{% if loop.first and messages[0]['role'] != 'system' %}"
    "{{ '<|im_start|>system\\nYou are a helpful assistant.<|im_end|>\\n' }}{% endif %}"
    "{{'<|im_start|>' + message['role'] + '\\n' + message['content'] + '<|im_end|>' + '\\n'}}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}"
)
LLAMA = (
    "{% for message in messages %}{% set content = '<|start_header_id|>' + message['role'] + '<|end_header_id|>\\n\\n'"
    " + message['content'] | trim + '<|eot_id|>' %}{% if loop.index0 == 0 %}{% set content = bos_token + content %}"
    "{% endif %}{{ content }}{% endfor %}{% if add_generation_prompt %}"
    "{{ '<|start_header_id|>assistant<|end_header_id|>\\n\\n' }}{% endif %}"
)
NAMES = {"bos_token": "<|endoftext|>", "eos_token": "<|endoftext|>"}
TURNS = [
    Turn("system", "Be brief."),
    Turn("user", "Say river"),
    Turn("assistant", "the river"),
    Turn("user", "Say hill"),
]


@pytest.fixture(scope="module", params=["gpt2", "cl100k"])
def tokenizer(request: pytest.FixtureRequest) -> Tokenizer:
    return Tokenizer.train(texts=[TEXT], vocab_size=360, pattern=request.param, special_tokens=SPECIAL)


def own(source: str) -> ChatTemplate:
    return ChatTemplate(source, SPECIAL, NAMES)


def theirs(tokenizer: Tokenizer, source: str, turns: list[Turn], *, asks: bool) -> list[int]:
    transformers = pytest.importorskip("transformers")
    fast = tokenizer.to_huggingface()
    assert isinstance(fast, transformers.PreTrainedTokenizerFast)
    messages = [{"role": turn.role, "content": turn.text} for turn in turns]
    fast.add_special_tokens({"bos_token": "<|endoftext|>", "eos_token": "<|endoftext|>"})
    return fast.apply_chat_template(messages, chat_template=source, add_generation_prompt=asks, return_dict=False)


@pytest.mark.parametrize("source", [QWEN, LLAMA])
def test_ids_are_those_of_transformers(tokenizer: Tokenizer, source: str) -> None:
    if source is LLAMA and tokenizer.encode_ordinary("a\n\nb")[1:-1] != tokenizer.encode_ordinary("\n\n"):
        source = source.replace("\\n\\n", "\\n")  # no model has this template with GPT-2's pattern
    assert prompt_ids(TURNS, tokenizer, own(source)) == theirs(tokenizer, source, TURNS, asks=True)
    whole = [*TURNS, Turn("assistant", "the hill")]
    row = conversation_row(whole, tokenizer, own(source))
    expected = theirs(tokenizer, source, whole, asks=False)
    assert expected[: len(row.ids)] == row.ids.tolist()
    assert tokenizer.decode(expected[len(row.ids) :]).strip() == ""


@pytest.mark.parametrize("source", [QWEN, LLAMA])
def test_answers_and_their_ends_are_trained(tokenizer: Tokenizer, source: str) -> None:
    row = conversation_row([*TURNS, Turn("assistant", "the hill")], tokenizer, own(source))
    end = "<|im_end|>" if source is QWEN else "<|eot_id|>"
    assert tokenizer.decode(row.ids[row.trained()]) == f"the river{end}the hill{end}"


@pytest.mark.parametrize("template", ["alpaca", "chatml"])
def test_the_exported_template_gives_our_ids(template: str) -> None:
    plain = Tokenizer.train(texts=[TEXT], vocab_size=340)
    assert prompt_ids(TURNS, plain, template) == theirs(plain, jinja_of(template), TURNS, asks=True)
    whole = [*TURNS, Turn("assistant", "the hill")]
    row = conversation_row(whole, plain, template)
    assert row.ids.tolist() == theirs(plain, jinja_of(template), whole, asks=False)
    assert named_template(jinja_of(template)) == template


def test_chatml_uses_the_marks_as_tokens_where_there_are_such(tokenizer: Tokenizer) -> None:
    row = conversation_row([*TURNS, Turn("assistant", "the hill")], tokenizer, "chatml")
    start, end = (tokenizer.special_tokens[name] for name in ("<|im_start|>", "<|im_end|>"))
    assert row.ids.tolist().count(start) == row.ids.tolist().count(end) == 5
    assert row.ids[-1] == end


@given(st.lists(st.sampled_from([*SPECIAL, "hi", " ", "\n", "<|", "|>", "im_end"]), max_size=6).map("".join))
@settings(max_examples=60, deadline=None)
def test_what_a_user_writes_never_becomes_a_special_token(said: str) -> None:
    turns = [Turn("user", f"a{said}b")]
    for template in (own(QWEN), own(LLAMA)):
        parts = conversation_parts(turns, template=template)
        assert f"a{said}b" in "".join(piece for part in parts for piece in part.pieces)
        plain = conversation_parts([Turn("user", "ab")], template=template)
        assert [type(p) for part in parts for p in part.pieces] == [type(p) for part in plain for p in part.pieces]


def test_a_template_that_refuses_or_rewrites_is_a_reason() -> None:
    refusing = own("{{ raise_exception('no system messages') }}")
    with pytest.raises(ValueError, match=r"refuses .*no system messages"):
        conversation_parts(TURNS, template=refusing)
    rewriting = own("{% for m in messages %}{{ loop.last }}{{ m.content }}{% endfor %}")
    with pytest.raises(ValueError, match="rewrites when later turns follow"):
        conversation_parts([*TURNS, Turn("assistant", "x")], template=rewriting)
    reaching = own("{{ ''.__class__.__mro__[1].__subclasses__() }}")
    with pytest.raises(ValueError, match="refuses"):
        conversation_parts(TURNS, template=reaching)
