"""How processes find each other; what they do together is tried in tests/end_to_end."""

import pytest
import torch

from bytemill.train.machine.distributed import World


@pytest.mark.parametrize(
    ("device", "backend", "told"),
    [("cuda:1", "nccl", torch.device("cuda:1")), ("cpu", "gloo", None), ("mps", "gloo", None)],
)
def test_nccl_is_told_its_gpu(monkeypatch, device, backend, told):
    calls = []
    monkeypatch.setattr("torch.distributed.init_process_group", lambda *args, **named: calls.append((args, named)))
    monkeypatch.setattr("torch.distributed.destroy_process_group", lambda: calls.append("left"))
    with World(rank=1, size=2, local_rank=1).joined(torch.device(device)):
        assert calls == [((backend,), {"device_id": told})]
    assert calls[-1] == "left"


def test_one_process_alone_joins_nothing(monkeypatch):
    monkeypatch.setattr("torch.distributed.init_process_group", None)  # called, it would raise
    with World().joined(torch.device("cuda:0")) as world:
        assert world.is_first
