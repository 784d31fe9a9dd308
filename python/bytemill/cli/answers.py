"""`bytemill eval prompts`, `eval judge` and `generate --rows`: collect and score models' answers."""

import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from bytemill.cli.console import json_text, say
from bytemill.cli.output_paths import on_disk
from bytemill.cli.several_models import (
    AskedBy,
    Models,
    OwnTokenizer,
    Page,
    Split,
    SplitSeed,
    named,
    open_for_use,
    part_of,
    show,
)
from bytemill.cli.tables import put_tables
from bytemill.cli.tokenizer.output import make_room
from bytemill.errors import ArgumentError
from bytemill.json_reader import read_regular_file
from bytemill.outside_text import key_in_environment, printable

if TYPE_CHECKING:
    from collections.abc import Mapping

    from bytemill.evaluate.prompts import PromptTable


def prompts(
    models: Models,
    tokenizer: OwnTokenizer = None,
    template: AskedBy = None,
    prompt: Annotated[
        list[str] | None,
        typer.Option("--prompt", "-p", help="Prompt to answer. Repeat the option for several prompts."),
    ] = None,
    rows: Annotated[
        Path | None,
        typer.Option(help="File with instructions to answer; the outputs in the file are shown next to the answers."),
    ] = None,
    split: Split = "all",
    split_seed: SplitSeed = None,
    n_rows: Annotated[int, typer.Option(min=1, help="With --rows: number of rows to answer, from the first.")] = 10,
    max_new_tokens: Annotated[int, typer.Option(min=1, help="Maximum number of tokens per answer.")] = 64,
    temperature: Annotated[
        float, typer.Option(help="Sampling temperature; 0 always takes the most likely token.")
    ] = 0.8,
    top_k: Annotated[int, typer.Option(help="Sample only from the K most likely tokens; 0 allows all.")] = 50,
    seed: Annotated[int, typer.Option(min=0, help="Random seed for sampling.")] = 42,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object instead of a table.")] = False,
    page: Page = None,
) -> None:
    """Answer the same prompts with several models. Without --prompt and --rows, the models answer ten built-in prompts.

    Example: bytemill eval prompts -m base=runs/first -m runs/tuned --page prompts.html
    """
    from bytemill.evaluate.prompts import DEFAULT_PROMPTS, Prompt, PromptTable, answers_to, row_prompts

    asked = list(DEFAULT_PROMPTS)
    if prompt or rows:
        asked = [Prompt(text, text) for text in prompt or []]
        asked += row_prompts(part_of(rows, split, named(models).values(), split_seed)[:n_rows]) if rows else []
    answers = {}
    for name, place in named(models).items():
        opened = open_for_use(place, tokenizer, template)
        say(f"{name}: {len(asked)} prompts")
        answers[name] = answers_to(
            asked,
            opened.generator(),
            template=opened.template,
            max_new_tokens=max_new_tokens,
            temperature=temperature,
            top_k=top_k,
            seed=seed,
        )
    table = PromptTable(asked, answers)
    _show_prompts(table, as_json=as_json, page=page)


def _show_prompts(table: "PromptTable", *, as_json: bool, page: Path | None) -> None:
    if page is not None:
        from bytemill.report.evaluation import prompts_page
        from bytemill.report.provenance import provenance_here

        show(prompts_page(table, provenance=provenance_here()), page)
    if as_json:
        print(json_text(table.as_json()))
    else:
        put_tables(table.as_markdown())


def answer_rows(
    model: str,
    tokenizer: Path | None,
    rows: Path,
    output: Path,
    *,
    template: str | None,
    split: str,
    split_seed: int | None,
    batch_size: int,
    **how: Any,
) -> None:
    """Write a model's answers to a file of rows; see `bytemill generate --rows`."""
    from bytemill.data.rows.read import refuse_missing
    from bytemill.evaluate.answers import write_answers
    from bytemill.progress import PhaseProgress

    make_room(output)
    refuse_missing(rows)
    chosen = part_of(rows, split, [model], split_seed)
    opened = open_for_use(model, tokenizer, template)
    with PhaseProgress({"answering": "rows"}, shown=True) as progress:
        write_answers(
            opened.generator(),
            chosen,
            output,
            model_name=model,
            template=opened.template,
            batch_size=batch_size,
            shown=lambda n_done: progress.update("answering", n_done, len(chosen)),
            **how,
        )
    print(output)


