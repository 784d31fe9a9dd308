"""Bad requests to the server: each gets an error in OpenAI's form that helps, and the server goes on."""

import contextlib
import time

import httpx
import pytest

from bytemill.inference.lane import Lane
from bytemill.serve import run
from bytemill.serve.app import Limits
from serving import serving, small_generator

ASKED = {"model": "m", "prompt": "The", "max_tokens": 2, "temperature": 0}
LONG = {**ASKED, "max_tokens": 200, "temperature": 1.0, "stream": True}
HEAD = b"POST /v1/completions HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
USER = {"role": "user", "content": "Hi"}


@pytest.fixture(scope="module")
def server():
    generator = small_generator()
    generator.stop_ids = ()
    limits = Limits(max_body_bytes=100_000, max_body_seconds=1.0, max_new_tokens=150)
    with serving({"m": generator}, limits=limits, max_rows=2, max_waiting=8) as place:
        yield place


@pytest.fixture(autouse=True)
def still_serving(server):
    yield
    until(lambda: server.engine.n_rows == server.engine.n_waiting == 0)
    assert server.post("completions", ASKED).status_code == 200


def until(true, seconds=20):
    """Wait until something is true."""
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end
        time.sleep(0.01)


def error_of(response, status, kind="invalid_request_error"):
    assert response.status_code == status, response.text
    error = response.json()["error"]
    assert error.keys() == {"message", "type", "param", "code"}
    assert error["type"] == kind
    return error


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b"", "not JSON"),
        (b"{", "not JSON"),
        (b"\xff{}", "not JSON in UTF-8: byte 0xff"),
        (b"[1]", "holds a JSON list, expected an object"),
        (b"[" * 50_000, "nested more than 100 levels"),
        (b'{"model": ' + b"9" * 6000 + b"}", "an integer of more than"),
        (b'{"model": "m", "prompt": "x", "temperature": NaN}', "temperature: input should be a finite number"),
    ],
    ids=range(7),
)
def test_bodies_that_are_not_usable_json(server, body, said):
    response = server.post("completions", content=body, headers={"Content-Type": "application/json"})
    assert said in error_of(response, 400)["message"]


@pytest.mark.parametrize(
    ("change", "param", "said"),
    [
        ({"prompt": None}, "prompt", "expected a text, a list of texts"),
        ({"prompt": []}, "prompt", "none empty"),
        ({"prompt": [[]]}, "prompt", "none empty"),
        ({"prompt": ["a", 1]}, "prompt", "expected a text"),
        ({"prompt": [True]}, "prompt", "expected a text"),
        ({"prompt": {"a": 1}}, "prompt", "expected a text"),
        ({"prompt": [5, 100_000]}, "prompt", "the id 100000, expected ids from 0 to"),
        ({"prompt": [-1]}, "prompt", "the id -1"),
        ({"prompt": [2**70]}, "prompt", "the id"),
        ({"max_tokens": -1}, "max_tokens", "greater than or equal to 0"),
        ({"max_tokens": "5"}, "max_tokens", "valid integer"),
        ({"max_tokens": True}, "max_tokens", "valid integer"),
        ({"temperature": -0.1}, "temperature", "greater than or equal to 0"),
        ({"top_p": 0}, "top_p", "greater than 0"),
        ({"top_p": 1.01}, "top_p", "less than or equal to 1"),
        ({"top_k": -1}, "top_k", "greater than or equal to 0"),
        ({"min_p": 2}, "min_p", "less than or equal to 1"),
        ({"seed": 2**63}, "seed", "less than"),
        ({"n": 0}, "n", "greater than or equal to 1"),
        ({"n": 9}, "n", "9 answers, prompts times n; the maximum is 8"),
        ({"prompt": ["a"] * 9}, "n", "9 answers"),
        ({"logprobs": 21}, "logprobs", "less than or equal to 20"),
        ({"stop": ""}, "stop.0", "at least 1 character"),
        ({"stop": ["a"] * 17}, "stop", "at most 16 items"),
        ({"stop": ["a" * 1001]}, "stop.0", "at most 1000 characters"),
        ({"stop": 5}, "stop", "valid list"),
        ({"stream": "yes"}, "stream", "valid boolean"),
        ({"stream_options": {"include_use": True}}, "stream_options.include_use", "unknown field"),
        ({"temprature": 1}, "temprature", "temprature: unknown field; known are model, max_tokens, temperature"),
        ({"\x1b[31m": 1}, "\\x1b[31m", "unknown field"),
        ({"frequency_penalty": 0.5}, None, "frequency_penalty is not supported; leave it out"),
        ({"logit_bias": {"5": 1}}, None, "logit_bias is not supported"),
        ({"best_of": 2}, None, "best_of is not supported"),
        ({"model": 5}, "model", "valid string"),
    ],
    ids=str,
)  # fmt: skip
def test_wrong_fields(server, change, param, said):
    error = error_of(server.post("completions", {**ASKED, **change}), 400)
    assert error["param"] == param
    assert said in error["message"]


