"""The demo's section on the tokenizer: what it is, how it grows, what its tokens look like."""

from bytemill.experiment.demo.results import DemoResults, TokenizerResults
from bytemill.report.figures import count, decimal, duration, size, token_text
from bytemill.report.page import Block, Details, Plot, Prose, Section, Table
from bytemill.report.plots import Line, bars, curves

__all__ = ["tokenizer_section"]

_MAX_LENGTH_ROWS = 16


def tokenizer_section(results: DemoResults) -> Section:
    """Tell what became of the text."""
    tokenizer = results.tokenizer
    blocks: tuple[Block, ...] = (
        Prose(
            """
            A model reads numbers, not letters. The tokenizer begins with the 256 possible bytes and joins,
            again and again, the two neighbours that stand together most often in the text. Frequent words
            end as one token, rare ones stay in pieces. No text is unknown to it, and every text comes back
            byte for byte.
            """
        ),
        _facts(results),
        _growth_plot(tokenizer),
        _length_plot(tokenizer),
        Details("The longest tokens", (_longest_tokens(tokenizer),)),
    )
    return Section("Text into tokens", blocks)


def _facts(results: DemoResults) -> Table:
    tokenizer, shards = results.tokenizer, results.shards
    rows = (
        ("Text", f"{size(tokenizer.corpus_bytes)} in {count(tokenizer.documents)} documents"),
        (
            "Vocabulary",
            f"{count(tokenizer.vocab_size)} tokens, learned in {duration(tokenizer.training_seconds)}",
        ),
        ("On held-out text", f"{decimal(tokenizer.bytes_per_token)} bytes a token"),
        ("To train on", f"{count(shards.train_tokens)} tokens of {count(shards.train_documents)} documents"),
        ("To validate on", f"{count(shards.val_tokens)} tokens of {count(shards.val_documents)} documents"),
        ("Token files", f"{count(shards.files)}, {size(shards.bytes)} together"),
    )
    return Table("The text and its tokens", ("what", "how much"), rows, plain=True)


def _growth_plot(tokenizer: TokenizerResults) -> Plot:
    rows = tuple((count(n_tokens), decimal(value)) for n_tokens, value in tokenizer.growth)
    told = ", ".join(f"{value} with {n_tokens} tokens" for n_tokens, value in rows)
    sizes, values = [pair[0] for pair in tokenizer.growth], [pair[1] for pair in tokenizer.growth]
    drawing = curves(
        "growth",
        [Line("bytes a token", sizes, values, marked=True)],
        x_label="tokens in the vocabulary",
        y_label="bytes a token, on held-out text",
        x_log2=True,
        y_from_zero=True,
        alt=f"Bytes a token over the size of the vocabulary: {told}.",
    )
    return Plot(
        "A larger vocabulary says more with each token",
        drawing,
        what="""Each dot is the vocabulary cut off at that size, and how many bytes of new text one of its
        tokens covers on average.""",
        good="""Higher means shorter sequences, so less work for the model. The curve flattens: each doubling
        brings less, while the model's table of tokens doubles too.""",
        numbers=Table("Bytes a token by vocabulary", ("tokens", "bytes a token"), rows, numeric=(0, 1)),
    )


def _length_plot(tokenizer: TokenizerResults) -> Plot:
    lengths = sorted(tokenizer.token_lengths.items())
    tokens = {str(n_bytes): n_tokens for n_bytes, n_tokens in lengths if n_bytes < _MAX_LENGTH_ROWS}
    if longer := sum(n_tokens for n_bytes, n_tokens in lengths if n_bytes >= _MAX_LENGTH_ROWS):
        tokens[f"{_MAX_LENGTH_ROWS}+"] = longer
    most = max(tokens, key=lambda label: tokens[label], default="0")
    drawing = bars(
        "lengths",
        tuple(tokens),
        tuple(tokens.values()),
        value_format="{:,.0f}",
        label_title="bytes in the token",
        alt=f"Number of tokens by their length; the most common length is {most} bytes.",
    )
    rows = tuple((label, count(n_tokens)) for label, n_tokens in tokens.items())
    return Plot(
        "How long the tokens are",
        drawing,
        what="""All tokens of the vocabulary, counted by their length in bytes. The space before a word
        belongs to the word's token.""",
        good="""A broad hill around the length of common words. Very long tokens are rulers and indentation,
        which documentation and code are full of.""",
        numbers=Table("Tokens by length", ("bytes", "tokens"), rows, numeric=(0, 1)),
    )


def _longest_tokens(tokenizer: TokenizerResults) -> Table:
    rows = tuple((token_text(token), count(len(token))) for token in tokenizer.longest_tokens)
    caption = "The longest tokens (␣ is a space, ↵ the end of a line)"
    return Table(caption, ("token", "bytes"), rows, numeric=(1,), code=(0,))
