"""fp16's loss scale: the loss is multiplied so that small gradients do not vanish, the gradients divided again.

The rule is that of torch.amp.GradScaler (Micikevicius et al., "Mixed Precision Training", 2018): halve on
overflow and leave the step out, double after many steps without one. GradScaler finds overflow by a pass of its
own over all gradients; here their norm, which each step computes anyway, tells it, on all processes alike.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch

__all__ = ["LossScale"]

_STEPS_TO_GROW = 1000
# The loss is a sum over thousands of labels, so it starts that much below GradScaler's 65,536.
_FIRST_VALUE = 16.0


class LossScale:
    """What the loss is multiplied by; always 1 when not `enabled`.

    >>> scale = LossScale(enabled=True)
    >>> scale.update(finite=False); scale.value
    8.0
    """

    def __init__(self, *, enabled: bool) -> None:
        self.enabled = enabled
        self.value = _FIRST_VALUE if enabled else 1.0
        self._good_steps = 0

    def scaled(self, loss: torch.Tensor) -> torch.Tensor:
        """The loss to call backward() on."""
        return loss * self.value if self.enabled else loss

    def update(self, *, finite: bool) -> None:
        """Adapt after a step: `finite` tells whether its gradients were numbers."""
        self._good_steps = self._good_steps + 1 if finite else 0
        if not finite:
            self.value /= 2
        elif self._good_steps % _STEPS_TO_GROW == 0:
            self.value *= 2

    def state_dict(self) -> dict[str, float]:
        """What a resumed run needs; JSON data."""
        return {"value": self.value, "good_steps": self._good_steps}

    def load_state_dict(self, state: dict[str, float]) -> None:
        """Go on from a saved state; one that was not scaled leaves this as it is."""
        if self.enabled and state:
            self.value, self._good_steps = float(state["value"]), int(state["good_steps"])
