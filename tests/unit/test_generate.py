"""Sampling: the cached path against the plain definition, and what each option promises."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from bytemill.data.rows import instruction_prompt
from bytemill.errors import ConfigError, DataError
from bytemill.inference import Conversation, TextGenerator, stream_text
from bytemill.model import GPT2, GPT2Config, generate, generate_stream


def model_with(n_positions: int, vocab_size: int = 60) -> GPT2:
    torch.manual_seed(3)
    model = GPT2(GPT2Config(vocab_size=vocab_size, n_positions=n_positions, n_embd=32, n_layer=2, n_head=4))
    with torch.no_grad():  # a fresh model repeats its last id for ever; a spread one wanders
        for parameter in model.parameters():
            parameter.add_(0.3 * torch.randn_like(parameter))
        model.token_embedding.weight[vocab_size:] = 100  # were padding ever looked at, it would win or lose
    return model.eval()


@torch.no_grad()
def greedy_by_definition(model: GPT2, ids: torch.Tensor, n_new: int) -> torch.Tensor:
    for _ in range(n_new):
        logits = model(ids[:, -model.config.n_positions :])[0][:, -1]
        ids = torch.cat([ids, logits.argmax(dim=-1, keepdim=True)], dim=1)
    return ids


@pytest.mark.parametrize("n_positions", [256, 64])
def test_greedy_with_cache_equals_greedy_without_for_200_tokens(n_positions: int) -> None:
    model = model_with(n_positions)
    prompt = torch.tensor([[1, 2, 3], [40, 50, 59]])
    cached = generate(model, prompt, max_new_tokens=200, temperature=0)
    assert torch.equal(cached, greedy_by_definition(model, prompt, 200))
    assert len(set(cached[0].tolist())) > 5


def test_a_prompt_longer_than_the_context_uses_its_end() -> None:
    model = model_with(8)
    prompt = torch.arange(20).unsqueeze(0)
    longer = generate(model, prompt, max_new_tokens=3, temperature=0)
    assert torch.equal(longer[:, :20], prompt)
    assert torch.equal(longer, greedy_by_definition(model, prompt, 3))


def test_equal_seeds_give_equal_ids_and_leave_torchs_generator_alone() -> None:
    model, prompt = model_with(64), torch.zeros(3, 1, dtype=torch.int64)
    state = torch.get_rng_state()
    first = generate(model, prompt, max_new_tokens=30, seed=7)
    assert torch.equal(first, generate(model, prompt, max_new_tokens=30, seed=7))
    assert not torch.equal(first, generate(model, prompt, max_new_tokens=30, seed=8))
    assert not torch.equal(generate(model, prompt, max_new_tokens=30), generate(model, prompt, max_new_tokens=30))
    assert torch.equal(state, torch.get_rng_state())
    assert len({tuple(row) for row in first.tolist()}) == 3  # rows are drawn apart


def test_the_stream_gives_the_same_columns() -> None:
    model, prompt = model_with(64), torch.tensor([[5, 6], [7, 8]])
    columns = list(generate_stream(model, prompt, max_new_tokens=9, seed=1))
    assert all(column.shape == (2, 1) for column in columns)
    whole = generate(model, prompt, max_new_tokens=9, seed=1)
    assert torch.equal(torch.cat([prompt, *columns], dim=1), whole)


def test_sampling_follows_the_probabilities() -> None:
    model = model_with(16)
    prompt = torch.tensor([[9]])
    with torch.no_grad():
        expected = torch.softmax(model(prompt)[0][0, -1] / 2.0, dim=-1)
    drawn = generate(model, prompt.expand(20_000, 1), max_new_tokens=1, temperature=2.0, seed=0)[:, 1]
    shares = torch.bincount(drawn, minlength=60) / 20_000
    assert float((shares - expected).abs().max()) < 0.015
    assert float(expected.max()) > 0.05


def test_top_k_and_top_p_draw_only_from_what_they_keep() -> None:
    model, prompt = model_with(16), torch.tensor([[9]])
    with torch.no_grad():
        probabilities, order = torch.softmax(model(prompt)[0][0, -1], dim=-1).sort(descending=True)
    many = prompt.expand(5_000, 1)
    by_k = set(generate(model, many, max_new_tokens=1, top_k=4, seed=0)[:, 1].tolist())
    assert by_k == set(order[:4].tolist())
    n_kept = int((probabilities.cumsum(0) < 0.6).sum()) + 1
    by_p = set(generate(model, many, max_new_tokens=1, top_p=0.6, seed=0)[:, 1].tolist())
    assert by_p == set(order[:n_kept].tolist())
    assert 1 < n_kept < 60
    tiny_p = generate(model, many, max_new_tokens=1, top_p=1e-9, seed=0)[:, 1]
    assert set(tiny_p.tolist()) == {int(order[0])}


def test_a_stopped_row_repeats_its_stop_id_and_the_last_one_ends_it_all() -> None:
    model = model_with(256)
    rows = generate(model, torch.zeros(4, 1, dtype=torch.int64), max_new_tokens=200, stop_ids=[3, 4], seed=0)
    ends = []
    for row in rows[:, 1:].tolist():
        end = next(place for place, one_id in enumerate(row) if one_id in (3, 4))
        assert set(row[end:]) == {row[end]}
        ends.append(end)
    assert len(set(ends)) > 1
    assert rows.shape[1] == 1 + max(ends) + 1


def test_training_mode_is_put_back_and_dropout_is_off() -> None:
    torch.manual_seed(0)
    model = GPT2(GPT2Config(vocab_size=60, n_positions=32, n_embd=32, n_layer=1, n_head=4, resid_pdrop=0.5))
    prompt = torch.tensor([[1, 2]])
    first = generate(model, prompt, max_new_tokens=20, seed=0)
    assert model.training
    assert torch.equal(first, generate(model.eval(), prompt, max_new_tokens=20, seed=0))
    assert not model.training


def test_zero_new_tokens_give_the_prompt() -> None:
    prompt = torch.tensor([[1, 2]])
    assert torch.equal(generate(model_with(16), prompt, max_new_tokens=0), prompt)


@pytest.mark.parametrize(
    "option",
    [
        {"temperature": -1.0},
        {"temperature": float("nan")},
        {"top_k": -1},
        {"top_p": 0.0},
        {"top_p": 1.5},
        {"seed": 2**64},
    ],
)
def test_a_wrong_option_is_named(option: dict[str, float]) -> None:
    with pytest.raises(ConfigError, match=next(iter(option))):
        generate(model_with(16), torch.tensor([[1]]), max_new_tokens=1, **option)
    with pytest.raises(ConfigError, match="max_new_tokens"):
        generate(model_with(16), torch.tensor([[1]]), max_new_tokens=-1)


@pytest.mark.parametrize("temperature", [1e-7, 1e-40, 5e-324])
def test_a_temperature_near_zero_takes_the_likeliest_id(temperature: float) -> None:
    """Dividing by 1e-40 made every logit infinite, and drawing failed."""
    model, prompt = model_with(64), torch.tensor([[1, 2, 3]])
    greedy = generate(model, prompt, max_new_tokens=20, temperature=0)
    assert torch.equal(generate(model, prompt, max_new_tokens=20, temperature=temperature, seed=0), greedy)


def test_top_k_of_zero_lets_all_ids_compete() -> None:
    model, prompt = model_with(64), torch.tensor([[1, 2, 3]])
    every = generate(model, prompt, max_new_tokens=30, top_k=None, seed=0)
    assert torch.equal(generate(model, prompt, max_new_tokens=30, top_k=0, seed=0), every)


@pytest.mark.parametrize("ids", [torch.tensor([1, 2]), torch.empty(1, 0, dtype=torch.int64)])
def test_a_prompt_of_the_wrong_shape_is_refused(ids: torch.Tensor) -> None:
    with pytest.raises(DataError, match=r"should be \(rows, tokens\)"):
        generate(model_with(16), ids, max_new_tokens=1)


class ByteTokenizer:
    """Bytes are their own ids; 256 ends a text."""

    n_vocab = 257
    eot_token: int | None = 256

    def encode_ordinary(self, text: str) -> list[int]:
        return list(text.encode())

    def decode_bytes(self, ids: list[int]) -> bytes:
        return bytes(ids)


class TestText:
    def test_complete_is_the_decoded_continuation(self) -> None:
        model = model_with(64, vocab_size=257)
        texts = TextGenerator(model, ByteTokenizer()).complete("Grüße", n_samples=3, max_new_tokens=40, seed=5)
        ids = generate(model, torch.tensor([list("Grüße".encode())] * 3), max_new_tokens=40, seed=5, stop_ids=[256])
        for text, row in zip(texts, ids[:, 7:].tolist(), strict=True):
            kept = row[: row.index(256)] if 256 in row else row
            assert text == bytes(kept).decode(errors="replace")
        assert len(set(texts)) == 3

    def test_stream_joins_to_complete(self) -> None:
        generator = TextGenerator(model_with(64, vocab_size=257), ByteTokenizer())
        pieces = list(generator.stream("Hello", max_new_tokens=40, seed=5, temperature=0.9))
        assert "".join(pieces) == generator.complete("Hello", max_new_tokens=40, seed=5, temperature=0.9)[0]
        assert len(pieces) > 5

    def test_an_empty_prompt_starts_from_end_of_text(self) -> None:
        tokenizer = ByteTokenizer()
        generator = TextGenerator(model_with(64, vocab_size=257), tokenizer)
        assert generator.complete("", max_new_tokens=5, seed=0)
        tokenizer.eot_token = None
        with pytest.raises(DataError, match="prompt is empty"):
            TextGenerator(model_with(64, vocab_size=257), tokenizer).complete("")

    def test_rows_that_suit_the_hardware_are_never_drawn(self) -> None:
        generator = TextGenerator(model_with(64, vocab_size=320), ByteTokenizer())
        assert len(generator.complete("Hello", n_samples=8, max_new_tokens=40, seed=5, temperature=9.0)) == 8

    def test_another_tokenizers_model_is_refused(self) -> None:
        with pytest.raises(DataError, match="257 ids, the model 60"):
            TextGenerator(model_with(16), ByteTokenizer())

    @settings(max_examples=300)
    @given(st.one_of(st.text().map(str.encode), st.binary()))
    def test_a_stream_never_splits_a_character(self, data: bytes) -> None:
        pieces = list(stream_text(ByteTokenizer(), data))
        text = data.decode(errors="replace")
        assert "".join(pieces) == text
        assert all(pieces)
        if "\ufffd" not in text:
            assert all("\ufffd" not in piece for piece in pieces)
            assert len(pieces) == len(text)  # one byte an id: each piece is one character

    @settings(max_examples=300)
    @given(st.text(alphabet="ab", max_size=30), st.lists(st.text(alphabet="ab", min_size=1, max_size=4), max_size=3))
    def test_a_stream_ends_before_the_first_text_to_stop_at(self, text: str, stop: list[str]) -> None:
        joined = "".join(stream_text(ByteTokenizer(), text.encode(), stop=stop))
        # The first to be complete ends it; of several complete at once the one that began first.
        ends = [place + len(one) for one in stop if (place := text.find(one)) >= 0]
        first = min(ends, default=None)
        if first is None:
            assert joined == text
        else:
            assert joined == min((text[:first].partition(one)[0] for one in stop), key=len)

    def test_stop_texts_end_each_sample_by_itself(self) -> None:
        generator = TextGenerator(model_with(64, vocab_size=257), ByteTokenizer())
        options = {"n_samples": 4, "max_new_tokens": 30, "seed": 5}
        whole = generator.complete("Hello", **options)
        cut = generator.complete("Hello", stop=[whole[0][3]], **options)
        assert cut == [text.partition(whole[0][3])[0] for text in whole]
        assert cut[0] != whole[0]

    def test_an_empty_stop_text_is_refused(self) -> None:
        with pytest.raises(ConfigError, match="stop: an empty text"):
            TextGenerator(model_with(64, vocab_size=257), ByteTokenizer()).complete("a", stop=[""])


class TestConversation:
    def generator(self, n_positions: int = 512) -> TextGenerator:
        return TextGenerator(model_with(n_positions, vocab_size=257), ByteTokenizer())

    def prompts_of(
        self, conversation: Conversation, monkeypatch: pytest.MonkeyPatch, generator: TextGenerator
    ) -> list[str]:
        seen: list[str] = []

        def stream(prompt: list[int], **_: object) -> list[str]:
            seen.append("".join("¶" if one == 256 else chr(one) for one in prompt))
            return [f"answer {len(seen)}", " \n"]

        monkeypatch.setattr(generator, "stream", stream)
        return seen

    def test_turns_stand_in_the_template_one_after_the_other(self, monkeypatch: pytest.MonkeyPatch) -> None:
        generator = self.generator()
        conversation = Conversation(generator, max_new_tokens=8)
        seen = self.prompts_of(conversation, monkeypatch, generator)
        assert "".join(conversation.answer("first")) == "answer 1 \n"
        list(conversation.answer("second"))
        assert seen[0] == instruction_prompt("first")
        assert seen[1] == seen[0] + "answer 1¶\n\n### Instruction:\nsecond\n\n### Response:\n"
        conversation.forget()
        list(conversation.answer("third"))
        assert seen[2] == instruction_prompt("third")

    def test_the_oldest_turns_are_left_out_when_there_is_no_room(self, monkeypatch: pytest.MonkeyPatch) -> None:
        generator = self.generator(n_positions=290)
        conversation = Conversation(generator, max_new_tokens=8)
        seen = self.prompts_of(conversation, monkeypatch, generator)
        for instruction in ("a" * 30, "b" * 30, "c" * 30):
            list(conversation.answer(instruction))
        assert "b" * 30 in seen[2]
        assert "a" * 30 not in seen[2]
        assert seen[2].startswith("Below is an instruction")

    def test_answers_as_long_as_the_context_leave_half_of_it_to_the_turns(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        generator = self.generator(n_positions=512)
        conversation = Conversation(generator, max_new_tokens=512)
        seen = self.prompts_of(conversation, monkeypatch, generator)
        list(conversation.answer("first"))
        list(conversation.answer("second"))
        assert "first" in seen[1]

    def test_a_heading_of_the_models_own_ends_its_answer(self) -> None:
        assert "".join(stream_text(ByteTokenizer(), b"Yes.\n\n### Instruction:\nAnd", stop=("\n### ",))) == "Yes.\n"
