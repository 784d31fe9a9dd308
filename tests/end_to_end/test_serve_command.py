"""`bytemill serve` as a user runs it: a run with an adapter, requests over HTTP, and the end by a signal."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading

import httpx
import pytest
import torch

from bytemill import Tokenizer
from bytemill.cli import main
from bytemill.model import GPT2, GPT2Config
from bytemill.model.lora import LoraConfig, apply_lora, lora_parameters, save_adapter
from bytemill.serve import run
from bytemill.tasks.usable_model import open_model

TEXT = "The quick brown fox jumps over the lazy dog. " * 30


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A model in Hugging Face's form, a LoRA run tuned from it, and an adapter in PEFT's form."""
    folder = tmp_path_factory.mktemp("serve")
    tokenizer = Tokenizer.train(texts=[TEXT], vocab_size=300)
    torch.manual_seed(0)
    config = GPT2Config(vocab_size=tokenizer.n_vocab, n_positions=256, n_embd=16, n_layer=1, n_head=2)
    model = GPT2(config)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.3 * torch.randn_like(parameter))
    model.save_huggingface(folder / "base")
    tokenizer.save(folder / "base" / "tokenizer.json")
    apply_lora(model, LoraConfig(r=2, target_modules=["c_attn"]))
    with torch.no_grad():
        for parameter in lora_parameters(model):
            parameter.add_(torch.randn_like(parameter))
    save_adapter(model, folder / "peft")
    rows = [{"instruction": "Say it.", "output": "The quick brown fox."}] * 12
    (folder / "rows.json").write_text(json.dumps(rows))
    tune = ["finetune", "instruct", "--model", "base", "--data", "rows.json", "--lora-rank", "2", "-o", "tuned"]
    more = ["--steps", "4", "--seq-len", "255", "--learning-rate", "0.1", "--set", "train.device=cpu"]
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setattr("sys.argv", ["bytemill", *tune, *more])
        with pytest.raises(SystemExit) as stopped:
            main()
    assert not stopped.value.code
    return folder


def command(*arguments, folder, **environment):
    return subprocess.Popen(
        [sys.executable, "-m", "bytemill", "serve", *arguments],
        cwd=folder,
        env={**os.environ, **environment},
        stderr=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


def url_of(process):
    """Read messages until the address is there."""
    for line in process.stderr:
        if found := re.search(r"serving (.*) at (http\S+)", line):
            return found[1], found[2]
    raise AssertionError("the server ended")


def generated(folder, model, prompt):
    """The answer of the model that `bytemill generate` uses."""
    (text,) = open_model(folder / model).generator().complete(prompt, max_new_tokens=8, temperature=0)
    return text


def test_base_run_and_peft_adapter_side_by_side_until_a_signal(folder):
    before = sorted(folder.rglob("*"))
    adapters = ["--adapter", "v1.tuned=tuned", "--adapter", "peft=peft"]
    process = command("base", *adapters, "--port", "0", "--max-rows", "2", folder=folder)
    try:
        names, url = url_of(process)
        assert names == "base, v1.tuned, peft"
        asked = {"prompt": "The quick", "temperature": 0, "max_tokens": 8}
        with httpx.Client(base_url=url, timeout=60, trust_env=False) as client:
            texts = {}
            for name in ("v1.tuned", "base", "peft", "v1.tuned"):
                texts[name] = client.post("/completions", json={**asked, "model": name}).json()["choices"][0]["text"]
            assert texts["base"] == generated(folder, "base", "The quick")
            assert texts["v1.tuned"] == generated(folder, "tuned", "The quick")
            assert len(set(texts.values())) == 3
            stream = {**asked, "model": "base", "max_tokens": 1000, "stream": True, "n": 40, "temperature": 1}
            with client.stream("POST", "/completions", json=stream) as response:
                lines = response.iter_lines()
                next(lines)
                process.send_signal(signal.SIGTERM)
                assert "the server is shutting down" in "".join(lines)
        assert process.wait(20) == 143
        assert "bytemill: stopped by SIGTERM" in process.stderr.read()
    finally:
        process.kill()
        process.wait()
        process.stderr.close()
        process.stdout.close()
    assert sorted(folder.rglob("*")) == before, "nothing is written to disk"


def test_ctrl_c_ends_an_idle_server(folder, monkeypatch, capfd):
    monkeypatch.chdir(folder)
    monkeypatch.setattr("sys.argv", ["bytemill", "serve", "base", "--port", "0"])
    startup = run._Server.startup

    async def interrupted(server, sockets):
        await startup(server, sockets)
        signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr(run._Server, "startup", interrupted)
    with pytest.raises(SystemExit) as stopped:
        main()
    assert stopped.value.code == 130
    said = capfd.readouterr().err.splitlines()
    assert said[0].startswith("serving base at http://127.0.0.1:")
    assert said[1:] == ["bytemill: stopped by SIGINT"]


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["./nowhere"], 1, "./nowhere"),
        (["base", "--host", "0.0.0.0"], 2, "--host 0.0.0.0 lets other machines send requests; give a key"),
        (["base", "--api-key-variable", "NOT_SET"], 2, "--api-key-variable is 'NOT_SET', which is not set"),
        (["base", "--api-key-variable", "EMPTY"], 2, "the environment variable EMPTY is empty"),
        (["base", "--adapter", "tuned"], 2, "--adapter is 'tuned', expected NAME=PATH"),
        (["base", "--adapter", "a=nowhere"], 2, "--adapter a: nowhere: there is no such folder"),
        (["base", "--adapter", "base=tuned"], 2, "--adapter base: a model has this name too"),
        (["base", "--adapter", "a=tuned", "--adapter", "a=peft"], 2, "two adapters have the same name"),
        (["base", "--adapter", "a=base"], 2, "base: is not an adapter but a whole model"),
        (["tuned", "--adapter", "a=tuned"], 1, "whose weights are not those of tuned"),
        (["base", "base"], 2, "same name"),
        (["base", "--host", "300.1.2.3", "--without-key"], 2, "cannot listen on 300.1.2.3"),
        (["base", "--port", "70000"], 2, "--port"),
    ],
)
def test_misuse(folder, monkeypatch, capfd, arguments, code, said):
    monkeypatch.chdir(folder)
    monkeypatch.setenv("EMPTY", "")
    monkeypatch.setattr("sys.argv", ["bytemill", "serve", *arguments])
    with pytest.raises(SystemExit) as stopped:
        main()
    assert stopped.value.code == code
    assert said in capfd.readouterr().err


def test_a_port_in_use(folder, monkeypatch, capfd):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        monkeypatch.chdir(folder)
        monkeypatch.setattr("sys.argv", ["bytemill", "serve", "base", "--port", str(port)])
        with pytest.raises(SystemExit) as stopped:
            main()
    assert stopped.value.code == 2
    assert f"cannot listen on 127.0.0.1, port {port}: " in capfd.readouterr().err
    assert not [one for one in threading.enumerate() if one.name == "bytemill-engine"]
