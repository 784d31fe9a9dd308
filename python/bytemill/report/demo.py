"""The demo's page: from raw text to a fine-tuned GPT-2, for a reader who sees it for the first time."""

import os
from pathlib import Path

from bytemill.experiment.demo.results import DemoResults
from bytemill.report.blocks import Block, Code, Comparison, Figure, KeyFigures, Plot, Prose, Table
from bytemill.report.charts import Bars
from bytemill.report.demo_tokenizer import tokenizer_section
from bytemill.report.demo_training import pretraining_section, tuning_section
from bytemill.report.figures import count, decimal, duration, percent, size
from bytemill.report.page import Page, Section, write_page
from bytemill.report.provenance import provenance
from bytemill.report.verdict import demo_verdict

__all__ = ["DemoResults", "demo_page", "write_demo_page"]


def write_demo_page(results: DemoResults, path: str | os.PathLike[str], *, is_private: bool = False) -> Path:
    """Write the page of the demo to `path`, one file that needs no other."""
    return write_page(demo_page(results, is_private=is_private), path)


def demo_page(results: DemoResults, *, is_private: bool = False) -> Page:
    """Make a page of the results; with `is_private`, without the machine, its software and the command line."""
    cores = "one machine" if is_private else _cores(results.machine.host.cores)
    source = "the standard library of Python" if is_private else results.text_source
    pretrain, tune = results.pretrain, results.tune
    return Page(
        title="From raw text to a fine-tuned GPT-2",
        verdict=demo_verdict(pretrain.ratio_to_unigram, pretrain.missed, tune.base_loss, tune.tuned_loss),
        sections=(
            *_more_samples(results),
            _answers_section(results),
            tokenizer_section(results),
            pretraining_section(results.pretrain),
            tuning_section(results.tune),
            _private_section(results) if is_private else _machine_section(results),
        ),
        kicker="bytemill demo",
        summary=(*_pair(results), _key_figures(results, cores)),
        provenance=f"{results.date} · " + _provenance(results, source, is_private=is_private),
    )


def _provenance(results: DemoResults, source: str, *, is_private: bool) -> str:
    host = results.machine.host
    return provenance(
        command=[results.command] if results.command else [],
        model="GPT\N{NON-BREAKING HYPHEN}2",
        n_parameters=results.pretrain.n_parameters,
        data=f"{size(results.tokenizer.corpus_bytes)} of {source}",
        machine={"cpu": host.cpu, "cores": host.cores},
        seconds=results.total_seconds,
        is_private=is_private,
    )


def _pair(results: DemoResults) -> tuple[Block, ...]:
    """Return the first prompt, continued before and after training."""
    return tuple(
        Comparison(
            "What it writes",
            (("before training", sample.before), ("after training", sample.after_pretraining)),
            lead=sample.prompt,
            best=1,
        )
        for sample in results.samples[:1]
    )


def _key_figures(results: DemoResults, cores: str) -> KeyFigures:
    pretrain, tune = results.pretrain, results.tune
    tokens = Figure(
        decimal(results.tokenizer.bytes_per_token),
        "bytes per token",
        f"with {count(results.tokenizer.vocab_size)} tokens, on text it had not seen",
    )
    guess = Figure(
        decimal(pretrain.val_bits_per_byte),
        "bits per byte",
        f"""on unseen text, {percent(pretrain.ratio_to_unigram)} of the {decimal(pretrain.unigram_bits_per_byte)} that
        token frequencies alone give""",
    )
    answer = Figure(
        f"{decimal(tune.base_loss)} → {decimal(tune.tuned_loss)}",
        "loss on unseen questions",
        f"before and after LoRA, which trains {percent(tune.trainable_share)} of the weights",
    )
    time = Figure(
        duration(results.total_seconds),
        "from start to finish",
        f"on {cores}, without a network",
    )
    return KeyFigures((tokens, guess, answer, time))


def _more_samples(results: DemoResults) -> tuple[Section, ...]:
    """Return a section on the prompts after the first one, which is at the top of the page; none without any."""
    intro = Prose(
        """
        The same prompts, continued before and after training. At first every token is as likely as any other.
        After minutes on a few cores, expect the shape of documentation and code, not its truth.
        """
    )
    samples = [
        Comparison(
            title=f"Prompt {i}",
            lead=sample.prompt,
            columns=(("before training", sample.before), ("after training", sample.after_pretraining)),
            best=1,
        )
        for i, sample in enumerate(results.samples[1:], 2)
    ]
    return (Section("More texts", (intro, *samples)),) if samples else ()


def _answers_section(results: DemoResults) -> Section:
    intro = Prose(
        """
        Questions of the test, answered by the pretrained model and by the tuned one, next to what the library
        itself says. A model of this size learns the form of an answer, seldom its truth.
        """
    )
    answers = [
        Comparison(
            title=answer.instruction,
            question=answer.input,
            columns=(
                ("the library says", answer.expected),
                ("pretrained only", answer.base),
                ("tuned with LoRA", answer.tuned),
            ),
            best=2,
        )
        for answer in results.answers
    ]
    return Section("What it answers", (intro, *answers))


def _machine_section(results: DemoResults) -> Section:
    host = results.machine.host
    rows = {
        "Processor": f"{host.cpu or 'unknown'}, {_cores(host.cores)}",
        "Memory": "unknown" if host.memory_bytes is None else size(host.memory_bytes),
        "System": host.system.partition("-")[0],
        **results.machine.versions,
    }
    table = Table("The machine and the versions", ("what", "which"), tuple(rows.items()), plain=True)
    blocks = (_time_plot(results), table, Prose("To run it again:"), Code(results.command))
    return Section("Time and machine", blocks, is_about_machine=True)


def _private_section(results: DemoResults) -> Section:
    return Section("Time", (_time_plot(results),))


def _time_plot(results: DemoResults) -> Plot:
    phases = results.phase_seconds
    listed = ", ".join(f"{name} {duration(seconds)}" for name, seconds in phases.items())
    alt = f"Seconds of each phase: {listed}."
    chart = Bars(tuple(phases), tuple(phases.values()), alt, "{:,.1f} s")
    rows = tuple((name, decimal(seconds, 1)) for name, seconds in phases.items())
    return Plot(
        "Where the time went",
        chart,
        what="Each phase in the order in which it ran.",
        numbers=Table("Seconds of each phase", ("phase", "seconds"), rows, numeric=(1,)),
    )


def _cores(n_cores: int) -> str:
    return f"{n_cores} CPU core{'' if n_cores == 1 else 's'}"
