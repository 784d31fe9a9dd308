"""The tokenizer section of the demo's page: what a tokenizer does, vocabulary size and token lengths."""

from bytemill.experiment.demo.results import DemoResults, TokenizerResults
from bytemill.report.blocks import Block, Details, Plot, Prose, Table
from bytemill.report.charts import Bars, Curves, Line
from bytemill.report.figures import count, decimal, duration, size, token_text
from bytemill.report.page import Section
from bytemill.report.verdict import growth_verdict

__all__ = ["tokenizer_section"]

_MAX_LENGTH_ROWS = 16


def tokenizer_section(results: DemoResults) -> Section:
    """Return the section on the tokenizer and its tokens."""
    tokenizer = results.tokenizer
    blocks: tuple[Block, ...] = (
        Prose(
            """
            A model reads numbers, not letters. The tokenizer starts with the 256 possible bytes. Then it
            repeatedly merges the two neighbouring tokens that occur together most often in the text. Frequent
            words become one token; rare words stay in several. Every text can be encoded, and decoding returns
            the same bytes.
            """
        ),
        _facts(results),
        _growth_plot(tokenizer),
        _length_plot(tokenizer),
        Details("The longest tokens", (_longest_tokens(tokenizer),)),
    )
    return Section("Tokenizer", blocks)


def _facts(results: DemoResults) -> Table:
    tokenizer, shards = results.tokenizer, results.shards
    rows = (
        ("Text", f"{size(tokenizer.corpus_bytes)} in {count(tokenizer.documents)} documents"),
        (
            "Vocabulary",
            f"{count(tokenizer.vocab_size)} tokens, trained in {duration(tokenizer.training_seconds)}",
        ),
        ("On the validation set", f"{decimal(tokenizer.bytes_per_token)} bytes per token"),
        ("Training set", f"{count(shards.train_tokens)} tokens of {count(shards.train_documents)} documents"),
        ("Validation set", f"{count(shards.val_tokens)} tokens of {count(shards.val_documents)} documents"),
        ("Token shards", f"{count(shards.files)} files, {size(shards.bytes)} together"),
    )
    return Table("The text and its tokens", ("what", "how much"), rows, plain=True)


def _growth_plot(tokenizer: TokenizerResults) -> Plot:
    rows = tuple((count(n_tokens), decimal(value)) for n_tokens, value in tokenizer.growth)
    listed = ", ".join(f"{value} with {n_tokens} tokens" for n_tokens, value in rows)
    sizes, values = [pair[0] for pair in tokenizer.growth], [pair[1] for pair in tokenizer.growth]
    chart = Curves(
        (Line("bytes per token", sizes, values, marked=True),),
        "tokens in the vocabulary",
        "bytes per token, validation set",
        f"Bytes per token by vocabulary size: {listed}.",
        x_log2=True,
        y_from_zero=True,
    )
    return Plot(
        "Bytes per token by vocabulary size",
        chart,
        what=f"""Each dot is the vocabulary truncated to that size, with the mean number of bytes per token on
        text that it was not trained on. {growth_verdict(tokenizer.growth)}""",
        good="""Higher means shorter sequences, so less work for the model. But each doubling also doubles the
        model's token embedding.""",
        numbers=Table("Bytes per token by vocabulary size", ("tokens", "bytes per token"), rows, numeric=(0, 1)),
    )


def _length_plot(tokenizer: TokenizerResults) -> Plot:
    lengths = sorted(tokenizer.token_lengths.items())
    tokens = {str(n_bytes): n_tokens for n_bytes, n_tokens in lengths if n_bytes < _MAX_LENGTH_ROWS}
    if longer := sum(n_tokens for n_bytes, n_tokens in lengths if n_bytes >= _MAX_LENGTH_ROWS):
        tokens[f"{_MAX_LENGTH_ROWS}+"] = longer
    most = max(tokens, key=lambda label: tokens[label], default="0")
    alt = f"Number of tokens by their length; the most common length is {most} bytes."
    chart = Bars(tuple(tokens), tuple(tokens.values()), alt, "{:,.0f}", "bytes in the token")
    rows = tuple((label, count(n_tokens)) for label, n_tokens in tokens.items())
    return Plot(
        "Token lengths",
        chart,
        what="""All tokens of the vocabulary, counted by their length in bytes. The space before a word
        is part of the word's token.""",
        good="""Most tokens have about the length of common words. Very long tokens are indentation and lines
        of dashes, which are frequent in documentation and code.""",
        numbers=Table("Tokens by length", ("bytes", "tokens"), rows, numeric=(0, 1)),
    )


def _longest_tokens(tokenizer: TokenizerResults) -> Table:
    rows = tuple((token_text(token), count(len(token))) for token in tokenizer.longest_tokens)
    caption = "The longest tokens (␣ is a space, ↵ the end of a line)"
    return Table(caption, ("token", "bytes"), rows, numeric=(1,), code=(0,))
