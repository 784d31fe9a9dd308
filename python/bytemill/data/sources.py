"""Named data sets: address, licence, and SHA-256 if it never changes.

A data set on the Hugging Face hub has its id there; the hub lists the hashes of its large files.
"""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["SOURCES", "Source"]


@dataclass(frozen=True)
class Source:
    """One data set; either `url`, or `hub_id` with the folder in it."""

    about: str
    licence: str
    url: str = ""
    sha256: str = ""
    """SHA-256 of the file at `url`; empty if its owner may change the file."""
    hub_id: str = ""
    hub_folder: str = ""
    """Use only files in this folder; empty for all."""
    ending: str = ""
    """Use only files with this ending."""
    unpacked: str = ""
    """The data's file in the .zip at `url`."""


_GITHUB = "https://raw.githubusercontent.com"
_BOOK = f"{_GITHUB}/rasbt/LLMs-from-scratch/28c65cdfbc3338e2e040016eea4b7fdf556e4d57"

SOURCES = {
    "tinyshakespeare": Source(
        about="Shakespeare's plays, 1.1 MB of text",
        licence="public domain (the repository: MIT)",
        url=f"{_GITHUB}/karpathy/char-rnn/6f9487a6fe5b420b7ca9afb0d7c078e37c1d1b4e/data/tinyshakespeare/input.txt",
        sha256="86c4e6aa9db7c042ec79f339dcb96d42b0075e16b8fc2e86bf0ca57e2dc565ed",
    ),
    "alpaca": Source(
        about="52,002 instructions with answers",
        licence="CC BY-NC 4.0: not for commercial use",
        url=f"{_GITHUB}/tatsu-lab/stanford_alpaca/761dc5bfbdeeffa89b8bff5d038781a4055f796a/alpaca_data.json",
    ),
    "instructions": Source(
        about='1,100 instructions with answers, of the book "Build a Large Language Model (From Scratch)"',
        licence="Apache-2.0",
        url=f"{_BOOK}/ch07/01_main-chapter-code/instruction-data.json",
        sha256="7e09a9af353722ca15c18bc580f093f9c39d3178335a75177319cb1e1d163944",
    ),
    "preferences": Source(
        about="the same 1,100 instructions with a chosen and a rejected answer each",
        licence="Apache-2.0",
        url=f"{_BOOK}/ch07/04_preference-tuning-with-dpo/instruction-data-with-preference.json",
        sha256="305315abf14f65fa42c01a0877572f832606571c2a7d49f152ac1d758b16756e",
    ),
    "pku-manual": Source(
        about="the handbook for graduate students of Peking University, 467 KB of Chinese text",
        licence="not stated",
        url=f"{_GITHUB}/movenasa/PKU-LLM/1b8e8c674d607642b0b8ca14057a2bbf24533edb/hw1-code/bpe/manual.txt",
        sha256="0f6c9e2e9fcccb35aac330d5e669d2bf95ef47a5fdc339b481c9b806c69ceeb1",
    ),
    "hellaswag": Source(
        about="10,042 items with four endings each, the validation set",
        licence="MIT",
        url=f"{_GITHUB}/rowanz/hellaswag/master/data/hellaswag_val.jsonl",
    ),
    "sms-spam": Source(
        about="5,574 short messages, 747 of them spam: SMSSpamCollection",
        licence="CC BY 4.0 (UCI, Almeida and Hidalgo)",
        url="https://archive.ics.uci.edu/static/public/228/sms+spam+collection.zip",
        unpacked="SMSSpamCollection",
    ),
    "imdb": Source(
        about="50,000 film reviews with labels, and 50,000 without",
        licence="not stated; for research, by Maas et al. 2011",
        hub_id="stanfordnlp/imdb",
        ending=".parquet",
    ),
    "fineweb-edu-10BT": Source(
        about="10 billion tokens of educational web pages, 28 GB",
        licence="ODC-By 1.0, and Common Crawl's terms of use",
        hub_id="HuggingFaceFW/fineweb-edu",
        hub_folder="sample/10BT",
        ending=".parquet",
    ),
    "wikitext-103": Source(
        about="100 million words of good Wikipedia articles",
        licence="CC BY-SA 3.0 and GFDL",
        hub_id="Salesforce/wikitext",
        hub_folder="wikitext-103-raw-v1",
        ending=".parquet",
    ),
}
