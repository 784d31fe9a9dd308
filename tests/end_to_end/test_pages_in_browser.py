"""Pages in a real browser: nothing wider than a phone, no message on the console, dark where the reader wants it."""

import json
import re
import subprocess
from pathlib import Path

import pytest

from browser import BROWSER, NO_BROWSER
from bytemill.notebook.fragments import framed
from sample_pages import KINDS, pages

PHONE_PX = 360

pytestmark = pytest.mark.skipif(BROWSER is None, reason=NO_BROWSER)

# Measures the page from outside, in a frame as wide as a phone: the page itself may run no script.
PROBE = """<!DOCTYPE html><title>probe</title>
<iframe src="{page}" width="{width}" height="800" style="border:0"></iframe>
<script>
addEventListener("load", () => {{
  const page = document.querySelector("iframe").contentDocument;
  const wide = [...page.querySelectorAll("body *")].filter(
    one => one.getBoundingClientRect().right > {width} + 1 && !one.closest(".scroll, svg, .skip")
  );
  const style = getComputedStyle(page.body);
  document.title = JSON.stringify({{
    width: page.documentElement.scrollWidth,
    wide: wide.slice(0, 5).map(one => one.outerHTML.slice(0, 120)),
    ground: style.backgroundColor,
    wrapped: [...page.querySelectorAll(".figures dd:not(.note)")].filter(
      one => one.getBoundingClientRect().height > 1.6 * parseFloat(getComputedStyle(one).fontSize)
    ).map(one => one.textContent),
    results: [...page.querySelectorAll("td.best")].map(one => one.getBoundingClientRect().right),
    shown: [...page.querySelectorAll(".plots .plot > div > svg, .plots .plot > svg")].filter(
      one => one.getBoundingClientRect().width > 0).length,
    plots: page.querySelectorAll(".plots .plot > div > svg").length,
  }});
}});
</script>"""


# A notebook inserts an output in this way. The probe follows a link in the page; for this, the frame has its origin.
NOTEBOOK = """<!DOCTYPE html><title>notebook</title><style>h1 {{ color: rgb(1, 2, 3) }}</style>
<h1>Notebook</h1><div></div>
<script>
document.querySelector("div").innerHTML = {output};
const frame = document.querySelector("iframe");
frame.addEventListener("load", () => {{
  frame.contentDocument.querySelector("nav a").click();
  requestAnimationFrame(() => {{
    const inside = frame.contentDocument;
    document.title = JSON.stringify({{
      place: frame.contentWindow.location.href,
      titles: [document, inside].map(one => one.querySelector("h1").textContent),
      colours: [document, inside].map(one => getComputedStyle(one.querySelector("h1")).color),
      buttons: inside.querySelectorAll("button.copy:not([hidden])").length,
    }});
  }});
}}, {{ once: true }});
</script>"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("pages")
    for name, page in pages(made / "runs").items():
        (made / f"{name.replace(' ', '-')}.html").write_text(page.html(), encoding="utf-8")
    return made


def browse(folder: Path, page: str, *, width: int, dark: bool = False) -> tuple[dict, str]:
    """What the probe measured, and what stands on the console."""
    probe = folder / f"probe-{page}-{width}.html"
    probe.write_text(PROBE.format(page=f"{page}.html", width=width), encoding="utf-8")
    return titled(folder, probe, dark=dark)


def titled(folder: Path, probe: Path, *, dark: bool = False) -> tuple[dict, str]:
    """What a page writes into its title as JSON, and what is on the console."""
    assert BROWSER is not None
    command = [BROWSER, "--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={folder / 'profile'}"]
    command += ["--allow-file-access-from-files", "--enable-logging=stderr", "--virtual-time-budget=4000", "--dump-dom"]
    command += [f"--blink-settings=preferredColorScheme={0 if dark else 1}", probe.as_uri()]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
    title = re.search(r"<title>(\{.*?\})</title>", done.stdout, re.DOTALL)
    assert title, done.stderr
    return json.loads(title[1].replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")), done.stderr


@pytest.mark.parametrize("page", [name.replace(" ", "-") for name in KINDS])
def test_a_page_fits_a_phone_and_says_nothing_on_the_console(folder: Path, page: str) -> None:
    found, console = browse(folder, page, width=PHONE_PX)
    assert found["wide"] == []
    assert found["width"] <= PHONE_PX
    assert 2 * found["shown"] == found["plots"]  # of each plot the narrow drawing, not the wide one
    assert "CONSOLE" not in console


@pytest.mark.parametrize("page", ["two-runs", "classifier", "preference", "sweep", "matrix"])
def test_a_page_shows_its_results_on_a_laptop(folder: Path, page: str) -> None:
    found, _ = browse(folder, page, width=1_280)
    assert found["wrapped"] == []
    assert found["width"] <= 1_280
    assert all(right <= 1_280 for right in found["results"])
    assert found["results"] or page == "preference"


def test_a_page_is_dark_where_the_reader_wants_it(folder: Path) -> None:
    light, _ = browse(folder, "inspect", width=1_000)
    dark, _ = browse(folder, "inspect", width=1_000, dark=True)
    assert light["ground"] == "rgb(255, 255, 255)"
    assert dark["ground"] == "rgb(20, 24, 27)"


def test_a_page_in_a_notebook_stays_in_its_frame(folder: Path) -> None:
    page = (folder / "two-runs.html").read_text(encoding="utf-8")
    output = framed(page, "two runs").replace('sandbox="', 'sandbox="allow-same-origin ')
    probe = folder / "notebook.html"
    probe.write_text(NOTEBOOK.format(output=json.dumps(output).replace("</", "<\\/")), encoding="utf-8")
    found, _ = titled(folder, probe)
    assert found["place"] == "about:srcdoc#part-1"
    assert found["titles"] == ["Notebook", "Comparison of 2 runs, pretraining: a, b"]
    assert found["colours"] == ["rgb(1, 2, 3)", "rgb(25, 29, 32)"]
    assert found["buttons"] > 0
