"""The hardware's peak speed and the memory in use, for MFU and memory in the log.

MFU, model FLOPs utilization, is the fraction of the hardware's peak used for the model's own arithmetic (Chowdhery et
al., "PaLM", 2022, appendix B). A GPU's peak is the manufacturer's figure for dense matrix products. A CPU's peak is
measured, because it depends on the clock rate.
"""

from __future__ import annotations

import functools
import math
import time

import torch

from bytemill.system.memory import free_memory, peak_resident_memory
from bytemill.train.machine.device import product_dtype

__all__ = ["device_name", "free_memory_mib", "peak_flops", "peak_memory_mib"]

# Dense tensor-core FLOP/s by (part of the device's name): (fp32 without and with TF32, bf16 and fp16). From NVIDIA's
# data sheets, without sparsity: A100 (2021), H100 SXM and PCIe (2023), H200 (2023), B200 (2024), L4 and L40S (2023),
# GA102 and AD102 white papers for the 3090 and 4090, V100 (2018) and T4 (2018; fp16 only).
_GPU_PEAKS: tuple[tuple[str, float, float, float], ...] = (
    ("B200", 75e12, 1100e12, 2250e12),
    ("H200", 67e12, 494.7e12, 989.4e12),
    ("H100 PCIe", 51e12, 378e12, 756e12),
    ("H100", 67e12, 494.7e12, 989.4e12),
    ("A100", 19.5e12, 156e12, 312e12),
    ("L40S", 91.6e12, 183e12, 362e12),
    ("L4", 30.3e12, 60e12, 121e12),
    ("RTX 4090", 82.6e12, 82.6e12, 165.2e12),
    ("RTX 3090", 35.6e12, 35.6e12, 71e12),
    ("V100", 15.7e12, 15.7e12, 125e12),
    ("T4", 8.1e12, 8.1e12, 65e12),
)
_TRIAL_SECONDS = 0.15
_FEWEST_TRIALS = 3


def peak_flops(device: torch.device, precision: str) -> float | None:
    """Return the peak speed of the device's matrix units in FLOP/s; None if unknown.

    Args:
        device: A CPU is measured with torch's current number of threads, once per dtype and number of threads.
        precision: As `train.precision`.
    """
    if device.type == "cpu":
        return _measured_cpu_peak(product_dtype(device, precision), torch.get_num_threads())
    if device.type != "cuda":
        return None
    name = torch.cuda.get_device_name(device)
    for part, fp32, tf32, half in _GPU_PEAKS:
        if part in name:
            if product_dtype(device, precision) != torch.float32:
                return half
            return fp32 if precision == "fp32" else tf32
    return None


def device_name(device: torch.device) -> str:
    """Return a GPU's name, or the type of another device."""
    return torch.cuda.get_device_name(device) if device.type == "cuda" else device.type


def peak_memory_mib(device: torch.device) -> float:
    """Return the peak memory so far in MiB: allocated memory on a GPU, else resident memory of this process.

    NaN if the system does not report it.
    """
    if device.type == "cuda":
        return round(torch.cuda.max_memory_allocated(device) / 2**20, 1)
    peak = peak_resident_memory()
    return math.nan if peak is None else round(peak / 2**20, 1)


def free_memory_mib(device: torch.device) -> float:
    """Return the free memory in MiB; infinite if the system does not report it."""
    if device.type == "cuda":
        return torch.cuda.mem_get_info(device)[0] / 2**20
    free = free_memory()
    return math.inf if free is None else free / 2**20


@functools.cache
def _measured_cpu_peak(dtype: torch.dtype, _threads: int) -> float:
    """Return the speed of the fastest of at least three matrix products, in FLOP/s."""
    size = 1024
    left, right = (torch.ones(size, size, dtype=dtype) for _ in range(2))
    torch.mm(left, right)  # the first product also starts threads and selects a kernel, which may take long
    seconds: list[float] = []
    while len(seconds) < _FEWEST_TRIALS or sum(seconds) < _TRIAL_SECONDS:
        began = time.perf_counter()
        torch.mm(left, right)
        seconds.append(time.perf_counter() - began)
    return 2 * size**3 / min(seconds)
