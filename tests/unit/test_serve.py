"""The server: OpenAI's forms of requests and answers, over a real connection."""

import json

import pytest
import torch

from bytemill.data.rows import Turn, prompt_ids, stop_texts
from bytemill.inference import Conversation
from serving import serving, small_generator

GREEDY = {"model": "m", "temperature": 0}


@pytest.fixture(scope="module")
def server():
    with serving({"m": small_generator(), "other": small_generator(seed=4)}) as place:
        yield place


@pytest.fixture(scope="module")
def generator(server):
    return server.served["m"].generator


def events(response):
    lines = [line for line in response.text.split("\n\n") if line]
    assert all(line.startswith("data: ") for line in lines)
    assert lines[-1] == "data: [DONE]"
    return [json.loads(line.removeprefix("data: ")) for line in lines[:-1]]


def test_models_are_listed(server):
    listed = server.client.get("/v1/models").json()
    assert [one["id"] for one in listed["data"]] == ["m", "other"]
    assert listed["object"] == "list"
    one = server.client.get("/v1/models/other").json()
    assert (one["id"], one["object"], one["owned_by"]) == ("other", "model", "bytemill")


def test_a_completion_is_that_of_generate(server, generator):
    found = server.post("completions", {**GREEDY, "prompt": "The quick", "max_tokens": 12})
    assert found.status_code == 200
    body = found.json()
    (expected,) = generator.complete("The quick", max_new_tokens=12, temperature=0)
    assert body["choices"] == [{"index": 0, "text": expected, "logprobs": None, "finish_reason": "length"}]
    n_prompt = len(generator.tokenizer.encode_ordinary("The quick"))
    assert body["usage"] == {"prompt_tokens": n_prompt, "completion_tokens": 12, "total_tokens": n_prompt + 12}
    assert (body["object"], body["model"]) == ("text_completion", "m")
    assert body["id"].startswith("cmpl-")


def test_the_other_model_has_other_answers(server):
    asked = {"prompt": "The", "temperature": 0, "max_tokens": 20}
    texts = [
        server.post("completions", {**asked, "model": name}).json()["choices"][0]["text"] for name in ("m", "other")
    ]
    assert texts[0] != texts[1]


def test_prompts_may_be_texts_or_ids_and_each_gets_n_answers(server, generator):
    ids = generator.tokenizer.encode_ordinary("The fox")
    alone = [generator.complete(prompt, max_new_tokens=6, temperature=0)[0] for prompt in ("The fox", "dog")]
    for prompt, expected in (
        (["The fox", "dog"], alone),
        (ids, alone[:1]),
        ([ids, generator.tokenizer.encode_ordinary("dog")], alone),
    ):
        choices = server.post("completions", {**GREEDY, "prompt": prompt, "max_tokens": 6}).json()["choices"]
        assert [one["text"] for one in choices] == expected
    choices = server.post("completions", {**GREEDY, "prompt": ["The fox", "dog"], "max_tokens": 6, "n": 2}).json()[
        "choices"
    ]
    assert [one["index"] for one in choices] == [0, 1, 2, 3]
    assert [one["text"] for one in choices] == [alone[0], alone[0], alone[1], alone[1]]


def test_seeds_repeat_answers_and_n_answers_differ(server, generator):
    asked = {"model": "m", "prompt": "The", "seed": 7, "n": 3, "max_tokens": 15, "top_k": 40}
    first, second = ([one["text"] for one in server.post("completions", asked).json()["choices"]] for _ in range(2))
    assert first == second
    assert len(set(first)) == 3
    assert first[1] == generator.complete("The", max_new_tokens=15, top_k=40, seed=8)[0]


def test_completions_have_a_default_length_and_the_servers_maximum(server):
    assert server.post("completions", {**GREEDY, "prompt": "The"}).json()["usage"]["completion_tokens"] == 16
    assert server.post("completions", {**GREEDY, "prompt": "The", "max_tokens": 0}).json()["choices"][0]["text"] == ""


def test_echo_and_log_probabilities(server, generator):
    asked = {**GREEDY, "prompt": "北京 fox", "max_tokens": 2, "echo": True, "logprobs": 3}
    choice = server.post("completions", asked).json()["choices"][0]
    found = choice["logprobs"]
    ids = generator.tokenizer.encode_ordinary("北京 fox")
    with torch.no_grad():
        expected = torch.log_softmax(generator.model(torch.tensor([ids]))[0][0], -1)
    assert choice["text"].startswith("北京 fox")
    assert found["token_logprobs"][0] is None
    assert found["top_logprobs"][0] is None
    assert found["token_logprobs"][1 : len(ids)] == pytest.approx(
        [float(expected[place, one]) for place, one in enumerate(ids[1:])], abs=1e-4
    )
    assert len(found["tokens"]) == len(ids) + 2 == len(found["text_offset"]) == len(found["top_logprobs"])
    assert all(
        value in best.values()
        for value, best in zip(found["token_logprobs"][1:], found["top_logprobs"][1:], strict=True)
    )
    for token, offset in zip(found["tokens"], found["text_offset"], strict=True):
        assert token.startswith("bytes:\\x") or choice["text"].startswith(token, offset)


