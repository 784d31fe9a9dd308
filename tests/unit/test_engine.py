"""The engine: answers generated together equal those generated alone, and every row leaves when it should."""

import pytest
import torch

from bytemill.errors import ConfigError, DataError
from bytemill.inference import Engine, TextGenerator
from bytemill.inference.engine import QueueFullError
from bytemill.inference.rows import Failure, Request
from bytemill.model import GPT2, GPT2Config, KeyValueCache, generate
from bytemill.model.cache import RowsCache
from bytemill.model.lora import LoraConfig, adapter_disabled, add_adapter, apply_lora, lora_parameters, set_adapter

PROMPTS = ["Hello", "a", "The quick brown fox", "1 2 3", "zz" * 10]


class Bytes:
    n_vocab, eot_token = 257, 256

    def encode_ordinary(self, text):
        return list(text.encode())

    def decode_bytes(self, ids):
        return bytes(one for one in ids if one < 256)


def spread_model(n_positions=64, dtype=torch.float32):
    torch.manual_seed(3)
    model = GPT2(GPT2Config(vocab_size=257, n_positions=n_positions, n_embd=32, n_layer=2, n_head=4))
    with torch.no_grad():  # a new model repeats its last id; a spread one does not
        for parameter in model.parameters():
            parameter.add_(0.2 * torch.randn_like(parameter))
    return model.eval().to(dtype)


@pytest.fixture
def generator():
    return TextGenerator(spread_model(), Bytes())


def ask(engine, requests, name="m"):
    """Queue requests; return the list of pieces of each, which grows while the engine steps."""
    pieces = [[] for _ in requests]
    rows = engine.submit(name, requests, lambda number, piece: pieces[number].append(piece))
    return pieces, rows


def run(engine):
    steps = 0
    while engine.step():
        steps += 1
        assert steps < 1000
    return steps


def text_of(pieces):
    return "".join(piece.text for piece in pieces)


def request(prompt, max_new_tokens=20, **more):
    return Request(list(prompt.encode()), max_new_tokens, **more)


@pytest.mark.parametrize("max_rows", [1, 2, 8])
@pytest.mark.parametrize("sampling", [{"temperature": 0}, {"seed": 5, "top_k": 50, "top_p": 0.9}])
def test_answers_together_equal_those_alone(generator, max_rows, sampling):
    engine = Engine({"m": (generator, None)}, max_rows=max_rows)
    lengths = [20, 5, 33, 12, 1]
    asked = [request(p, n, sampling=sampling) for p, n in zip(PROMPTS, lengths, strict=True)]
    pieces, _ = ask(engine, asked)
    run(engine)
    for prompt, n, found in zip(PROMPTS, lengths, pieces, strict=True):
        (alone,) = generator.complete(prompt, max_new_tokens=n, **sampling)
        assert text_of(found) == alone
        assert found[-1].finish in ("stop", "length")
        assert all(piece.finish is None for piece in found[:-1])
    assert engine.n_rows == engine.n_waiting == 0


def test_rows_join_and_leave_between_steps(generator):
    engine = Engine({"m": (generator, None)}, max_rows=2)
    (long,), _ = ask(engine, [request("long", 40, sampling={"temperature": 0})])
    for _ in range(5):
        engine.step()
    (short, third), _ = ask(engine, [request("short", 3), request("next", 3)])
    for _ in range(4):
        engine.step()
    assert short[-1].finish
    assert not long[-1].finish
    run(engine)
    assert third[-1].finish
    assert text_of(long) == generator.complete("long", max_new_tokens=40, temperature=0)[0]


def test_a_cancelled_row_leaves_in_the_next_step_and_frees_its_cache(generator):
    engine = Engine({"m": (generator, None)}, max_rows=2)
    pieces, rows = ask(engine, [request("a", 50), request("b", 50), request("c", 5)])
    engine.step()
    engine.step()
    assert (engine.n_rows, engine.n_waiting) == (2, 1)
    rows[0].cancelled = rows[1].cancelled = True
    engine.step()
    assert (engine.n_rows, engine.n_waiting) == (1, 0)
    run(engine)
    assert pieces[2][-1].finish
    assert pieces[0][-1].finish is None
    assert engine._lanes["m"]._caches._rows._memory is None


def test_waiting_rows_are_limited_and_cancelled_ones_make_room(generator):
    engine = Engine({"m": (generator, None)}, max_waiting=3)
    _, rows = ask(engine, [request("a")] * 2)
    with pytest.raises(QueueFullError, match=r"2 answers are waiting and 2 more are asked for.*at most 3"):
        ask(engine, [request("b")] * 2)
    assert engine.n_waiting == 2  # all or none
    rows[0].cancelled = True
    ask(engine, [request("b")] * 2)
    assert engine.n_waiting == 3


