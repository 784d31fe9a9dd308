"""The rungs of the ladder: what each one adds, and why a machine may not support it.

They are those of Karpathy's "Let's reproduce GPT-2" (2024): TF32, a 16-bit format, torch.compile, an attention kernel
that does not write its matrix of scores to memory, and a vocabulary padded to a multiple of 128, which is faster.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Literal

import torch

from bytemill.train.machine.device import multiplies_bf16

if TYPE_CHECKING:
    from bytemill.train.machine.facts import Machine

__all__ = ["PAD_TO", "RUNGS", "Precision", "Rung", "Way", "obstacle", "way_of"]

PAD_TO = 128
"""The last rung pads the vocabulary to a multiple of this."""

_AMPERE = (8, 0)
Precision = Literal["fp32", "tf32", "bf16", "fp16"]


@dataclass(frozen=True)
class Way:
    """A training configuration: everything that a rung can change."""

    precision: Precision = "fp32"
    compiles: bool = False
    fused_attention: bool = False
    padded: bool = False

    def as_json(self) -> dict[str, Any]:
        """Return the settings by name."""
        return asdict(self)


@dataclass(frozen=True)
class Rung:
    """One change to how a model is trained."""

    name: str
    adds: Literal["nothing", "tf32", "16-bit", "compile", "fused attention", "padding"]
    reported_tokens_per_s: int
    """Published tokens per second of GPT-2 124M on an RTX 3090, with 4 x 1,024 tokens per step."""


RUNGS = (
    Rung("fp32", "nothing", 15_371),
    Rung("TF32", "tf32", 20_321),
    Rung("16-bit format", "16-bit", 27_330),
    Rung("torch.compile", "compile", 45_726),
    Rung("fused attention", "fused attention", 57_979),
    Rung("padded vocabulary", "padding", 59_649),
)


def way_of(rung: Rung, before: Way, device: torch.device) -> Way:
    """Return the training configuration of this rung, which changes one thing of the configuration before it.

    >>> way_of(RUNGS[3], Way("bf16"), torch.device("cpu"))
    Way(precision='bf16', compiles=True, fused_attention=False, padded=False)
    """
    changes: dict[str, dict[str, Any]] = {
        "nothing": {},
        "tf32": {"precision": "tf32"},
        "16-bit": {"precision": _half_format(device) or "bf16"},
        "compile": {"compiles": True},
        "fused attention": {"fused_attention": True},
        "padding": {"padded": True},
    }
    return Way(**(asdict(before) | changes[rung.adds]))


def obstacle(rung: Rung, device: torch.device, machine: Machine, *, vocab_size: int) -> str | None:
    """Return why this machine does not support a rung, in one sentence; None if it does.

    >>> from bytemill.train.machine.facts import examine
    >>> obstacle(RUNGS[5], torch.device("cpu"), examine(), vocab_size=512)
    'the vocabulary of 512 is already a multiple of 128'
    """
    if rung.adds == "tf32":
        return _no_tf32(device)
    if rung.adds == "16-bit" and _half_format(device) is None:
        return f"this {device.type} has no bf16 or fp16 hardware: emulated, these formats are slower than fp32"
    if rung.adds == "compile":
        return _no_compiler(device, machine)
    if rung.adds == "padding" and vocab_size % PAD_TO == 0:
        return f"the vocabulary of {vocab_size:,} is already a multiple of {PAD_TO}"
    return None


def _half_format(device: torch.device) -> Literal["bf16", "fp16"] | None:
    """Return the best 16-bit format: bf16 if the hardware supports it, else fp16 on a GPU, else None."""
    if multiplies_bf16(device):
        return "bf16"
    return None if device.type == "cpu" else "fp16"


def _no_tf32(device: torch.device) -> str | None:
    if device.type != "cuda":
        return f"TF32 needs an NVIDIA GPU of the Ampere generation (2020) or newer; this is a {device.type}"
    if torch.cuda.get_device_capability(device) < _AMPERE:
        name = torch.cuda.get_device_name(device)
        return f"TF32 needs an NVIDIA GPU of the Ampere generation (2020) or newer; this is a {name}"
    return None


def _no_compiler(device: torch.device, machine: Machine) -> str | None:
    if device.type == "cuda":
        missing = "" if machine.packages.get("triton") else "triton, which writes GPU kernels"
    elif device.type == "cpu" and machine.compiler is None:
        missing = "a C++ compiler, such as g++"
    else:
        missing = "" if machine.has_python_headers or device.type != "cpu" else "Python's headers (python3-dev)"
    return f"torch.compile needs {missing}, which is not installed" if missing else None
