"""Adapts a model to EleutherAI's lm-evaluation-harness, whose benchmarks send three kinds of requests.

They ask for the likelihood of a text after a context, for the likelihood of a whole text, and for a continuation.
`TextScorer` computes these from texts; `for_harness` converts it to the interface of the package `lm_eval` (extra
`eval`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch

from bytemill.errors import ConfigError, DataError
from bytemill.inference import TextGenerator, TextTokenizer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from bytemill.model import CausalModel

__all__ = ["TextScorer", "for_harness"]


class TextScorer:
    """Computes log-likelihoods and continuations of texts.

    Args:
        model: Any causal model.
        tokenizer: The model's tokenizer; it must have an end-of-text token, which begins every text.
        batch_size: Texts per batch.

    >>> from bytemill.model import GPT2, GPT2Config
    >>> class Bytes:
    ...     n_vocab, eot_token = 257, 256
    ...     encode_ordinary = staticmethod(lambda text: list(text.encode()))
    ...     decode_bytes = staticmethod(bytes)
    >>> model = GPT2(GPT2Config(vocab_size=257, n_positions=32, n_embd=8, n_layer=1, n_head=2))
    >>> [(likelihood, greedy)] = TextScorer(model, Bytes()).continuations([("two and two is", " four")])
    >>> -40 < likelihood < -20, greedy
    (True, False)
    """

    def __init__(self, model: CausalModel, tokenizer: TextTokenizer, *, batch_size: int = 8) -> None:
        if tokenizer.eot_token is None:
            raise DataError("the tokenizer has no end-of-text token; a text without context must begin with it")
        self.model, self.tokenizer, self.batch_size = model, tokenizer, batch_size
        self._start = [tokenizer.eot_token]

    def continuations(
        self, pairs: Sequence[tuple[str, str]], *, shown: Callable[[int], object] = lambda _: None
    ) -> list[tuple[float, bool]]:
        """Return the log-likelihood of each continuation after its context, in nats, and whether it is greedy.

        Greedy means that each of its tokens was the most likely one. Spaces at the end of a context count as part of
        the continuation. A context that is too long is truncated at its beginning.

        Args:
            pairs: Pairs of (context, continuation).
            shown: Called with the number of finished pairs.

        Raises:
            DataError: A continuation is empty or longer than the model's context.
        """
        return self._score([self._row(*pair) for pair in pairs], shown)

    def whole_texts(self, texts: Sequence[str], *, shown: Callable[[int], object] = lambda _: None) -> list[float]:
        """Return the log-likelihood of each text in nats; every token is scored once, in the context of its window."""
        windows = [list(self._windows(self.tokenizer.encode_ordinary(text))) for text in texts]
        scores = iter(self._score([row for rows in windows for row in rows], shown))
        return [sum(next(scores)[0] for _ in rows) for rows in windows]

    def completions(
        self, prompts: Sequence[tuple[str, Mapping[str, Any]]], *, shown: Callable[[int], object] = lambda _: None
    ) -> list[str]:
        """Continue each prompt with its own options: `until`, `max_gen_toks`, `temperature`, `top_p`, `top_k`."""
        generator = TextGenerator(self.model, self.tokenizer)
        texts = []
        for prompt, options in prompts:
            until = options.get("until") or []
            temperature = options.get("temperature", 0.0) if options.get("do_sample", True) else 0.0
            texts += generator.complete(
                prompt,
                max_new_tokens=int(options.get("max_gen_toks", 256)),
                stop=[until] if isinstance(until, str) else list(until),
                temperature=float(temperature),
                top_p=options.get("top_p"),
                top_k=options.get("top_k"),
                seed=0,
            )
            shown(len(texts))
        return texts

    def _row(self, context: str, continuation: str) -> tuple[list[int], int]:
        """Return the ids of both texts, and how many of the last ids belong to the continuation."""
        kept = context.rstrip()
        continuation, context = context[len(kept) :] + continuation, kept
        context_ids = self.tokenizer.encode_ordinary(context)
        ids = self.tokenizer.encode_ordinary(context + continuation)
        n_asked = len(ids) - len(context_ids)
        if n_asked <= 0:  # a token spans both texts: together they have no more ids than the context alone
            continuation_ids = self.tokenizer.encode_ordinary(continuation)
            ids, n_asked = context_ids + continuation_ids, len(continuation_ids)
        n_positions = self.model.config.n_positions
        if not 0 < n_asked <= n_positions:
            raise DataError(f"a continuation of {n_asked} tokens does not fit into a context of {n_positions} tokens")
        return (self._start + ids)[-n_positions - 1 :] if not context_ids else ids[-n_positions - 1 :], n_asked

    def _windows(self, ids: list[int]) -> Iterator[tuple[list[int], int]]:
        """Yield windows of up to one token more than the model's context, and how many last tokens each scores."""
        width, with_start = self.model.config.n_positions, self._start + ids
        for start in range(1, len(with_start), width):
            end = min(start + width, len(with_start))
            yield with_start[max(0, end - width - 1) : end], end - start

    @torch.no_grad()
    def _score(self, rows: list[tuple[list[int], int]], shown: Callable[[int], object]) -> list[tuple[float, bool]]:
        """Return the log-likelihood of the last ids of each row; rows of similar length share a batch."""
        scores: dict[int, tuple[float, bool]] = {}
        order = sorted(range(len(rows)), key=lambda place: -len(rows[place][0]))
        was_training = self.model.training
        self.model.eval()
        try:
            for start in range(0, len(order), self.batch_size):
                places = order[start : start + self.batch_size]
                scores |= zip(places, self._score_batch([rows[place] for place in places]), strict=True)
                shown(len(scores))
        finally:
            self.model.train(was_training)
        return [scores[place] for place in range(len(rows))]

    def _score_batch(self, rows: list[tuple[list[int], int]]) -> list[tuple[float, bool]]:
        width = max(len(ids) for ids, _ in rows)
        ids = torch.zeros(len(rows), width, dtype=torch.long)
        asked = torch.zeros(len(rows), width, dtype=torch.bool)
        for row, (row_ids, n_asked) in enumerate(rows):
            ids[row, : len(row_ids)] = torch.tensor(row_ids)
            asked[row, len(row_ids) - n_asked : len(row_ids)] = True
        device = next(self.model.parameters()).device
        ids, asked = ids.to(device), asked.to(device)
        hidden = self.model.hidden_states(ids[:, :-1])[asked[:, 1:]]  # (scored tokens, C): compute no other logits
        chances = self.model.logits(hidden).float().log_softmax(dim=-1)
        targets = ids[asked]
        found = chances.gather(1, targets[:, None])[:, 0].cpu()
        right = (chances.argmax(dim=-1) == targets).cpu()
        counts = [n_asked for _, n_asked in rows]
        parts = zip(torch.split(found, counts), torch.split(right, counts), strict=True)
        return [(float(likelihoods.sum()), bool(greedy.all())) for likelihoods, greedy in parts]


