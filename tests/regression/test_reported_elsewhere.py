"""Faults of evaluation and generation that were reported for other projects, tried here."""

import pytest
import torch

from bytemill import Tokenizer
from bytemill.data.rows import Turn, conversation_row, prompt_ids
from bytemill.data.rows.jinja_templates import ChatTemplate
from bytemill.data.rows.templates import Part
from bytemill.evaluate.harness import TextScorer
from bytemill.model import GPT2, GPT2Config, generate


class Pairs:
    """Bytes, but "rw" and "rwer" are tokens: what a vocabulary of merges does at a join."""

    n_vocab, eot_token = 259, 256

    def encode_ordinary(self, text: str) -> list[int]:
        data, ids = text.encode(), []
        while data:
            token = next((one for one in (b"rwer", b"rw") if data.startswith(one)), data[:1])
            ids.append({b"rw": 257, b"rwer": 258}.get(token, data[0]))
            data = data[len(token) :]
        return ids

    def decode_bytes(self, ids: list[int]) -> bytes:
        return b"".join({257: b"rw", 258: b"rwer"}.get(one, bytes([one % 256])) for one in ids)


@pytest.fixture(scope="module")
def model() -> GPT2:
    torch.manual_seed(0)
    return GPT2(GPT2Config(vocab_size=259, n_positions=16, n_embd=16, n_layer=1, n_head=2, initializer_range=0.3))


@torch.no_grad()
def log_likelihood(model: GPT2, context: list[int], continuation: list[int]) -> float:
    chances = model(torch.tensor([(context + continuation)[:-1]]))[0].log_softmax(dim=-1)[0]
    return sum(float(chances[len(context) + i - 1, one]) for i, one in enumerate(continuation))


@pytest.mark.parametrize(("context", "continuation"), [("r", "wer"), ("arw", "er")])
def test_a_token_that_spans_the_join_leaves_a_continuation_to_score(
    model: GPT2, context: str, continuation: str
) -> None:
    """Reported for lm-evaluation-harness (1297, 1053): the continuation had no token, and the evaluation ended."""
    tokens = Pairs()
    assert len(tokens.encode_ordinary(context + continuation)) <= len(tokens.encode_ordinary(context))
    [(found, _)] = TextScorer(model, tokens).continuations([(context, continuation)])
    expected = log_likelihood(model, tokens.encode_ordinary(context), tokens.encode_ordinary(continuation))
    assert found == pytest.approx(expected, abs=1e-4)


def test_a_context_that_is_cut_keeps_the_continuation_alone_in_the_score(model: GPT2) -> None:
    """Reported for mlx-lm (1902): after the context was cut, some of its tokens were scored too."""
    context, continuation = "abcdefghijklmnopqrstuv", "xyz"
    [(found, _)] = TextScorer(model, Pairs()).continuations([(context, continuation)])
    kept = list(context.encode())[-14:]  # the 16 positions read them and two tokens of the continuation
    assert found == pytest.approx(log_likelihood(model, kept, list(continuation.encode())), abs=1e-4)


def test_the_last_token_of_a_continuation_is_scored_in_its_own_place(model: GPT2) -> None:
    """Reported for lm-evaluation-harness (337): the logits were taken one place too early."""
    parts = TextScorer(model, Pairs()).continuations([("abc", "d"), ("abcd", "e"), ("abc", "de")])
    assert parts[0][0] + parts[1][0] == pytest.approx(parts[2][0], abs=1e-4)


@pytest.mark.parametrize("seed", range(3))
def test_top_k_of_one_is_greedy(model: GPT2, seed: int) -> None:
    """Reported for litgpt (1593) and vLLM (5404): top-k 1, temperature 0 and the likeliest token did not agree."""
    prompt = torch.tensor([[1, 2, 3]])
    greedy = generate(model, prompt, max_new_tokens=8, temperature=0)
    assert torch.equal(generate(model, prompt, max_new_tokens=8, temperature=1.5, top_k=1, seed=seed), greedy)


@pytest.mark.parametrize("temperature", [1e-7, 1e-38, 1e-44, 5e-324])
def test_a_temperature_near_zero_is_greedy(model: GPT2, temperature: float) -> None:
    """Reported for trl (3640): divided by a tiny temperature the logits overflowed, and no token had a probability."""
    prompt = torch.tensor([[1, 2, 3]])
    greedy = generate(model, prompt, max_new_tokens=8, temperature=0)
    for options in ({}, {"top_k": 5}, {"top_p": 0.9}, {"min_p": 0.1}):
        found = generate(model, prompt, max_new_tokens=8, temperature=temperature, seed=1, **options)
        assert torch.equal(found, greedy)


def test_an_answer_never_merges_into_its_prompt() -> None:
    """Reported for trl (2054): the prompt's last token became another one before some answers."""
    tokens = Pairs()
    turns = [Turn("user", "r")]
    prompt = prompt_ids(turns, tokens, Ends())
    for answer in ("w", "wer"):
        row = conversation_row([*turns, Turn("assistant", answer)], tokens, Ends())
        assert row.ids[: row.n_prompt].tolist() == prompt
        assert len(tokens.encode_ordinary("r" + answer)) < len(row.ids)


def test_a_template_that_writes_the_first_token_gets_no_second_one() -> None:
    """Reported for alignment-handbook (127): rows began with two of them."""
    special = ("<s>", "</s>")
    tokenizer = Tokenizer.train(texts=["say river " * 9], vocab_size=270, special_tokens=special)
    source = "{{ bos_token }}{% for m in messages %}{{ m.content }}{{ eos_token }}{% endfor %}"
    template = ChatTemplate(source, special, {"bos_token": "<s>", "eos_token": "</s>"})
    row = conversation_row([Turn("user", "say"), Turn("assistant", "river")], tokenizer, template)
    assert row.ids.tolist().count(tokenizer.special_tokens["<s>"]) == 1
    assert row.ids[-1] == tokenizer.special_tokens["</s>"]


class Ends:
    """A template without any words of its own."""

    def parts(self, turns: list[Turn]) -> list[Part]:
        return [Part((turn.text,), is_answer=turn.role == "assistant") for turn in turns]
