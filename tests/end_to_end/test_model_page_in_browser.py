"""A page that runs a model, in a real browser: ids, logits and text equal bytemill's, and the page can be used."""

import html
import json
import random
import re
import subprocess

import pytest
import torch

from browser import BROWSER, NO_BROWSER
from bytemill.report.model_page.vocabulary import javascript_pattern
from bytemill.tokenizer.known_patterns import LLAMA3, QWEN2
from sample_model_pages import TEXT, export, model_of, rounded, trained

PHONE_PX = 360

pytestmark = pytest.mark.skipif(BROWSER is None, reason=NO_BROWSER)

PATTERNS = ["gpt2", "cl100k", "o200k", LLAMA3, QWEN2, None]
PROMPT = "the cat 北京"
N_GREEDY = 40  # more than the 24 positions of the model
VARIANTS = {
    "tied": {},
    "untied": {"tie_word_embeddings": False, "qkv_bias": False, "activation_function": "gelu", "n_inner": 50},
}
SPECIAL = "<|endoftext|>"

PROBE = """<!DOCTYPE html><title>probe</title>
<iframe id="tied" src="tied.html" width="360" height="800" style="border:0"></iframe>
<iframe id="untied" src="untied.html"></iframe>
<script type="application/json" id="asked">{asked}</script>
<script>
const later = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
const asked = JSON.parse(document.getElementById("asked").textContent);

function framed(name) {{ return document.getElementById(name).contentWindow; }}

async function modelOf(page) {{
  while (!page.bytemill) await later(10);
  const {{ tokenizer, network }} = page.bytemill;
  const prompt = tokenizer.encode(asked.prompt);
  const logits = [];
  for (const id of prompt) {{ network.append(id); logits.push(Array.from(network.logits())); }}
  const limits = {{ temperature: 0, topK: 0, maxTokens: asked.nGreedy, signal: new AbortController().signal }};
  const tokens = [];
  for await (const token of page.continued([...prompt], limits)) tokens.push(token);
  const greedy = tokens.map((token) => token.id);
  const {{ stopIds }} = page.bytemill.config;
  stopIds.push(greedy[5]);
  let nBeforeStop = 0;
  for await (const token of page.continued([...prompt], limits)) nBeforeStop++;
  stopIds.length = 0; // no end by chance from here on
  return {{ ids: asked.texts.map((text) => tokenizer.encode(text)), logits, greedy, nBeforeStop, first: tokens[0] }};
}}

async function usedBy(page) {{
  const find = (selector) => page.document.querySelector(selector);
  const until = async (pattern) => {{ while (!pattern.test(find("#message").textContent)) await later(5); }};
  page.performance.now = () => 100 * ++page.performance.ticks; // time goes on, so that the page makes its pauses
  page.performance.ticks = 0;
  find("#prompt").value = "<b>the</b> \\u202ecat";
  find("#max-tokens").value = "9";
  find("#continue").click();
  await until(/maximum/);
  const found = {{
    text: find("#text").firstChild.textContent,
    bold: find("#text b") !== null,
    tokens: page.document.querySelectorAll(".token").length,
    message: find("#message").textContent,
  }};
  page.document.querySelectorAll(".token")[2].click();
  const rows = [...page.document.querySelectorAll("#alternatives tbody tr")];
  found.alternatives = rows.map((row) => parseFloat(row.children[1].textContent));
  found.taken = rows.filter((row) => row.className === "taken").length;
  find("#more").click();
  await until(/writing/);
  await until(/maximum/);
  found.tokensAfterMore = page.document.querySelectorAll(".token").length;
  find("#max-tokens").value = "100000";
  find("#continue").click();
  while (page.document.querySelectorAll(".token").length < 3) await later(5);
  find("#stop").click();
  await until(/stopped/);
  found.tokensAtStop = page.document.querySelectorAll(".token").length;
  found.width = page.document.documentElement.scrollWidth;
  return found;
}}

function refusedBy(page) {{
  return new Promise((resolve) => {{
    page.document.addEventListener("securitypolicyviolation", (event) => resolve(event.effectiveDirective));
    page.fetch("https://example.org").catch(() => null);
  }});
}}

addEventListener("load", async () => {{
  const found = {{}};
  try {{
    for (const name of ["tied", "untied"]) found[name] = await modelOf(framed(name));
    const {{ pretokens }} = framed("tied");
    found.splits = asked.patterns.map((pattern) => asked.texts.map((text) => pretokens(text, pattern)));
    found.used = await usedBy(framed("tied"));
    found.refused = await refusedBy(framed("untied"));
  }} catch (error) {{
    found.error = error.stack;
  }}
  document.title = JSON.stringify(found);
}});
</script>"""


def texts() -> list[str]:
    """Texts in which the patterns split differently, and random ones of their pieces."""
    chosen = [
        *(
            "",
            " ",
            "a",
            "\n",
            "\r\n",
            "  a",
            "a  ",
            "a\n  ",
            " \n\n a",
            "\t\tx",
            "a\u00a0b",
            "\u0085x",
            "\ufeffx",
            "a\u2003 b",
        ),
        *("it's", "IT'S", "'ſ x'ſ", "we'll'VE", "o'clock", "''s", "1234567 12 3", "٣٤٥٦", "½x", "x²"),
        *(
            "CamelCase HTTPServer",
            "ǅungla",
            "naïve Straße",
            "e\u0301a\u0301 \u0301",
            "a/b//\n/c",
            "!!!\n\n x",
            " ...\r\n",
        ),
        *(
            "北京是中国的首都。",
            "東京 42号",
            "😀👍🏽 👩‍👩‍👧",
            "हिन्दी",
            "𝒳𝓎 𝟙𝟚𝟛𝟜",
            "\x00\x1f\x7f",
            "<b>&amp;</b>",
            SPECIAL,
            f"a{SPECIAL}b",
        ),
        TEXT,
    ]
    source = random.Random(0)
    pieces = [*" \n\t\r'/aZé１9中😀\u0301\u0085\u00a0\ufeffſ", "'s", "'LL", "the", "  ", "123", "。\n"]
    return chosen + ["".join(source.choices(pieces, k=source.randint(1, 30))) for _ in range(100)]


