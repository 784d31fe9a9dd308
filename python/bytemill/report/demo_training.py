"""The training sections of the demo's page: pretraining on text, then LoRA tuning on questions and answers."""

from collections.abc import Mapping

from bytemill.experiment.demo.results import AIM, Metrics, PretrainResults, TuneResults
from bytemill.report.blocks import Block, Details, Multiples, Plot, Prose, Table
from bytemill.report.charts import Level
from bytemill.report.figures import count, decimal, percent
from bytemill.report.metrics_plots import loss_plot, overlaid_plot
from bytemill.report.page import Section

__all__ = ["pretraining_section", "tuning_section"]

# (key in metrics.jsonl, title, unit, explanation)
_MORE_CURVES = (
    (
        "lr",
        "Learning rate",
        "learning rate",
        """The size of each update: a short warm-up, because the first gradients are noisy, then a decay.""",
    ),
    (
        "grad_norm",
        "Gradient norm",
        "norm, before clipping",
        """The norm of the gradient of each step. Single peaks are clipped; a steady rise is a warning.""",
    ),
    (
        "tokens_per_s",
        "Speed",
        "tokens per second",
        "Tokens trained per second; it drops when the machine does other work.",
    ),
)


def pretraining_section(pretrain: PretrainResults) -> Section:
    """Return the section on pretraining."""
    blocks: tuple[Block, ...] = (
        Prose(
            """
            The model reads a piece of text and predicts the next token at every position. The loss is the
            negative log-probability of the actual next token. Each training step changes the weights a little
            to reduce this loss. The model learns spelling, brackets and the style of a manual from this
            objective alone.
            """
        ),
        _pretraining_loss(pretrain),
        _how_well(pretrain),
        _more("pretraining", pretrain.model, pretrain.metrics),
    )
    return Section("Pretraining", blocks)


def tuning_section(tune: TuneResults) -> Section:
    """Return the section on LoRA tuning."""
    blocks: tuple[Block, ...] = (
        Prose(
            f"""
            A model that continues text does not answer questions yet. So it is trained on
            {count(tune.train_rows)} questions about functions of the library, with the answers from the
            docstrings; the loss is computed only on the answers. LoRA freezes all weights and adds a pair of
            small matrices to some of them: {count(tune.trainable_parameters)} new parameters,
            {percent(tune.trainable_share)} of all {count(tune.total_parameters)}.

            The {count(tune.test_rows)} questions of the test set are about other functions. Their docstrings
            are in none of the training texts.
            """
        ),
        loss_plot(
            "Loss while tuning",
            tune.metrics,
            train_label="training rows",
            val_label="validation rows",
            what="The loss over the tokens of the answers only.",
            good="""A steep fall at first, while the model learns the form of an answer, then a slow one. Each
            batch has other questions, so the curve is noisy.""",
        ),
        _base_and_tuned(tune),
        _more("tuning", tune.lora, tune.metrics),
    )
    return Section("Fine-tuning with LoRA", blocks)


def _pretraining_loss(pretrain: PretrainResults) -> Plot:
    n_tokens = count(float(pretrain.model["vocab_size"]))
    return loss_plot(
        "Pretraining loss",
        pretrain.metrics,
        levels=(
            Level("uniform guess", pretrain.uniform_nats_per_token),
            Level("token frequencies (unigram)", pretrain.unigram_nats_per_token),
        ),
        what=f"""The loss on the training set and on the validation set. The upper dotted line is a model that
        predicts all {n_tokens} tokens with equal probability; the lower one predicts by token frequency,
        without context.""",
        good="""Both curves fall well below the lower line and stay together. If the validation loss rises
        while the training loss falls, the model overfits.""",
    )


def _how_well(pretrain: PretrainResults) -> Table:
    rows = (
        ("Validation loss", f"{decimal(pretrain.val_loss, 3)} nats per token"),
        ("Validation loss in bits", f"{decimal(pretrain.val_bits_per_byte, 3)} bits per byte"),
        ("Unigram entropy (token frequencies only)", f"{decimal(pretrain.unigram_bits_per_byte, 3)} bits per byte"),
        ("Ratio of the two", f"{decimal(pretrain.ratio_to_unigram, 3)}; the demo aims at {AIM} or less"),
        ("Parameters", count(pretrain.n_parameters)),
        ("Tokens seen", count(pretrain.train_tokens_seen)),
        ("Speed", f"{count(round(pretrain.tokens_per_second))} tokens/s"),
    )
    return Table("Pretraining results", ("what", "how much"), rows, plain=True)


def _base_and_tuned(tune: TuneResults) -> Table:
    change = tune.tuned_loss / tune.base_loss - 1
    rows = (
        ("pretrained only", decimal(tune.base_loss, 3), ""),
        (
            "tuned with LoRA",
            decimal(tune.tuned_loss, 3),
            f"{'−' if change < 0 else '+'}{percent(abs(change))}",
        ),
    )
    caption = "Loss on the test set, in nats per token of the answers"
    return Table(caption, ("model", "loss", "change"), rows, numeric=(1, 2))


def _more(name: str, config: Mapping[str, object], metrics: Metrics) -> Details:
    """Return the settings and further curves, closed by default."""
    rows = tuple((key, _setting(value)) for key, value in config.items())
    blocks: list[Block] = [Table(f"Settings of the {name}", ("name", "value"), rows, code=(0, 1), plain=True)]
    plots = [
        overlaid_plot(title, {title.lower(): metrics}, key, y_label=unit, what=what)
        for key, title, unit, what in _MORE_CURVES
    ]
    blocks.append(Multiples(tuple(plot for plot in plots if plot)))
    return Details("Settings, learning rate, gradient norm and speed", tuple(blocks))


def _setting(value: object) -> str:
    if isinstance(value, list | tuple):
        return ", ".join(map(str, value))
    return count(value) if isinstance(value, int) and not isinstance(value, bool) else str(value)
