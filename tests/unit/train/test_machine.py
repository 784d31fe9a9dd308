"""The doctor reads facts rightly, on machines that are not this one too; every setting is printed with its words."""

import dataclasses
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from pydantic import BaseModel

from bytemill.system import memory
from bytemill.system.memory import container_memory
from bytemill.train.config import RunConfig, load_config
from bytemill.train.machine.advice import advice, uses
from bytemill.train.machine.device import multiplies_bf16, product_dtype
from bytemill.train.machine.environment import describe_environment
from bytemill.train.machine.facts import Gpu, Machine, Torch, examine
from bytemill.train.machine.hardware import peak_memory_mib
from bytemill.train.settings.documented import documented_toml

CPU_TORCH = Torch("2.9", None, threads=8, gpus=(), has_mps=False, has_bf16_units=False)
PLAIN = Machine(
    system="Linux",
    python="3.12",
    cpu="some",
    cores=8,
    physical_cores=4,
    instructions=("avx2",),
    splitting="avx2",
    memory_bytes=16_000_000_000,
    free_memory_bytes=8_000_000_000,
    free_disk_bytes=100_000_000_000,
    torch=CPU_TORCH,
    torch_error="",
    compiler="g++ 14",
    has_python_headers=True,
    packages={"triton": None},
)
GPU_TORCH = Torch("2.9", "13.0", 8, (Gpu("H100", 80_000_000_000, True),), has_mps=False, has_bf16_units=True)


def changed(**facts: object) -> Machine:
    return dataclasses.replace(PLAIN, **facts)  # type: ignore[arg-type]


def test_this_machine_is_examined_and_told_as_json() -> None:
    machine = examine()
    assert machine.torch is not None
    assert machine.cores >= 1
    assert json.loads(json.dumps(machine.as_dict()))["torch"]["version"] == machine.torch.version
    assert uses(machine)["training" if machine.torch is None else "device of training"]


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="only Linux tells a process's own peak")
def test_memory_of_a_starting_process_is_not_taken_for_that_of_a_run(monkeypatch: pytest.MonkeyPatch) -> None:
    """A sweep's runs are started by one process; ru_maxrss of each is at least what that had in use."""
    monkeypatch.setattr("resource.getrusage", lambda _: pytest.fail("ru_maxrss was asked for"))
    assert 100 < peak_memory_mib(torch.device("cpu")) < 100_000