@pytest.fixture(scope="module")
def tokenizer():
    return trained(special_tokens=[SPECIAL])


@pytest.fixture(scope="module")
def models(tokenizer):
    return {name: model_of(tokenizer, **settings) for name, settings in VARIANTS.items()}


@pytest.fixture(scope="module")
def seen(tmp_path_factory, tokenizer, models):
    """What the probe found in both pages, and the console."""
    folder = tmp_path_factory.mktemp("pages")
    for name, model in models.items():
        export(folder / f"{name}.html", tokenizer, model)
    asked = {
        "texts": texts(),
        "prompt": PROMPT,
        "nGreedy": N_GREEDY,
        "patterns": list(map(javascript_pattern, PATTERNS)),
    }
    probe = folder / "probe.html"
    probe.write_text(PROBE.format(asked=json.dumps(asked).replace("<", "\\u003c")), encoding="utf-8")
    assert BROWSER is not None
    command = [BROWSER, "--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={folder / 'profile'}"]
    command += [
        "--allow-file-access-from-files",
        "--enable-logging=stderr",
        "--virtual-time-budget=60000",
        "--dump-dom",
    ]
    done = subprocess.run([*command, probe.as_uri()], capture_output=True, encoding="utf-8", timeout=120, check=True)
    title = re.search(r"<title>(\{.*?\})</title>", done.stdout, re.DOTALL)
    assert title, done.stderr
    found = json.loads(html.unescape(title[1]))
    assert "error" not in found, found["error"]
    return found, done.stderr


def test_ids_are_bytemill_s(seen, tokenizer):
    for text, ids in zip(texts(), seen[0]["tied"]["ids"], strict=True):
        assert ids == tokenizer.encode_ordinary(text), repr(text)


@pytest.mark.parametrize("number", range(len(PATTERNS)), ids=["gpt2", "cl100k", "o200k", "llama3", "qwen2", "none"])
def test_each_pattern_splits_as_bytemill_does(seen, number):
    splitter = trained(pattern=PATTERNS[number], vocab_size=257)
    for text, found in zip(texts(), seen[0]["splits"][number], strict=True):
        assert [piece.encode() for piece in found] == splitter.pretokens(text), repr(text)


@pytest.mark.parametrize("name", VARIANTS)
def test_logits_are_torch_s_with_the_same_weights(seen, tokenizer, models, name):
    ids = torch.tensor([tokenizer.encode_ordinary(PROMPT)])
    with torch.no_grad():
        wanted = rounded(models[name])(ids)[0][0]
    torch.testing.assert_close(torch.tensor(seen[0][name]["logits"]), wanted, rtol=0, atol=1e-3)


@pytest.mark.parametrize("name", VARIANTS)
def test_greedy_text_is_torch_s_also_beyond_the_context(seen, tokenizer, models, name):
    model, ids = rounded(models[name]), tokenizer.encode_ordinary(PROMPT)
    n_prompt, n_positions = len(ids), model.config.n_positions
    start, probabilities = 0, []
    for _ in range(N_GREEDY):
        if len(ids) - start > n_positions:
            start += n_positions // 2
        with torch.no_grad():
            probabilities.append(model(torch.tensor([ids[start:]]))[0][0, -1].softmax(-1))
        ids.append(int(probabilities[-1].argmax()))
    assert n_prompt + 16 <= n_positions < len(ids)
    assert seen[0][name]["greedy"] == ids[n_prompt:]
    best = seen[0][name]["first"]["best"]
    values, places = probabilities[0].topk(10)
    assert [one["id"] for one in best] == places.tolist()
    assert [one["chance"] for one in best] == pytest.approx(values.tolist(), abs=1e-4)
    assert seen[0][name]["first"]["chance"] == pytest.approx(float(values[0]), abs=1e-4)


@pytest.mark.parametrize("name", VARIANTS)
def test_a_stop_id_ends_the_text(seen, name):
    greedy = seen[0][name]["greedy"]
    assert seen[0][name]["nBeforeStop"] == greedy.index(greedy[5])


def test_the_page_can_be_used(seen):
    used = seen[0]["used"]
    assert used["text"] == "<b>the</b> \\u202ecat"
    assert not used["bold"]
    assert (used["tokens"], used["tokensAfterMore"]) == (9, 18)
    assert re.match(r"the maximum number of tokens is reached; 9 tokens, [\d.]+ per second", used["message"])
    assert len(used["alternatives"]) in (10, 11)  # the token that was taken may be none of the ten best
    assert used["alternatives"][:10] == sorted(used["alternatives"][:10], reverse=True)
    assert used["taken"] == 1
    assert 3 <= used["tokensAtStop"] < 1_000
    assert used["width"] <= PHONE_PX


def test_the_page_may_not_use_the_network_and_says_nothing_else_on_the_console(seen):
    assert seen[0]["refused"] == "connect-src"
    lines = [line for line in seen[1].splitlines() if "CONSOLE" in line]
    assert [line for line in lines if "Content Security Policy" not in line] == []
