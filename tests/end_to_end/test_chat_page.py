"""The chat page of the server in a real browser: type, stream, stop, retry, compare, look at a token's alternatives."""

import time

import pytest

from browser import BROWSER, NO_BROWSER, Browser
from bytemill.inference.lane import Lane
from serving import serving, small_generator

pytestmark = pytest.mark.skipif(BROWSER is None, reason=NO_BROWSER)

STRANGE = "<b>bold</b> & 北京 🎈 \x1b[31mred"
ANSWERS = "[...document.querySelectorAll('.answer p')].map(one => one.textContent)"
NOTES = "[...document.querySelectorAll('.note')].map(one => one.textContent)"
READY = "document.getElementById('model-0').value !== ''"
DONE = "!document.getElementById('send').disabled"


@pytest.fixture(scope="module")
def server():
    models = {"base": small_generator(512), "tuned": small_generator(512, seed=4)}
    with serving(models) as place:
        yield place


@pytest.fixture(scope="module")
def profile(tmp_path_factory):
    """The browser's own folder, one for all tests: it is large."""
    return tmp_path_factory.mktemp("profile")


@pytest.fixture
def page(server, profile):
    with Browser(profile) as browser:
        browser.open(f"{server.url}/")
        browser.wait(READY)
        set_value(browser, "temperature", "0")
        set_value(browser, "max-tokens", "12")
        yield browser
        assert browser.console == []
        assert browser.requests
        assert all(one.startswith((f"{server.url}/", "data:,")) for one in browser.requests)


def set_value(browser, name, value):
    browser.value(f"document.getElementById({name!r}).value = {value!r}; 0")


def click(browser, name):
    browser.value(f"document.getElementById({name!r}).click()")


def ask(browser, text):
    browser.value("document.getElementById('question').focus()")
    browser.type(text)
    browser.press("Enter")


def test_two_models_answer_and_a_token_shows_its_alternatives(page, server):
    set_value(page, "model-1", "tuned")
    ask(page, "The fox")
    page.wait(DONE)
    expected = []
    for name in ("base", "tuned"):
        messages = [{"role": "user", "content": "The fox"}]
        body = {"model": name, "messages": messages, "temperature": 0, "max_tokens": 12}
        reply = server.post("chat/completions", body).json()
        expected.append(reply["choices"][0]["message"]["content"])
    shown = page.value(ANSWERS)
    assert [len(one) > 3 for one in shown] == [True, True]
    assert shown == [page_text(one) for one in expected]
    assert page.value("document.querySelectorAll('.answer h2')[1].textContent") == "tuned"
    assert page.value("getComputedStyle(document.querySelector('.token')).backgroundColor") == "rgba(0, 0, 0, 0)"
    click(page, "colours")
    assert page.value("getComputedStyle(document.querySelector('.token')).backgroundColor") != "rgba(0, 0, 0, 0)"
    page.value("document.querySelector('.token').click()")
    chances = page.value("[...document.querySelectorAll('tbody tr')].map(r => parseFloat(r.children[1].textContent))")
    assert len(chances) == 10
    assert chances == sorted(chances, reverse=True)
    assert page.value("document.querySelectorAll('tr.taken').length") == 1
    assert page.value("document.querySelector('tr.taken') === document.querySelector('tbody tr')")  # greedy
    click(page, "close")
    assert page.value("document.getElementById('alternatives').hidden")


def page_text(text):
    """The text as the page shows it: control characters are visible."""
    return "".join(
        f"\\u{ord(one):04x}" if one not in "\t\n" and (one < " " or "\x7f" <= one <= "\x9f" or one in "\u2028\u2029")
        else one
        for one in text
    )  # fmt: skip


def test_texts_are_shown_literally(page):
    ask(page, STRANGE.replace("\x1b", ""))
    page.wait(DONE)
    page.value(f"run({STRANGE!r}).then(() => 0)")
    shown = page.value("[...document.querySelectorAll('.question')].map(one => one.textContent)")
    assert shown == [STRANGE.replace("\x1b", ""), STRANGE.replace("\x1b", "\\u001b")]
    assert page.value("document.querySelectorAll('#talk b').length") == 0


def test_stop_retry_and_a_new_conversation(page, server, monkeypatch):
    step = Lane.step
    monkeypatch.setattr(Lane, "step", lambda lane: (time.sleep(0.05), step(lane)))
    set_value(page, "max-tokens", "200")
    ask(page, "The fox")
    page.wait("document.querySelectorAll('.token').length > 1")
    page.press("Escape")
    page.wait(DONE)
    assert page.value(NOTES) == ["stopped"]
    monkeypatch.undo()
    set_value(page, "max-tokens", "5")
    click(page, "retry")
    page.wait(DONE)
    assert page.value(NOTES) == ["ended at the maximum number of tokens"]
    assert page.value("document.querySelectorAll('.question').length") == 1
    click(page, "forget")
    assert page.value("document.getElementById('talk').textContent") == ""
    assert server.engine.n_rows == 0


def test_a_long_conversation_drops_its_oldest_turns_and_a_long_question_shows_the_error(page):
    for _ in range(5):
        ask(page, "The quick brown fox jumps over the lazy dog. " * 9)
        page.wait(DONE)
    assert page.value(NOTES) == ["ended at the maximum number of tokens"] * 5
    assert "status of 400" in page.console[0]  # logged by the browser itself
    ask(page, "word " * 600)
    page.wait(DONE)
    assert "expected 1 to 512, the model's context" in page.value(NOTES)[-1]
    page.console.clear()


def test_the_page_asks_for_the_key(profile):
    with serving({"m": small_generator()}, key="s3cret") as server, Browser(profile) as browser:
        browser.open(f"{server.url}/")
        browser.wait("!document.getElementById('key-field').hidden")
        browser.wait("document.getElementById('message').textContent.startsWith('the key is missing or wrong')")
        set_value(browser, "key", "s3cret")
        browser.value("document.getElementById('key').dispatchEvent(new Event('change'))")
        browser.wait(READY)


@pytest.mark.parametrize(("width", "dark"), [(360, False), (1000, True)])
def test_the_page_fits_a_phone_and_is_dark_for_those_who_want_it(server, profile, width, dark):
    with Browser(profile, width=width, dark=dark) as browser:
        browser.open(f"{server.url}/")
        browser.wait(READY)
        set_value(browser, "model-1", "tuned")
        set_value(browser, "max-tokens", "40")
        ask(browser, "The fox " * 20)
        browser.wait(DONE)
        click(browser, "colours")
        browser.value("document.querySelector('.token').click()")
        assert browser.value("document.documentElement.scrollWidth") <= width
        ground = browser.value("getComputedStyle(document.body).backgroundColor")
        assert ground == ("rgb(20, 24, 27)" if dark else "rgb(255, 255, 255)")
        assert browser.console == []


def test_the_policy_allows_only_this_server(server):
    for path in ("/", "/page.js", "/page.css"):
        headers = server.client.get(path).headers
        policy = headers["content-security-policy"]
        assert policy.startswith("default-src 'none'; script-src 'self';")
        assert "unsafe" not in policy
        assert headers["x-content-type-options"] == "nosniff"
    assert server.client.get("/", headers={"Host": "evil.example"}).status_code == 403
    page = server.client.get("/").text + server.client.get("/page.js").text + server.client.get("/page.css").text
    assert "http://" not in page
    assert "https://" not in page