def test_missing_fields(server):
    assert error_of(server.post("completions", {"prompt": "x"}), 400)["message"] == "model: is missing; it is required"
    assert error_of(server.post("completions", {"model": "m"}), 400)["param"] == "prompt"
    assert error_of(server.post("chat/completions", {"model": "m"}), 400)["param"] == "messages"


@pytest.mark.parametrize(
    ("messages", "said"),
    [
        ([], "at least 1 item"),
        ("Hi", "valid list"),
        (["Hi"], "messages.0"),
        ([{"role": "user"}], "messages.0.content: is missing"),
        ([{"role": "robot", "content": "Hi"}], "messages.0.role"),
        ([{"role": "system", "content": "Be kind."}], "the last is the system's; it must be the user's"),
        ([USER, {"role": "assistant", "content": "Yes"}], "the last is the assistant's; it must be the user's"),
        ([USER, USER], "whose turns do not alternate between user and assistant"),
        ([USER, {"role": "system", "content": "x"}, USER], "do not alternate"),
        ([{"role": "assistant", "content": "x"}, USER], "do not alternate"),
        ([USER | {"content": " "}], "with an empty message"),
        ([USER | {"content": None}], "valid string"),
        ([USER | {"content": [{"type": "image_url", "image_url": {}}]}], "these models read only text"),
        ([USER | {"tool_calls": []}], "unknown field"),
        ([USER | {"content": "word " * 2000}], "expected 1 to 256, the model's context"),
    ],
    ids=range(15),
)
def test_wrong_conversations(server, messages, said):
    error = error_of(server.post("chat/completions", {"model": "m", "messages": messages}), 400)
    assert said in error["message"]


def test_a_prompt_longer_than_the_context(server):
    error = error_of(server.post("completions", {**ASKED, "prompt": "word " * 2000}), 400)
    assert error["code"] == "context_length_exceeded"
    assert "expected 1 to 256, the model's context; shorten it" in error["message"]


def test_unknown_models_paths_and_methods(server):
    error = error_of(server.post("completions", {**ASKED, "model": "gpt-9"}), 404)
    assert (error["code"], error["message"]) == ("model_not_found", "there is no model 'gpt-9'; this server has m")
    error_of(server.client.get("/v1/models/gpt-9"), 404)
    assert "this server has /v1/models, /v1/completions" in error_of(server.client.get("/v2"), 404)["message"]
    assert "GET /v1/completions" in error_of(server.client.get("/v1/completions"), 405)["message"]


def test_a_body_of_ten_megabytes(server):
    response = server.post("completions", {**ASKED, "prompt": "x" * 10_000_000})
    assert "more than 100,000 bytes" in error_of(response, 413)["message"]


def test_a_body_of_another_type(server):
    for kind in ("text/plain", "application/x-www-form-urlencoded"):
        response = server.post("completions", content=b"{}", headers={"Content-Type": kind})
        assert "Content-Type: application/json" in error_of(response, 415)["message"]


def test_a_slow_body(server):
    with server.connect() as connection:
        connection.sendall(HEAD + b"Content-Length: 50\r\n\r\n{")
        answer = b"".join(iter(lambda: connection.recv(4096), b""))
    assert b"408" in answer.split(b"\r\n")[0]
    assert b"did not arrive within 1 seconds" in answer


def test_a_slow_head(server, monkeypatch):
    monkeypatch.setattr(run, "_MAX_HEAD_SECONDS", 0.3)
    with server.connect() as silent, server.connect() as slow:
        slow.sendall(b"POST /v1/comp")
        time.sleep(0.1)
        slow.sendall(b"letions HTTP/1.1\r\n")
        assert silent.recv(100) == b""
        assert slow.recv(100) == b""


def test_what_is_not_http(server):
    with server.connect() as connection:
        connection.sendall(b"\x00\xff" * 100 + b"\r\n\r\n")
        assert b"400" in connection.recv(4096).split(b"\r\n")[0]