def judge(
    answers: Annotated[
        list[str],
        typer.Argument(
            help="Files of answers, from `generate --rows` or `eval prompts --json`, or rows with prompt and text. "
            "NAME=FILE names a file."
        ),
    ],
    model: Annotated[str, typer.Option("--judge", help="Name of the judge model on the server.")],
    url: Annotated[
        str, typer.Option(help="Address of the server; redirects to other servers are not followed.")
    ] = "http://localhost:11434",
    api: Annotated[Literal["ollama", "openai"], typer.Option(help="API of the server: ollama or openai.")] = "ollama",
    rubric: Annotated[
        str, typer.Option(help="What the judge scores: quality, safety, or a file with your own rubric.")
    ] = "quality",
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            help="Folder for the files of scores. Default: the folder of each file of answers.",
            callback=on_disk,
        ),
    ] = None,
    key_variable: Annotated[str | None, typer.Option(help="Environment variable with the server's API key.")] = None,
    timeout_s: Annotated[float, typer.Option(min=0.1, help="Maximum seconds for a complete reply.")] = 60.0,
    tries: Annotated[int, typer.Option(min=1, help="Maximum attempts per row.")] = 5,
    first_wait_s: Annotated[
        float, typer.Option(min=0, help="Seconds to wait before the second attempt; doubled after each.")
    ] = 1.0,
    seed: Annotated[int, typer.Option(min=0, help="Random seed sent to the server.")] = 123,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object instead of a table.")] = False,
    page: Page = None,
) -> None:
    """Let a language model score each answer from 0 to 100; several files are compared in one table.

    A file has answers to instructions, or continuations of prompts (prompt and text, as in a run's samples.jsonl). The
    scores of each file are written to NAME.RUBRIC.jsonl. After an interruption, run the same command again: only the
    missing rows are scored.

    Example: bytemill eval judge base.json tuned.json --judge llama3 --rubric safety
    """
    from bytemill.evaluate.journal import Journal
    from bytemill.evaluate.judge import CONTINUATION_RUBRICS, RUBRICS, Judge, judge_answers
    from bytemill.progress import PhaseProgress
    from bytemill.report.evaluation import judge_markdown, judge_page

    text = RUBRICS.get(rubric) or _own_rubric(Path(rubric))
    rubric_name = rubric if rubric in RUBRICS else Path(rubric).stem
    key = key_in_environment(key_variable, option="--key-variable")
    asked = Judge(url, model, api, api_key=key, timeout_s=timeout_s, tries=tries, first_wait_s=first_wait_s, seed=seed)
    continuations = CONTINUATION_RUBRICS.get(rubric, text)
    stems, rows = _answer_sets(named(answers))
    scores = {}
    for name, stem in stems.items():
        notes = (output or stem.parent) / f"{stem.name}.{rubric_name}.jsonl"
        header = {"judge": model, "url": asked.endpoint, "seed": seed, "rubric": text, "rows": rows[name]}
        with Journal(notes, header) as journal, PhaseProgress({printable(name): "rows"}, shown=True) as progress:
            scores[name] = judge_answers(
                asked,
                rows[name],
                text,
                journal,
                continuations=continuations,
                shown=lambda n_done, name=name: progress.update(printable(name), n_done, len(rows[name])),  # type: ignore[misc]
            )
        say(f"{name}: {notes}")
    if page is not None:
        from bytemill.report.provenance import provenance_here

        show(judge_page(rubric_name, model, rows, scores, provenance=provenance_here()), page)
    if as_json:
        print(json_text({name: one.as_json() for name, one in scores.items()}))
    else:
        put_tables(judge_markdown(scores))
    if any(one.n_failed for one in scores.values()):
        say("the server failed on some rows; call again to ask about them")
        raise typer.Exit(1)


def _answer_sets(files: "Mapping[str, str]") -> "tuple[dict[str, Path], dict[str, list[dict[str, Any]]]]":
    """Return by name the path of each model's scores (without an ending) and its rows."""
    from bytemill.evaluate.answers import read_answer_sets

    stems, rows = {}, {}
    for name, place in files.items():
        path = Path(place)
        found = read_answer_sets(name, path)
        for model, answered in found.items():
            shared = len(found) > 1 or model != name
            label = f"{name}: {model}" if shared and len(files) > 1 else model
            ending = re.sub(r"[^\w.-]", "_", f".{model}") if shared else ""
            stems[label], rows[label] = path.with_name(path.stem + ending), answered
    return stems, rows


def _own_rubric(path: Path) -> str:
    if not path.is_file():
        raise ArgumentError(f"--rubric is {str(path)!r}, expected quality, safety or an existing file")
    text = read_regular_file(path, error=ArgumentError).decode()
    if "{response}" not in text:
        raise ArgumentError(f"{path}: a rubric must contain {{response}} where the answer goes")
    return text