def test_stop_texts_and_ids_end_an_answer(generator):
    engine = Engine({"m": (generator, None)})
    whole = generator.complete("Hello", max_new_tokens=30, temperature=0)[0]
    stop = whole[6:8]
    greedy = {"temperature": 0}
    (by_text, by_length), _ = ask(
        engine, [request("Hello", 30, stop=[stop], sampling=greedy), request("Hello", 30, sampling=greedy)]
    )
    run(engine)
    assert text_of(by_text) == whole[: whole.index(stop)]
    assert by_text[-1].finish == "stop"
    assert text_of(by_length) == whole
    ended = TextGenerator(generator.model, Bytes(), stop_ids=[whole.encode(errors="replace")[0]])
    (by_id,), _ = ask(other := Engine({"m": (ended, None)}), [request("Hello", 30, sampling=greedy, n_alternatives=1)])
    run(other)
    assert (text_of(by_id), by_id[-1].finish, by_id[-1].n_new, by_id[-1].tokens) == ("", "stop", 1, ())


def test_an_answer_ends_where_the_context_is_full():
    generator = TextGenerator(spread_model(n_positions=16), Bytes(), stop_ids=[])
    engine = Engine({"m": (generator, None)})
    (fits, full), _ = ask(engine, [request("x" * 10, 3), request("x" * 10, 100)])
    (last,), _ = ask(engine, [request("x" * 16, 5)])
    run(engine)
    assert [one[-1].n_new for one in (fits, full, last)] == [3, 7, 1]
    with pytest.raises(DataError, match="17 tokens, expected 1 to 16, the model's context"):
        ask(engine, [request("x" * 17)])


@pytest.mark.parametrize(
    ("prompt", "more", "error", "said"),
    [
        ([], {}, DataError, "prompt is empty"),
        ([5, 257], {}, DataError, "the id 257, expected ids from 0 to 256"),
        ([-1], {}, DataError, "the id -1"),
        ([1], {"sampling": {"top_p": 2.0}}, ConfigError, "top_p"),
        ([1], {"stop": [""]}, ConfigError, "stop"),
    ],
)
def test_bad_requests_are_refused_before_they_wait(generator, prompt, more, error, said):
    engine = Engine({"m": (generator, None)})
    with pytest.raises(error, match=said):
        ask(engine, [Request([1], 1), Request(prompt, 1, **more)])
    assert engine.n_waiting == 0


@pytest.mark.parametrize("n_prompt", [1, 20, 64])
def test_log_probabilities_are_those_of_the_model(generator, n_prompt):
    engine = Engine({"m": (generator, None)})
    prompt = [(7 * i) % 250 for i in range(n_prompt)]
    (pieces,), _ = ask(engine, [Request(prompt, 4, n_alternatives=3, echo=True, sampling={"temperature": 0})])
    run(engine)
    tokens = [token for piece in pieces for token in piece.tokens]
    ids = [token.id for token in tokens]
    assert ids[:n_prompt] == prompt
    with torch.no_grad():
        logits = generator.model(torch.tensor([ids[:-1]]))[0][0] if len(ids) > 1 else torch.empty(0, 257)
    expected = torch.log_softmax(logits, -1)
    assert tokens[0].log_probability is None
    assert tokens[0].alternatives == ()
    for place, token in enumerate(tokens[1:]):
        assert token.log_probability == pytest.approx(float(expected[place, token.id]), abs=1e-4)
        best = expected[place].topk(3)
        assert [one for one, _ in token.alternatives] == best.indices.tolist()
        assert [value for _, value in token.alternatives] == pytest.approx(best.values.tolist(), abs=1e-4)
    text = text_of(pieces)
    assert text.startswith(bytes(prompt).decode(errors="replace"))
    assert all(0 <= token.offset <= len(text) for token in tokens)


def test_offsets_point_at_the_characters_of_tokens(generator):
    engine = Engine({"m": (generator, None)})
    (pieces,), _ = ask(engine, [request("é北x", 0, echo=True, n_alternatives=0)])
    run(engine)
    assert text_of(pieces) == "é北x"
    assert [token.offset for token in pieces[0].tokens] == [0, 0, 1, 1, 1, 2]
    assert pieces[-1].finish == "length"


def test_tokens_after_a_stop_text_are_not_returned():
    model = spread_model()
    generator = TextGenerator(model, Bytes(), stop_ids=[])
    whole = generator.complete("ab", max_new_tokens=30, temperature=0)[0]
    stop = whole[5:9]
    engine = Engine({"m": (generator, None)})
    (pieces,), _ = ask(engine, [request("ab", 30, stop=[stop], n_alternatives=0, sampling={"temperature": 0})])
    run(engine)
    text = text_of(pieces)
    assert text == whole[: whole.index(stop)]
    assert all(token.offset < len(text) for piece in pieces for token in piece.tokens)


