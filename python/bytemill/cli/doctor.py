"""`bytemill doctor`: what this machine has, and what bytemill will use of it."""

import json
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from bytemill.train.machine.facts import Machine


def doctor(as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False) -> None:
    """Show this machine's hardware and software, what bytemill will use, and what would make it faster.

    Example: bytemill doctor
    """
    from bytemill import __version__
    from bytemill.train.machine.advice import advice, uses
    from bytemill.train.machine.facts import examine

    machine = examine()
    if as_json:
        print(
            json.dumps({"bytemill": __version__, **machine.as_dict(), "uses": uses(machine), "advice": advice(machine)})
        )
        return
    _print_part("This machine", {"bytemill": __version__, **_facts(machine)})
    _print_part("What bytemill uses", uses(machine))
    print("\nWhat would make it faster")
    for line in advice(machine) or ["Nothing that could be found."]:
        print(f"  {line}")


def _print_part(title: str, facts: dict[str, str]) -> None:
    width = max(map(len, facts))
    print(f"{'' if 'bytemill' in facts else chr(10)}{title}")
    for name, value in facts.items():
        print(f"  {name:<{width}}  {value}")


def _facts(machine: "Machine") -> dict[str, str]:
    from bytemill.report.figures import size

    torch = machine.torch
    cores = f"{machine.cores} logical" + (f", {machine.physical_cores} physical" if machine.physical_cores else "")
    facts = {
        "system": f"{machine.system}, Python {machine.python}",
        "processor": f"{machine.cpu or 'unknown'}; cores: {cores}",
        "instructions": " ".join(machine.instructions) or "none that matter here",
        "memory": _memory(machine),
        "disk": f"{size(machine.free_disk_bytes)} free here",
        "torch": "not to be imported" if torch is None else f"{torch.version}, built for CUDA {torch.cuda or 'no'}",
        "GPUs": "none",
        "compiler": (machine.compiler or "none") + ("" if machine.has_python_headers else "; no Python headers"),
        "packages": ", ".join(f"{name} {version or 'missing'}" for name, version in machine.packages.items()),
    }
    if torch is not None and torch.gpus:
        facts["GPUs"] = "; ".join(f"{gpu.name}, {size(gpu.memory_bytes)}" for gpu in torch.gpus)
    elif torch is not None and torch.has_mps:
        facts["GPUs"] = "Apple's (mps)"
    return {name: value.replace("\N{NO-BREAK SPACE}", " ") for name, value in facts.items()}


def _memory(machine: "Machine") -> str:
    from bytemill.report.figures import size

    if machine.memory_bytes is None or machine.free_memory_bytes is None:
        return "unknown"
    return f"{size(machine.free_memory_bytes)} free of {size(machine.memory_bytes)}"
