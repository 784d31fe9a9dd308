"""A server of a small model in a thread of this process, for tests of the server."""

from __future__ import annotations

import contextlib
import socket
import threading
from typing import TYPE_CHECKING, Any

import httpx
import torch

from bytemill import Tokenizer
from bytemill.inference import Engine, TextGenerator
from bytemill.model import GPT2, GPT2Config
from bytemill.serve.app import Limits, make_app
from bytemill.serve.models import ServedModel
from bytemill.serve.run import listen, make_server

if TYPE_CHECKING:
    from collections.abc import Iterator

TEXT = "The quick brown fox jumps over the lazy dog. 北京大学的模型。" * 20


def small_generator(n_positions: int = 256, seed: int = 3) -> TextGenerator:
    """Return a model with spread weights, whose answers vary, and a trained tokenizer."""
    tokenizer = Tokenizer.train(texts=[TEXT], vocab_size=300)
    torch.manual_seed(seed)
    config = GPT2Config(vocab_size=tokenizer.n_vocab, n_positions=n_positions, n_embd=32, n_layer=2, n_head=4)
    model = GPT2(config)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.2 * torch.randn_like(parameter))
    return TextGenerator(model.eval(), tokenizer)


class Serving:
    """A running server and a client for it."""

    def __init__(self, engine: Engine, opened: socket.socket, served: dict[str, ServedModel]) -> None:
        self.engine, self.served = engine, served
        self.port = opened.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self.client = httpx.Client(base_url=self.url, timeout=30, trust_env=False)

    def post(self, path: str, body: Any = None, **more: Any) -> httpx.Response:
        return self.client.post(f"/v1/{path}", **({"json": body} if body is not None else {}), **more)

    def connect(self) -> socket.socket:
        """Return a plain connection, to break the protocol with."""
        return socket.create_connection(("127.0.0.1", self.port), timeout=30)


@contextlib.contextmanager
def serving(
    generators: dict[str, TextGenerator], *, limits: Limits | None = None, key: str | None = None, **engine: Any
) -> Iterator[Serving]:
    """Serve models on a free port of 127.0.0.1."""
    served = {name: ServedModel(name, generator, None, "alpaca") for name, generator in generators.items()}
    running = Engine({name: (one.generator, None) for name, one in served.items()}, **engine)
    opened, ready = listen("127.0.0.1", 0), threading.Event()
    place = Serving(running, opened, served)
    server = make_server(make_app(served, running, limits=limits, key=key), running, ready=ready.set)
    thread = threading.Thread(target=lambda: server.run(sockets=[opened]))
    running.start()
    thread.start()
    try:
        assert ready.wait(30)
        yield place
    finally:
        place.client.close()
        server.should_exit = True
        thread.join(30)
        opened.close()
        running.close()
        running.join()
        assert not thread.is_alive()
