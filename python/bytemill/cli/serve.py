"""`bytemill serve`: models over HTTP, in the form of OpenAI's interface."""

from pathlib import Path
from typing import Annotated

import typer

from bytemill.cli.console import say
from bytemill.cli.several_models import MODEL_HELP, AskedBy, OwnTokenizer, named
from bytemill.errors import ArgumentError
from bytemill.extras import require
from bytemill.outside_text import key_in_environment


def serve(
    models: Annotated[
        list[str], typer.Argument(metavar="MODEL…", help=f"{MODEL_HELP} NAME=MODEL gives it a name for requests.")
    ],
    adapter: Annotated[
        list[str] | None,
        typer.Option(
            "--adapter",
            metavar="NAME=PATH",
            help="LoRA run or folder in PEFT's format, served under its own name; it shares the first model's "
            "network. Repeat the option for several adapters.",
        ),
    ] = None,
    host: Annotated[str, typer.Option(help="Address to listen on; 0.0.0.0 means all.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port to listen on; 0 takes a free one.")] = 8000,
    api_key_variable: Annotated[
        str | None,
        typer.Option(help="Environment variable with the key that requests must have. Default: no key."),
    ] = None,
    without_key: Annotated[
        bool, typer.Option("--without-key", help="Let other machines send requests without a key.")
    ] = False,
    tokenizer: OwnTokenizer = None,
    template: AskedBy = None,
    max_rows: Annotated[int, typer.Option(min=1, help="Maximum number of answers at the same time.")] = 8,
    max_waiting: Annotated[
        int, typer.Option(min=1, help="Maximum number of answers that wait; further requests get status 429.")
    ] = 64,
    max_new_tokens: Annotated[int, typer.Option(min=1, help="Maximum number of tokens per answer.")] = 1024,
    time_limit_s: Annotated[
        float, typer.Option(min=0.1, help="Maximum seconds for a request, waiting included.")
    ] = 300.0,
) -> None:
    """Serve models over HTTP in the form of OpenAI's interface: completions and chats, whole or as a stream.

    Any client of OpenAI's interface works, with the address that is printed as base URL. Only programs on this machine
    can reach the server unless --host is given; that needs a key.

    Example: bytemill serve runs/first chat=runs/chat

    Example: bytemill serve base=runs/first --adapter reviews=runs/tuned
    """
    key = key_in_environment(api_key_variable, option="--api-key-variable")
    for package in ("torch", "starlette", "uvicorn"):
        require(package)
    from bytemill.serve.models import open_models
    from bytemill.serve.run import address_of, is_this_machine, listen
    from bytemill.serve.run import serve as run_server

    if key is None and not without_key and not is_this_machine(host):
        raise ArgumentError(
            f"--host {host} lets other machines send requests; give a key with --api-key-variable, or --without-key"
        )
    adapters = dict(_name_and_path(one) for one in adapter or [])
    if len(adapters) != len(adapter or []):
        raise ArgumentError("two adapters have the same name; give each its own as NAME=PATH")
    served = open_models(named(models), adapters, tokenizer=tokenizer, template=template, say=say)
    from bytemill.inference import Engine
    from bytemill.serve.app import Limits, make_app

    engine = Engine(
        {name: (model.generator, model.adapter) for name, model in served.items()},
        max_rows=max_rows,
        max_waiting=max_waiting,
        report=say,
    )
    limits = Limits(max_new_tokens=max_new_tokens, max_seconds=time_limit_s)
    app = make_app(served, engine, limits=limits, own_name=host, key=key)
    opened = listen(host, port)
    run_server(app, engine, opened, ready=lambda: say(f"serving {', '.join(served)} at {address_of(opened)}"))


def _name_and_path(given: str) -> tuple[str, str]:
    name, equals, path = given.partition("=")
    if not (name and equals and path):
        raise ArgumentError(f"--adapter is {given!r}, expected NAME=PATH")
    if not Path(path).exists():
        raise ArgumentError(f"--adapter {name}: {path}: there is no such folder")
    return name, path