def test_a_stream_has_the_pieces_of_the_whole_answer(server):
    asked = {**GREEDY, "prompt": ["The fox", "北京"], "max_tokens": 20, "logprobs": 1}
    whole = server.post("completions", asked).json()
    streamed = server.post("completions", {**asked, "stream": True, "stream_options": {"include_usage": True}})
    assert streamed.headers["content-type"] == "text/event-stream; charset=utf-8"
    *parts, last = events(streamed)
    assert (last["choices"], last["usage"]) == ([], whole["usage"])
    for number, choice in enumerate(whole["choices"]):
        own = [part["choices"][0] for part in parts if part["choices"][0]["index"] == number]
        assert "".join(one["text"] for one in own) == choice["text"]
        assert [one["finish_reason"] for one in own] == [None] * (len(own) - 1) + ["length"]
        tokens = [token for one in own for token in one["logprobs"]["tokens"]]
        assert tokens == choice["logprobs"]["tokens"]
    assert len({part["id"] for part in parts}) == 1


def test_stop_texts_end_answers(server, generator):
    (whole,) = generator.complete("The", max_new_tokens=30, temperature=0)
    stop = whole[8:10]
    for given in (stop, [stop, "never"]):
        choice = server.post("completions", {**GREEDY, "prompt": "The", "max_tokens": 30, "stop": given}).json()[
            "choices"
        ][0]
        assert (choice["text"], choice["finish_reason"]) == (whole[: whole.index(stop)], "stop")


def test_a_chat_is_that_of_the_chat_command(server, generator):
    messages = [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "Hi fox"},
        {"role": "assistant", "content": "Hello"},
        {"role": "user", "content": [{"type": "text", "text": "And"}, {"type": "text", "text": " now?"}]},
    ]
    body = server.post("chat/completions", {**GREEDY, "messages": messages, "max_tokens": 8}).json()
    turns = [Turn("system", "Be brief."), Turn("user", "Hi fox"), Turn("assistant", "Hello"), Turn("user", "And now?")]
    ids = prompt_ids(turns, generator.tokenizer, "alpaca")
    expected = "".join(generator.stream(ids, max_new_tokens=8, temperature=0, stop=stop_texts("alpaca")))
    assert body["choices"][0]["message"] == {"role": "assistant", "content": expected, "refusal": None}
    assert body["usage"]["prompt_tokens"] == len(ids)
    one_turn = server.post("chat/completions", {**GREEDY, "messages": [messages[1]], "max_completion_tokens": 8}).json()
    talk = Conversation(generator, max_new_tokens=8, temperature=0)
    assert one_turn["choices"][0]["message"]["content"] == "".join(talk.answer("Hi fox"))


def test_a_streamed_chat(server):
    asked = {
        **GREEDY,
        "messages": [{"role": "user", "content": "Hi"}],
        "max_tokens": 8,
        "logprobs": True,
        "top_logprobs": 2,
    }
    whole = server.post("chat/completions", asked).json()
    parts = [part["choices"][0] for part in events(server.post("chat/completions", {**asked, "stream": True}))]
    assert parts[0]["delta"] == {"role": "assistant", "content": ""}
    assert "".join(part["delta"].get("content", "") for part in parts) == whole["choices"][0]["message"]["content"]
    assert parts[-1]["finish_reason"] == whole["choices"][0]["finish_reason"]
    tokens = [token for part in parts if part["logprobs"] for token in part["logprobs"]["content"]]
    assert tokens == whole["choices"][0]["logprobs"]["content"]
    assert all(len(token["top_logprobs"]) == 2 and isinstance(token["bytes"], list) for token in tokens)
    assert (
        b"".join(bytes(token["bytes"]) for token in tokens).decode(errors="replace")
        == whole["choices"][0]["message"]["content"]
    )


def test_fields_that_change_nothing_are_accepted(server):
    neutral = {
        "frequency_penalty": 0,
        "logit_bias": None,
        "best_of": 1,
        "user": "me",
        "top_p": 1,
        "min_p": 0,
        "stream": False,
    }
    assert server.post("completions", {**GREEDY, "prompt": "The", **neutral}).status_code == 200
    chat = {**GREEDY, "messages": [{"role": "developer", "content": "Be kind."}, {"role": "user", "content": "Hi"}]}
    more = {"tools": [], "response_format": {"type": "text"}, "metadata": {"a": "b"}, "store": False}
    assert server.post("chat/completions", {**chat, **more, "max_tokens": 2}).status_code == 200