def test_base_and_adapters_answer_side_by_side_from_one_network():
    model = apply_lora(spread_model(), LoraConfig(r=4, target_modules=["c_attn"]))
    add_adapter(model, "other", LoraConfig(r=2, target_modules=["c_fc", "c_attn"]))
    torch.manual_seed(1)
    for name in ("default", "other"):
        set_adapter(model, name)
        with torch.no_grad():
            for parameter in lora_parameters(model):
                parameter.add_(0.3 * torch.randn_like(parameter))
    generator = TextGenerator(model.eval(), Bytes())
    engine = Engine({"base": (generator, None), "one": (generator, "default"), "two": (generator, "other")})
    found = {}
    for name in ("base", "one", "two", "one"):
        ((pieces,), _) = ask(engine, [request("Hello", 16, sampling={"temperature": 0})], name)
        found.setdefault(name, []).append(pieces)
    run(engine)

    def alone():
        return generator.complete("Hello", max_new_tokens=16, temperature=0)[0]

    with adapter_disabled(model):
        expected = {"base": alone()}
    for name, adapter in (("one", "default"), ("two", "other")):
        set_adapter(model, adapter)
        expected[name] = alone()
    assert {name: {text_of(one) for one in ones} for name, ones in found.items()} == {
        name: {text} for name, text in expected.items()
    }
    assert len(set(expected.values())) == 3


def test_a_failing_model_ends_its_answers_and_the_engine_goes_on(generator, monkeypatch):
    said = []
    engine = Engine({"m": (generator, None)}, report=said.append)
    (first,), _ = ask(engine, [request("a", 50)])
    engine.step()
    monkeypatch.setattr(GPT2, "logits", lambda *_: (_ for _ in ()).throw(RuntimeError("no memory\nmore")))
    (second,), _ = ask(engine, [request("b", 50)])
    assert not engine.step()
    assert first[-1] == second[-1] == Failure("the model failed on this request: RuntimeError: no memory")
    assert said == ["an answer failed: RuntimeError: no memory"] * 2
    monkeypatch.undo()
    (third,), _ = ask(engine, [request("c", 5)])
    run(engine)
    assert third[-1].finish


def test_closing_ends_all_answers_and_the_thread(generator):
    engine = Engine({"m": (generator, None)}, max_rows=1)
    engine.start()
    pieces, _ = ask(engine, [request("a", 10_000), request("b", 50)])
    engine.close()
    engine.join()
    for one in pieces:
        assert one[-1] == Failure("the server is shutting down") or one[-1].finish
    with pytest.raises(QueueFullError, match="shutting down"):
        ask(engine, [request("c")])


def test_networks_of_transformers_answer_one_row_after_another():
    transformers = pytest.importorskip("transformers")
    from bytemill.model import TransformersCausal

    torch.manual_seed(0)
    config = transformers.BloomConfig(vocab_size=257, hidden_size=32, n_layer=2, n_head=4)
    model = TransformersCausal(transformers.BloomForCausalLM(config))
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.2 * torch.randn_like(parameter))
    generator = TextGenerator(model, Bytes())
    engine = Engine({"m": (generator, None)})
    pieces, _ = ask(engine, [request(prompt, 8, sampling={"temperature": 0}) for prompt in PROMPTS])
    run(engine)
    assert [text_of(one) for one in pieces] == [
        generator.complete(prompt, max_new_tokens=8, temperature=0)[0] for prompt in PROMPTS
    ]


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_the_cache_of_rows_gives_the_hidden_states_of_each_row_alone(dtype):
    model = spread_model(dtype=dtype)
    together, alone = RowsCache(model.config), []
    with torch.no_grad():
        for length in (3, 9, 1, 5):
            ids = torch.arange(length)[None]
            model.hidden_states(ids, cache=(cache := model.new_cache()))
            alone.append(cache)
            together.join(cache)
        together.leave(1)
        alone[1] = alone.pop()
        assert together.lengths == [3, 5, 1]
        for step in range(4):
            ids = torch.tensor([[7 + step], [8 + step], [9 + step]])
            found = model.hidden_states(ids, cache=together)
            expected = [model.hidden_states(ids[n : n + 1], cache=cache) for n, cache in enumerate(alone)]
            tolerance = 1e-5 if dtype == torch.float32 else 0.05
            assert torch.allclose(found, torch.cat(expected), atol=tolerance, rtol=tolerance)


def test_the_cache_of_rows_frees_its_memory_with_the_last_row():
    model = spread_model()
    rows = model.new_rows_cache()
    cache = KeyValueCache(model.config)
    with torch.no_grad():
        model.hidden_states(torch.tensor([[1, 2]]), cache=cache)
    rows.join(cache)
    rows.join(cache)
    rows.leave(0)
    rows.leave(0)
    assert (rows.lengths, rows.length, rows._memory) == ([], 0, None)


def test_a_seed_gives_the_ids_of_generate(generator):
    engine = Engine({"m": (generator, None)})
    (pieces,), _ = ask(engine, [request("Hello", 12, n_alternatives=0, sampling={"seed": 9})])
    run(engine)
    ids = generate(generator.model, torch.tensor([list(b"Hello")]), max_new_tokens=12, seed=9, stop_ids=[256])
    found = [token.id for piece in pieces for token in piece.tokens]
    assert found == [one for one in ids[0, 5:].tolist() if one != 256]