def for_harness(scorer: TextScorer, *, shown: Callable[[str, int, int], object] = lambda *_: None) -> Any:
    """Return the scorer as an `lm_eval.api.model.LM`, for `lm_eval.simple_evaluate(model=…)`.

    Args:
        scorer: Computes the answers.
        shown: Called with the kind of request, the number of finished requests, and their total.

    Raises:
        ConfigError: lm_eval is not installed.
    """
    try:
        from lm_eval.api.model import LM
    except ImportError:
        raise ConfigError("the harness is not installed: pip install 'bytemill[eval]'") from None

    class Bytemill(LM):  # type: ignore[misc]
        def loglikelihood(self, requests: Sequence[Any]) -> list[tuple[float, bool]]:
            pairs = [request.args for request in requests]
            return scorer.continuations(pairs, shown=lambda n_done: shown("likelihoods", n_done, len(pairs)))

        def loglikelihood_rolling(self, requests: Sequence[Any]) -> list[float]:
            texts = [request.args[0] for request in requests]
            return scorer.whole_texts(texts, shown=lambda n_done: shown("texts", n_done, len(texts)))

        def generate_until(self, requests: Sequence[Any]) -> list[str]:
            prompts = [request.args for request in requests]
            return scorer.completions(prompts, shown=lambda n_done: shown("answers", n_done, len(prompts)))

    return Bytemill()
