"""Loss scaling for fp16: the loss is multiplied so that small gradients do not underflow; gradients are divided again.

The rule is that of torch.amp.GradScaler (Micikevicius et al., "Mixed Precision Training", 2018): on overflow halve the
scale and skip the step; double it after many steps without overflow. GradScaler detects overflow by an extra pass over
all gradients. Here the gradient norm shows it: each step computes the norm anyway, and it is the same on all processes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch

__all__ = ["LossScale"]

_STEPS_TO_GROW = 1000
# The loss is a sum over thousands of labels, so the scale starts that much below GradScaler's 65,536.
_FIRST_VALUE = 16.0


class LossScale:
    """The factor that multiplies the loss; always 1 when not `enabled`.

    >>> scale = LossScale(enabled=True)
    >>> scale.update(finite=False); scale.value
    8.0
    """

    def __init__(self, *, enabled: bool) -> None:
        self.enabled = enabled
        self.value = _FIRST_VALUE if enabled else 1.0
        self._good_steps = 0

    def scaled(self, loss: torch.Tensor) -> torch.Tensor:
        """Return the scaled loss, on which to call backward()."""
        return loss * self.value if self.enabled else loss

    def update(self, *, finite: bool) -> None:
        """Adapt the scale after a step; `finite` is whether its gradients were finite."""
        self._good_steps = self._good_steps + 1 if finite else 0
        if not finite:
            self.value /= 2
        elif self._good_steps % _STEPS_TO_GROW == 0:
            self.value *= 2

    def state_dict(self) -> dict[str, float]:
        """Return the state that a resumed run needs, as JSON data."""
        return {"value": self.value, "good_steps": self._good_steps}

    def load_state_dict(self, state: dict[str, float]) -> None:
        """Restore a saved state; the state of a run without loss scaling changes nothing."""
        if self.enabled and state:
            self.value, self._good_steps = float(state["value"]), int(state["good_steps"])
