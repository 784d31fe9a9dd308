"""The demo's sections on training: pretraining on text, then LoRA on questions and answers."""

from collections.abc import Mapping

from bytemill.experiment.demo.results import AIM, Metrics, PretrainResults, TuneResults
from bytemill.report.figures import count, decimal, percent
from bytemill.report.metrics_plots import loss_plot, overlaid_plot
from bytemill.report.page import Block, Details, Plot, Prose, Section, Table
from bytemill.report.plots import Level

__all__ = ["pretraining_section", "tuning_section"]

# (key in metrics.jsonl, title, unit, what a newcomer sees)
_MORE_CURVES = (
    (
        "lr",
        "Learning rate",
        "size of a step",
        """How far each step turns the weights: a short warm-up, since the first gradients are wild, then
        smaller and smaller steps.""",
    ),
    (
        "grad_norm",
        "Size of the gradient",
        "norm, before clipping",
        """How strongly a batch pulls at the weights. Single peaks are clipped; a steady rise would be a
        warning.""",
    ),
    (
        "tokens_per_s",
        "Speed",
        "tokens a second",
        "Tokens that went through training each second; dips are other work of the machine.",
    ),
)


def pretraining_section(pretrain: PretrainResults) -> Section:
    """Tell how the model learned to predict text."""
    blocks: tuple[Block, ...] = (
        Prose(
            """
            The model sees a stretch of text and guesses the next token, at every place at once. The loss
            measures its surprise at the token that really comes; training turns each weight a little so that
            the surprise would have been smaller. Spelling, brackets, the tone of a manual: all of it comes
            out of that one game.
            """
        ),
        _pretraining_loss(pretrain),
        _how_well(pretrain),
        _more("pretraining", pretrain.model, pretrain.metrics),
    )
    return Section("Learning to predict", blocks)


def tuning_section(tune: TuneResults) -> Section:
    """Tell how the model learned to answer."""
    blocks: tuple[Block, ...] = (
        Prose(
            f"""
            A model that continues text does not yet answer. So it is shown {count(tune.train_rows)}
            questions about functions of the library, with the answers their authors wrote; only the answer
            counts for the loss. LoRA leaves all weights as they are and adds a small pair of matrices beside
            some of them: {count(tune.trainable_parameters)} new numbers, {percent(tune.trainable_share)} of
            the {count(tune.total_parameters)}.

            The {count(tune.test_rows)} questions of the test are about other functions, whose docstrings
            stand in none of the texts that the model has read.
            """
        ),
        loss_plot(
            "tuning-loss",
            "Loss while tuning",
            tune.metrics,
            train_label="rows being learned",
            val_label="held-out rows",
            what="The loss over the tokens of the answers alone.",
            good="""A steep fall at first, while the form of an answer is learned, then a slow one. Each batch
            holds other questions, so the curve is rough.""",
        ),
        _base_and_tuned(tune),
        _more("tuning", tune.lora, tune.metrics),
    )
    return Section("Learning to answer", blocks)


def _pretraining_loss(pretrain: PretrainResults) -> Plot:
    n_tokens = count(float(pretrain.model["vocab_size"]))
    return loss_plot(
        "loss",
        "Surprise falls",
        pretrain.metrics,
        levels=(
            Level("knows nothing", pretrain.uniform_nats_per_token),
            Level("knows how frequent tokens are", pretrain.unigram_nats_per_token),
        ),
        what=f"""The loss on the text being learned, and on documents kept aside. The upper dotted line is a
        model that holds all {n_tokens} tokens for equally likely; the lower one knows how frequent each token
        is, but not what stands before it.""",
        good="""Both curves fall well below the lower line and stay together. If validation rose while
        training falls, the model would be learning by heart.""",
    )


def _how_well(pretrain: PretrainResults) -> Table:
    rows = (
        ("Loss on held-out text", f"{decimal(pretrain.val_loss, 3)} nats a token"),
        ("The same in bits", f"{decimal(pretrain.val_bits_per_byte, 3)} bits a byte"),
        ("Knowing only how frequent tokens are", f"{decimal(pretrain.unigram_bits_per_byte, 3)} bits a byte"),
        ("Ratio of the two", f"{decimal(pretrain.ratio_to_unigram, 3)}; the demo aims at {AIM} or less"),
        ("Parameters", count(pretrain.n_parameters)),
        ("Tokens seen", count(pretrain.train_tokens_seen)),
        ("Speed", f"{count(round(pretrain.tokens_per_second))} tokens/s"),
    )
    return Table("How well it guesses", ("what", "how much"), rows, plain=True)


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
    caption = "Loss on held-out questions, nats a token of the answer"
    return Table(caption, ("model", "loss", "change"), rows, numeric=(1, 2))


def _more(name: str, config: Mapping[str, object], metrics: Metrics) -> Details:
    """The settings and the curves that only some want to see."""
    rows = tuple((key, _setting(value)) for key, value in config.items())
    blocks: list[Block] = [Table(f"Settings of the {name}", ("name", "value"), rows, code=(0, 1), plain=True)]
    for key, title, unit, what in _MORE_CURVES:
        prefix = f"{name}-{key.replace('_', '-')}"
        if plot := overlaid_plot(prefix, title, {title.lower(): metrics}, key, y_label=unit, what=what):
            blocks.append(plot)
    return Details("Settings, learning rate, gradient and speed", tuple(blocks))


def _setting(value: object) -> str:
    if isinstance(value, list | tuple):
        return ", ".join(map(str, value))
    return count(value) if isinstance(value, int) and not isinstance(value, bool) else str(value)