def test_a_run_notes_the_cores_and_the_memory_that_it_may_use(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """environment.json had all of the machine's, and `bytemill doctor` those that the container allows."""
    (tmp_path / "memory.max").write_text(f"{1 << 20}\n")
    (tmp_path / "memory.current").write_text("1000\n")
    monkeypatch.setattr(memory, "container_memory", lambda: container_memory(tmp_path))
    monkeypatch.setattr("os.sched_getaffinity", lambda _: {0}, raising=False)
    noted, machine = describe_environment(torch.device("cpu"))["machine"], examine()
    assert (noted["cores"], noted["memory_bytes"]) == (machine.cores, machine.memory_bytes) == (1, 1 << 20)
    assert (noted["system"], noted["cpu"]) == (machine.system, machine.cpu)


def test_a_containers_limit_counts(tmp_path: Path) -> None:
    assert container_memory(tmp_path) == (None, 0)
    (tmp_path / "memory.current").write_text("100\n")
    for written, limit in (("max\n", None), ("4000\n", 4000)):
        (tmp_path / "memory.max").write_text(written)
        assert container_memory(tmp_path) == (limit, 100)


def test_a_cpu_without_bf16_units_stays_in_fp32() -> None:
    assert uses(PLAIN)["precision"].startswith("fp32")
    assert any("has no bf16 hardware" in line for line in advice(PLAIN))


def test_a_gpu_is_used_and_not_wished_for() -> None:
    machine = changed(torch=GPU_TORCH, packages={"triton": "3.5"})
    assert uses(machine)["device of training"].startswith("cuda")
    assert uses(machine)["torch.compile"].startswith("available")
    assert not advice(machine)


@pytest.mark.parametrize(
    ("machine", "words"),
    [
        (changed(torch=None, torch_error="ImportError: no libcudart"), "no libcudart"),
        (changed(compiler=None), "Install a C++ compiler"),
        (changed(has_python_headers=False), "python3-dev"),
        (changed(torch=dataclasses.replace(CPU_TORCH, threads=1)), "torch uses 1 of 8 cores"),
        (changed(free_memory_bytes=1_000_000_000), "Little memory is free"),
        (changed(free_disk_bytes=1_000_000_000), "Little disk space is free"),
        (changed(instructions=("sse2",)), "no AVX2"),
        (changed(torch=GPU_TORCH), "Install triton"),
    ],
)
def test_what_is_missing_is_named(machine: Machine, words: str) -> None:
    assert any(words in line for line in advice(machine))


def test_the_backend_of_splitting_is_the_one_that_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    def shown(splitting: str | None) -> str:
        return uses(changed(splitting=splitting))["splitting text"]

    monkeypatch.delenv("BYTEMILL_SIMD", raising=False)
    assert shown("avx512") == "AVX-512, 64 bytes at a time (BYTEMILL_SIMD selects another backend)"
    assert shown("neon").startswith("NEON")
    assert shown("scalar").startswith("one character")
    monkeypatch.setenv("BYTEMILL_SIMD", "AVX512")
    assert shown("avx512").endswith("(forced by BYTEMILL_SIMD=avx512)")
    assert shown("avx2") == "AVX2, 64 bytes at a time (BYTEMILL_SIMD=avx512 is ignored: this processor lacks it)"
    monkeypatch.setenv("BYTEMILL_SIMD", "sse2")
    assert shown(None) == "none: BYTEMILL_SIMD is 'sse2', expected avx512, avx2, neon, scalar or nothing"


def test_a_backend_that_the_processor_lacks_was_said_to_run() -> None:
    """On every machine one of these is missing."""
    ran = {}
    for forced in ("avx512", "neon", "scalar"):
        code = "from bytemill.train.machine.facts import examine; print(examine().splitting)"
        outcome = subprocess.run(
            [sys.executable, "-c", code],
            env={**os.environ, "BYTEMILL_SIMD": forced},
            capture_output=True,
            text=True,
            check=True,
        )
        ran[forced] = outcome.stdout.strip()
    assert ran["scalar"] == "scalar"
    assert not (ran["avx512"] == "avx512" and ran["neon"] == "neon")
    assert set(ran.values()) <= {"avx512", "avx2", "neon", "scalar"}


def test_printed_settings_read_back_as_they_were(tmp_path: Path) -> None:
    config = load_config(
        overrides=[
            "train.max_steps=7",
            "model.n_layer=2",
            "data.path=a b",
            'sample.prompts=["x", "\\u007f"]',
            "lora.r=4",
        ]
    )
    (tmp_path / "printed.toml").write_text(documented_toml(config), encoding="utf-8")
    assert load_config(tmp_path / "printed.toml") == config


def test_every_setting_is_printed_under_a_description() -> None:
    lines = documented_toml(RunConfig()).splitlines()
    sections = {"": RunConfig, **{name: type(value) for name, value in RunConfig() if isinstance(value, BaseModel)}}
    for name, section in sections.items():
        begin = lines.index(f"[{name}]") if name else -1
        for field, facts in section.model_fields.items():
            if field in sections or field == "model":
                continue
            places = [
                place
                for place, line in enumerate(lines)
                if place > begin and (line.removeprefix("# ").startswith(f"{field} =") or line == f"[{name}.{field}]")
            ]
            assert places, f"{name}.{field} is not printed"
            assert lines[places[0] - 1].startswith("# "), f"{name}.{field} has no description above it"
            assert facts.description, f"{name}.{field} has no description"


@pytest.mark.parametrize(
    ("isa", "expected"),
    [(None, True), ("DEFAULT", True), ("AVX512_CORE_BF16", True), ("avx512_core", False), ("AVX2", False)],
)
def test_bf16_hardware_is_not_used_if_the_environment_forbids_it(
    monkeypatch: pytest.MonkeyPatch, isa: str | None, expected: bool
) -> None:
    monkeypatch.setattr("torch.cpu.get_capabilities", lambda: {"avx512_bf16": True}, raising=False)
    monkeypatch.delenv("ONEDNN_MAX_CPU_ISA", raising=False)
    if isa is not None:
        monkeypatch.setenv("ONEDNN_MAX_CPU_ISA", isa)
    assert multiplies_bf16(torch.device("cpu")) is expected
    assert (product_dtype(torch.device("cpu"), "auto") == torch.bfloat16) is expected