def test_a_head_without_end(server):
    """The server closes the connection while the client still sends, so its 400 may be lost on the way."""
    with server.connect() as connection, contextlib.suppress(ConnectionError):
        connection.sendall(b"GET / HTTP/1.1\r\nHost: a\r\nX: " + b"a" * 200_000)
        answer = connection.recv(4096)
        assert not answer or b"400" in answer.split(b"\r\n")[0]


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:8000", "localhost.evil.example", "", "127.0.0.1.evil.example"]
)
def test_a_host_header_of_another_machine(server, host):
    assert "names another machine" in error_of(server.client.get("/v1/models", headers={"Host": host}), 403)["message"]


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST:99", "127.0.0.1", "[::1]:8000", "192.168.0.7:8000"])
def test_a_host_header_of_this_machine(server, host):
    assert server.client.get("/v1/models", headers={"Host": host}).status_code == 200


def test_no_page_of_another_origin_may_read_answers(server):
    response = server.client.get("/v1/models", headers={"Origin": "https://evil.example"})
    assert not [name for name in response.headers if name.startswith("access-control")]
    assert server.client.options("/v1/completions", headers={"Origin": "https://evil.example"}).status_code == 405


@pytest.fixture
def slow_steps(monkeypatch):
    """Let each step take 50 ms; return the list of steps so far."""
    steps, step = [], Lane.step

    def slow_step(lane):
        steps.append(len(lane.rows))
        time.sleep(0.05)
        step(lane)

    monkeypatch.setattr(Lane, "step", slow_step)
    return steps


def test_a_client_that_leaves_in_the_middle_of_a_stream(server, slow_steps):
    with server.client.stream("POST", "/v1/completions", json=LONG) as response:
        lines = response.iter_lines()  # kept: without it, httpx closes the connection
        next(lines)
        assert server.engine.n_rows == 1
    until(lambda: server.engine.n_rows == 0)
    assert len(slow_steps) < LONG["max_tokens"] / 2


def test_a_client_that_leaves_before_its_whole_answer(server, slow_steps):
    with pytest.raises(httpx.ReadTimeout):
        server.post("completions", {**LONG, "stream": False, "n": 8}, timeout=0.3)
    until(lambda: server.engine.n_rows == server.engine.n_waiting == 0)
    assert len(slow_steps) < LONG["max_tokens"] / 2


def test_a_client_that_leaves_in_the_middle_of_its_body(server):
    with server.connect() as connection:
        connection.sendall(HEAD + b"Content-Length: 100\r\n\r\n{")


@pytest.mark.usefixtures("slow_steps")
def test_a_full_queue(server):
    with server.client.stream("POST", "/v1/completions", json={**LONG, "n": 8}) as response:
        lines = response.iter_lines()  # kept: without it, httpx closes the connection
        next(lines)
        refused = server.post("completions", {**LONG, "n": 8})
        error = error_of(refused, 429, "rate_limit_error")
        assert error["code"] == "queue_full"
        assert "try again later" in error["message"]
        assert refused.headers["Retry-After"] == "1"


def test_an_answer_that_takes_too_long():
    generator = small_generator()
    generator.stop_ids = ()
    with serving({"m": generator}, limits=Limits(max_seconds=0.05)) as server:
        error = error_of(server.post("completions", {**LONG, "stream": False}), 504, "server_error")
        assert "took longer than 0.05 seconds" in error["message"]
        streamed = server.post("completions", LONG).text.split("\n\n")
        assert "took longer than 0.05 seconds" in streamed[-3]
        assert streamed[-2] == "data: [DONE]"
        until(lambda: server.engine.n_rows == 0, 5)


def test_a_key():
    with serving({"m": small_generator()}, key="s3cret") as server:
        for headers in (
            {},
            {"Authorization": "Bearer wrong"},
            {"Authorization": "Basic s3cret"},
            {"Authorization": "s3cret"},
        ):
            response = server.client.get("/v1/models", headers=headers)
            error = error_of(response, 401, "authentication_error")
            assert error["code"] == "invalid_api_key"
            assert response.headers["WWW-Authenticate"] == "Bearer"
        right = {"Authorization": "Bearer s3cret", "Host": "models.example"}
        assert server.post("completions", ASKED, headers=right).status_code == 200
        assert server.client.get("/v1/models", headers={"Authorization": "Bearer s3crét".encode()}).status_code == 401


def test_an_error_of_the_model_is_an_answer(server, monkeypatch):
    def broken(*_):
        raise RuntimeError("not enough memory")

    monkeypatch.setattr(type(server.served["m"].generator.model), "logits", broken)
    assert "not enough memory" in error_of(server.post("completions", ASKED), 503, "server_error")["message"]
    streamed = server.post("completions", {**ASKED, "stream": True})
    assert "not enough memory" in streamed.text
    monkeypatch.undo()
