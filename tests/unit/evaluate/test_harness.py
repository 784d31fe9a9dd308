"""What the evaluation harness asks of a model, answered as by the definition."""

import sys
import types

import pytest
import torch

from bytemill.errors import ConfigError, DataError
from bytemill.evaluate.harness import TextScorer, for_harness
from bytemill.model import GPT2, GPT2Config


class Bytes:
    n_vocab, eot_token = 257, 256
    encode_ordinary = staticmethod(lambda text: list(text.encode()))
    decode_bytes = staticmethod(bytes)


@pytest.fixture(scope="module")
def scorer():
    torch.manual_seed(0)
    model = GPT2(GPT2Config(vocab_size=257, n_positions=12, n_embd=16, n_layer=1, n_head=2))
    with torch.no_grad():
        model.token_embedding.weight.mul_(8)  # far from even chances
    return TextScorer(model, Bytes(), batch_size=2)


def by_definition(scorer, ids, n_asked):
    """One row, one token at a time."""
    total, greedy = 0.0, True
    for place in range(len(ids) - n_asked, len(ids)):
        chances = scorer.model(torch.tensor([ids[:place]]))[0][0, -1].log_softmax(-1).detach()
        total += float(chances[ids[place]])
        greedy &= int(chances.argmax()) == ids[place]
    return total, greedy


def test_likelihoods_are_those_of_the_definition_in_the_order_of_the_pairs(scorer):
    pairs = [("ab", "c"), ("one two", " three"), ("x", "yz"), ("", "word"), ("end ", "of")]
    expected = [
        by_definition(scorer, list(b"abc"), 1),
        by_definition(scorer, list(b"one two three"), 6),
        by_definition(scorer, list(b"xyz"), 2),
        by_definition(scorer, [256, *b"word"], 4),
        by_definition(scorer, list(b"end of"), 3),
    ]
    found = scorer.continuations(pairs)
    assert [likelihood for likelihood, _ in found] == pytest.approx(
        [likelihood for likelihood, _ in expected], abs=1e-4
    )
    assert [greedy for _, greedy in found] == [greedy for _, greedy in expected]


def test_the_likeliest_continuation_is_greedy_and_another_is_not(scorer):
    order = scorer.model(torch.tensor([list(b"ab")]))[0][0, -1, 97:123].argsort(descending=True)
    letters = [chr(97 + int(place)) for place in order[:2]]
    with torch.no_grad():
        scorer.model.token_embedding.weight[ord(letters[0])] *= 50  # far above all others
    likeliest = int(scorer.model(torch.tensor([list(b"ab")]))[0][0, -1].argmax())
    found = scorer.continuations([("ab", letter) for letter in letters])
    with torch.no_grad():
        scorer.model.token_embedding.weight[ord(letters[0])] /= 50
    assert likeliest == ord(letters[0])
    assert [greedy for _, greedy in found] == [True, False]


def test_of_a_long_context_the_end_counts_and_an_impossible_continuation_is_refused(scorer):
    [(likelihood, _)] = scorer.continuations([("a very long context", "yes")])
    assert likelihood == pytest.approx(by_definition(scorer, list(b"a very long contextyes")[-13:], 3)[0], abs=1e-4)
    with pytest.raises(DataError, match="continuation of 13 tokens"):
        scorer.continuations([("a", "b" * 13)])
    with pytest.raises(DataError, match="continuation of 0 tokens"):
        scorer.continuations([("a", "")])


def test_every_token_of_a_whole_text_counts_once(scorer):
    text = "thirty letters, and some more."
    ids = [256, *text.encode()]
    expected = (
        by_definition(scorer, ids[:13], 12)[0]
        + by_definition(scorer, ids[12:25], 12)[0]
        + by_definition(scorer, ids[18:31], 6)[0]
    )
    found = scorer.whole_texts([text, "", "short"])
    assert found == pytest.approx([expected, 0.0, by_definition(scorer, [256, *b"short"], 5)[0]], abs=1e-3)


def test_answers_end_where_they_are_told(scorer):
    free, cut = scorer.completions([("ab", {"max_gen_toks": 5}), ("ab", {"max_gen_toks": 2, "until": ["\n"]})])
    assert free.startswith(cut) or "\ufffd" in free
    assert len(cut) <= 2


def test_the_harness_gets_what_it_asks_for(scorer, monkeypatch):
    monkeypatch.setitem(sys.modules, "lm_eval.api.model", None)
    with pytest.raises(ConfigError, match=r"bytemill\[eval\]"):
        for_harness(scorer)
    api = types.ModuleType("lm_eval.api.model")
    api.LM = type("LM", (), {})
    for name, module in {
        "lm_eval": types.ModuleType("lm_eval"),
        "lm_eval.api": types.ModuleType("lm_eval.api"),
    }.items():
        monkeypatch.setitem(sys.modules, name, module)
    monkeypatch.setitem(sys.modules, "lm_eval.api.model", api)
    shown = []
    lm = for_harness(scorer, shown=lambda *progress: shown.append(progress))
    request = types.SimpleNamespace(args=("ab", "c"))
    assert lm.loglikelihood([request]) == scorer.continuations([("ab", "c")])
    assert lm.loglikelihood_rolling([types.SimpleNamespace(args=("abc",))]) == scorer.whole_texts(["abc"])
    assert lm.generate_until([types.SimpleNamespace(args=("ab", {"max_gen_toks": 2}))]) == scorer.completions(
        [("ab", {"max_gen_toks": 2})]
    )
    assert shown == [("likelihoods", 1, 1), ("texts", 1, 1), ("answers", 1, 1)]
