"""A classifier: a language model with a head that gives one score per class.

Letters: B rows, T tokens, C width (n_embd), K classes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import torch
from torch import Tensor, nn

from bytemill.errors import ConfigError
from bytemill.model.gpt2 import GPT2

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bytemill.model.pretrained import CausalModel

__all__ = ["Classifier"]


class Classifier(nn.Module):
    """A model's hidden states, and a linear layer that reads one of them.

    >>> from bytemill.model import GPT2Config
    >>> body = GPT2(GPT2Config(vocab_size=100, n_positions=16, n_embd=8, n_layer=1, n_head=2))
    >>> Classifier(body, ["ham", "spam"])(torch.zeros(3, 5, dtype=torch.long), torch.tensor([4, 0, 2])).shape
    torch.Size([3, 2])
    """

    def __init__(self, body: CausalModel, labels: Sequence[str]) -> None:
        super().__init__()
        self.body = body
        self.labels = tuple(labels)
        """Names of the classes, in the order of their scores."""
        self.head = nn.Linear(body.config.n_embd, len(self.labels))

    def forward(self, ids: Tensor, ends: Tensor) -> Tensor:
        """Return the scores (B, K) of rows of ids.

        Args:
            ids: (B, T), padded after the end with any ids.
            ends: (B,), the position of each row's last id. Only its hidden state is read: it has seen the row, and no
                padding.
        """
        hidden = self.body.hidden_states(ids)  # (B, T, C)
        last = hidden[torch.arange(len(ids), device=ids.device), ends]  # (B, C)
        scores: Tensor = self.head(last)
        return scores

    def train_only(self, layers: Literal["head", "last_block", "all"]) -> None:
        """Freeze all parameters outside `train_layers`; the head always trains.

        Raises:
            ConfigError: "last_block" is requested, and the body is not our GPT-2.
        """
        self.requires_grad_(layers == "all")
        self._freeze_unused_head()
        self.head.requires_grad_(True)
        if layers == "last_block":
            if not isinstance(self.body, GPT2):
                raise ConfigError(
                    "classify.train_layers is 'last_block', which only bytemill's GPT-2 has; give head or all"
                )
            self.body.blocks[-1].requires_grad_(True)
            self.body.final_norm.requires_grad_(True)

    def get_output_embeddings(self) -> Any:
        """Return the body's head of ids if it is a module: it does not affect the scores and gets no adapter."""
        return getattr(self.body, "get_output_embeddings", lambda: None)()

    def hidden_matrices(self) -> list[nn.Parameter]:
        """Return the matrices between embedding and head."""
        return self.body.hidden_matrices()

    def _freeze_unused_head(self) -> None:
        """Freeze the unused head of ids: without a gradient it has no optimizer state; a tied table trains."""
        unused = self.get_output_embeddings()
        if unused is not None:
            used = {id(p) for m in self.modules() if m is not unused for p in m.parameters(recurse=False)}
            for parameter in unused.parameters():
                parameter.requires_grad_(parameter.requires_grad and id(parameter) in used)
