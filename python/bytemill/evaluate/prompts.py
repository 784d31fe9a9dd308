"""Shows the answers of several models to the same prompts side by side.

There are ten default prompts: six texts to continue, some of them about films, and four instructions in the template of
instruction tuning.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Unpack

from bytemill.data.rows import Template, Turn, instruction_prompt, instruction_turns, prompt_ids, stop_texts
from bytemill.evaluate.lengths import LENGTH_COLUMNS, AnswerLengths, answer_lengths

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from bytemill.inference import Sampling, TextGenerator

__all__ = ["DEFAULT_PROMPTS", "EXPECTED_ANSWER", "Prompt", "PromptTable", "answers_to", "row_prompts"]

EXPECTED_ANSWER = "expected answer"
"""Heading of the column of expected answers; "reference" could be confused with the reference model of DPO."""


@dataclass(frozen=True)
class Prompt:
    """One prompt."""

    label: str
    """Text of the prompt in tables."""
    text: str
    """Input of the model: text to continue, or the instruction in Alpaca's template."""
    expected_answer: str = ""
    """A good answer, if known."""
    turn: Turn | None = None
    """The instruction, which each model gets in its own template; None for text to continue."""


def _instruction(instruction: str, input_text: str) -> Prompt:
    turn = Turn("user", instruction, input_text)
    return Prompt(f"{instruction}\n{input_text}", instruction_prompt(instruction, input_text), turn=turn)


_TO_CONTINUE = (
    "I love this movie because",
    "A slow-burn thriller that",
    "The plot was boring, but",
    "Here are three tips for a good meal: 1 fresh ingredients. 2",
    "Write a poem about",
    "Pretend you are an alien visiting Earth. You would",
)

DEFAULT_PROMPTS = (
    *(Prompt(text, text) for text in _TO_CONTINUE),
    _instruction(
        "Read the movie review provided below and summarize the author's opinion in one sentence.",
        "The movie had a stunning visual style and a compelling performance from the lead actor, but the plot felt "
        "disjointed and the pacing was slow.",
    ),
    _instruction(
        "Write a comprehensive critique of the following movie review. Your response should include: an analysis of "
        "the review's strengths and weaknesses, a discussion of the reviewer's perspective, and a reflection on "
        "whether you agree or disagree with their assessment and why.",
        "While the movie attempts to tackle complex philosophical themes, its heavy-handed symbolism and sluggish "
        "pacing often distract from the emotional impact. The lead actress delivers a powerful performance, but the "
        "dialogue sometimes feels unnatural, and the final twist is more confusing than clever.",
    ),
    _instruction(
        "Given the list of tasks below, generate a prioritized to-do list for someone working from home.",
        "- Reply to emails- Complete project report- Attend team meeting at 3 PM- Take a 30-minute walk"
        "- Review budget for Q2.",
    ),
    _instruction(
        "Translate the following English sentence into French.",
        "The sun is shining and the birds are singing.",
    ),
)
"""The ten default prompts, whose answers are compared by people."""


@dataclass(frozen=True)
class PromptTable:
    """Answers of models to prompts."""

    prompts: Sequence[Prompt]
    answers: Mapping[str, Sequence[str]]
    """By model: one answer per prompt."""

    def lengths(self) -> dict[str, AnswerLengths]:
        """Return the length statistics of each model's answers."""
        return {name: answer_lengths(answers) for name, answers in self.answers.items()}

    def as_json(self) -> dict[str, Any]:
        """Return JSON data: the prompts, each model's answers, and the lengths of the answers."""
        prompts = [
            {"label": one.label, "text": one.text, "expected_answer": one.expected_answer} for one in self.prompts
        ]
        lengths = {name: one.as_json() for name, one in self.lengths().items()}
        return {"prompts": prompts, "answers": dict(self.answers), "lengths": lengths}

    def as_markdown(self) -> str:
        r"""Return a table with a row per prompt and a column per model, then a table of lengths, in Markdown.

        >>> print(PromptTable([Prompt("Hi | you", "Hi | you")], {"base": ["Hel\nlo"]}).as_markdown(), end="")
        | prompt | base |
        | --- | --- |
        | Hi \| you | Hel<br>lo |
        <BLANKLINE>
        | answers | mean words | median | min | max |
        | --- | --- | --- | --- | --- |
        | base | 2.0 | 2.0 | 2 | 2 |
        """
        has_expected = any(prompt.expected_answer for prompt in self.prompts)
        rows = [["prompt", *([EXPECTED_ANSWER] if has_expected else []), *self.answers]]
        for i, prompt in enumerate(self.prompts):
            said = [answers[i] for answers in self.answers.values()]
            rows.append([prompt.label, *([prompt.expected_answer] if has_expected else []), *said])
        lengths = [["answers", *LENGTH_COLUMNS], *([name, *one.cells()] for name, one in self.lengths().items())]
        return f"{_markdown(rows)}\n{_markdown(lengths)}"


def answers_to(
    prompts: Sequence[Prompt],
    generator: TextGenerator,
    *,
    template: Template = "alpaca",
    max_new_tokens: int,
    **sampling: Unpack[Sampling],
) -> list[str]:
    """Return one model's answer to each prompt, without the prompt; instructions use the model's template.

    Each answer is sampled separately, so with a seed it does not depend on the other prompts.
    """

    def answer(prompt: Prompt) -> str:
        if prompt.turn is None:
            return "".join(generator.stream(prompt.text, max_new_tokens=max_new_tokens, **sampling))
        ids = prompt_ids([prompt.turn], generator.tokenizer, template)  # type: ignore[arg-type]
        stop = stop_texts(template)
        return "".join(generator.stream(ids, max_new_tokens=max_new_tokens, stop=stop, **sampling))

    return [answer(prompt) for prompt in prompts]


def row_prompts(rows: Sequence[Mapping[str, Any]], *, template: Template = "alpaca") -> list[Prompt]:
    """Return the prompts of instruction rows, with their outputs (or chosen answers) as expected answers."""
    found = []
    for row in rows:
        (turn,) = instruction_turns(row)
        label = f"{turn.text}\n{turn.input_text}".strip()
        text = instruction_prompt(turn.text, turn.input_text)
        found.append(Prompt(label, text, str(row.get("output") or row.get("chosen") or ""), turn))
    return found


def _markdown(rows: Sequence[Sequence[str]]) -> str:
    """Return a table in Markdown; the first row is its header."""
    header, *others = rows
    lines = [header, ["---"] * len(header), *others]
    return "".join("| " + " | ".join(map(_cell, line)) + " |\n" for line in lines)


def _cell(text: str) -> str:
    """Return a text as one cell of a Markdown table."""
    return re.sub(r"\s*\n\s*", "<br>", text.strip()).replace("|", "\\|")
