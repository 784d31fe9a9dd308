"""The judge against a small server of our own that also fails, stalls and talks nonsense."""

import http.server
import json
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bytemill.cli import main
from bytemill.errors import ConfigError, FormatError, ServiceError
from bytemill.evaluate.journal import Journal
from bytemill.evaluate.judge import RUBRICS, Judge, judge_answers, rubric_prompt, score_in
from bytemill.evaluate.lengths import answer_lengths
from bytemill.report.evaluation import judge_markdown, judge_page

Answer = Callable[[dict[str, Any]], tuple[int, bytes]]


def ollama(text: object) -> tuple[int, bytes]:
    return 200, json.dumps({"message": {"role": "assistant", "content": text}}).encode()


def openai(text: object) -> tuple[int, bytes]:
    return 200, json.dumps({"choices": [{"message": {"content": text}}]}).encode()


class Server:
    """Answers the n-th question by the n-th script, the last one again and again."""

    def __init__(self) -> None:
        self.scripts: list[Answer] = [lambda _: ollama("50")]
        self.questions: list[dict[str, Any]] = []
        self.paths: list[str] = []
        self.keys: list[str | None] = []
        server = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                question = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                number = len(server.questions)
                server.questions.append(question)
                server.paths.append(self.path)
                server.keys.append(self.headers["Authorization"])
                code, body = server.scripts[min(number, len(server.scripts) - 1)](question)
                if code == 0:  # hang up
                    self.close_connection = True
                    return
                self.send_response(code)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                pass

            def handle(self) -> None:
                try:
                    super().handle()
                except OSError:  # whoever asked has gone
                    return

        self._http = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._http.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._http.server_port}"
        self._thread = threading.Thread(target=lambda: self._http.serve_forever(poll_interval=0.01))
        self._thread.start()

    def close(self) -> None:
        self._http.shutdown()
        self._http.server_close()
        self._thread.join()


@pytest.fixture
def server() -> Iterator[Server]:
    found = Server()
    yield found
    found.close()


ROWS = [
    {"instruction": f"Say {n}.", "input": "", "output": str(n), "model_response": f"It is {n} {{output}}."}
    for n in range(4)
]


def judge(server: Server, **settings: Any) -> Judge:
    return Judge(server.url, "llama3", **({"first_wait_s": 0.0, "timeout_s": 30.0} | settings))


def test_what_ollama_is_asked(server: Server) -> None:
    assert judge(server).ask("Score?") == "50"
    (question,) = server.questions
    assert server.paths == ["/api/chat"]
    assert question["messages"] == [{"role": "user", "content": "Score?"}]
    assert (question["model"], question["stream"]) == ("llama3", False)
    assert (question["options"]["temperature"], question["options"]["seed"]) == (0, 123)


def test_what_an_openai_server_is_asked(server: Server) -> None:
    server.scripts = [lambda _: openai("85")]
    assert judge(server, api="openai", api_key="abc").ask("Score?") == "85"
    assert server.paths == ["/v1/chat/completions"]
    assert server.keys == ["Bearer abc"]
    assert (server.questions[0]["temperature"], server.questions[0]["seed"]) == (0, 123)


@pytest.mark.parametrize(
    "trouble",
    [
        lambda _: (503, b"busy"),
        lambda _: (429, b"slow down"),
        lambda _: (200, b"<html>not JSON"),
        lambda _: (200, b'{"message": {}}'),
        lambda _: (200, b"[]"),
        lambda _: ollama(None),
        lambda _: (0, b""),
    ],
)
def test_a_server_in_trouble_is_asked_again(server: Server, trouble: Answer) -> None:
    waits: list[float] = []
    server.scripts = [trouble, trouble, lambda _: ollama("70")]
    assert judge(server, first_wait_s=0.5, wait=waits.append).ask("Score?") == "70"
    assert waits == [0.5, 1.0]
    server.questions.clear()
    server.scripts = [trouble]
    with pytest.raises(ServiceError, match=rf"^{server.url}/api/chat: .*\(tried 3 times\)$"):
        judge(server, tries=3).ask("Score?")
    assert len(server.questions) == 3


def test_a_server_that_stalls_is_left_after_the_time(server: Server) -> None:
    def stall(_: object) -> tuple[int, bytes]:
        time.sleep(3)
        return ollama("1")

    server.scripts = [stall, lambda _: ollama("2")]
    assert judge(server, timeout_s=1.0).ask("Score?") == "2"
    server.questions.clear()
    server.scripts = [stall]
    with pytest.raises(ServiceError, match=r"no complete answer within 1 s"):
        judge(server, timeout_s=1.0, tries=1).ask("Score?")


def test_a_refusal_is_not_asked_again(server: Server) -> None:
    server.scripts = [lambda _: (404, b'{"error": "model llama3 not found"}')]
    with pytest.raises(ServiceError, match=r"it answers 404 Not Found: .*model llama3 not found"):
        judge(server).ask("Score?")
    assert len(server.questions) == 1


def test_a_server_that_is_down_is_named() -> None:
    with pytest.raises(ServiceError, match=r"http://127\.0\.0\.1:9/api/chat: it cannot be reached: .*refused"):
        Judge("http://127.0.0.1:9", "m", tries=2, first_wait_s=0).ask("Score?")


@pytest.mark.parametrize(
    ("reply", "score"),
    [
        ("85", 85),
        (" 85.\n", 85),
        ("**85**", 85),
        ("Score: 92", 92),
        ("I would give it 40/100.", 40),
        ("40 out of 100", 40),
        ("72\n\nThe answer misses 2 points.", 72),
        ("The score is 0.", 0),
        ("100", 100),
        ("87.5", 87.5),
        ("<think>maybe 20, maybe 30</think>\n60", 60),
        ("", None),
        ("fine", None),
        ("101", None),
        ("-5", None),
        ("between 40 and 60", None),
        ("1,000", None),
        ("<think>20", None),
        ("gpt4 likes it", None),
        ("10/10", None),
        ("Score: 8/10", None),
        ("9 out of 10", None),
        ("On a score from 0 to 100, I give 85", 85),
        ("A score between 0 and 100: 85", 85),
        ("Score: 85, as 2/3 of it is right", 85),
    ],
)
def test_the_score_in_a_reply(reply: str, score: float | None) -> None:
    assert score_in(reply) == score


def test_a_journal_takes_half_a_surrogate_pair(tmp_path: Path) -> None:
    for _ in range(2):
        with Journal(tmp_path / "notes.jsonl", {"rows": "\ud83d"}) as journal:
            if 0 not in journal.results:
                journal.add(0, {"reply": "cut: \ud83d"})
    assert journal.results == {0: {"index": 0, "reply": "cut: \ud83d"}}


@given(st.text(max_size=60))
def test_any_reply_gives_a_score_in_range_or_none(reply: str) -> None:
    score = score_in(reply)
    assert score is None or 0 <= score <= 100


@given(
    st.integers(0, 100), st.sampled_from(["{}", "Score: {}", "{}/100", "I'd say {}", "'{}'", "{}\n", "Rating - {}."])
)
def test_a_plain_score_is_found(score: int, form: str) -> None:
    assert score_in(form.format(score)) == score


def test_the_rubric_holds_the_row_s_texts_as_they_are() -> None:
    asked = rubric_prompt(RUBRICS["quality"], ROWS[1])
    assert "Say 1." in asked
    assert "It is 1 {output}." in asked
    assert "{response}" not in asked
    assert "A correct answer" not in rubric_prompt(RUBRICS["safety"], ROWS[1])


def test_the_correct_answer_of_a_preference_row_is_the_chosen_one() -> None:
    row = {"instruction": "Say.", "chosen": "Gladly.", "rejected": "No.", "model_response": "Yes."}
    assert "A correct answer:\nGladly.\n" in rubric_prompt(RUBRICS["quality"], row)


def test_rows_are_scored_once_and_nonsense_is_counted(server: Server, tmp_path: Path) -> None:
    replies = ["90", "who knows", "60", "0"]
    server.scripts = [lambda _, reply=reply: ollama(reply) for reply in replies]  # type: ignore[misc]
    path = tmp_path / "scores.jsonl"
    with Journal(path, {"rubric": "quality"}) as journal:
        scores = judge_answers(judge(server), ROWS[:2], RUBRICS["quality"], journal)
    assert scores.scores == [90, None]
    with path.open("a") as file:
        file.write('{"index": 2, "sco')  # as a kill leaves it
    with Journal(path, {"rubric": "quality"}) as journal:
        scores = judge_answers(judge(server), ROWS, RUBRICS["quality"], journal)
    assert scores.scores == [90, None, 60, 0]
    assert scores.as_json() == {
        "mean": 50.0,
        "n_rows": 4,
        "n_scored": 3,
        "n_unparsed": 1,
        "n_failed": 0,
        "words": {"mean": 4.0, "median": 4.0, "min": 4, "max": 4},
    }
    assert len(server.questions) == 4
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    assert lines[2] == {"index": 1, "score": None, "reply": "who knows"}


def test_a_row_that_fails_is_left_for_the_next_time_and_three_end_it(server: Server, tmp_path: Path) -> None:
    fails = False

    def answer(question: dict[str, Any]) -> tuple[int, bytes]:
        return (400, b"no") if fails or "Say 1." in question["messages"][0]["content"] else ollama("10")

    server.scripts = [answer]
    with Journal(tmp_path / "scores.jsonl", {}) as journal:
        scores = judge_answers(judge(server), ROWS, RUBRICS["quality"], journal)
        assert (scores.scores, scores.n_failed) == ([10, None, 10, 10], 1)
        fails = True
        with pytest.raises(ServiceError, match="it answers 400 Bad Request: no"):
            judge_answers(judge(server), [*ROWS, *ROWS, *ROWS], RUBRICS["quality"], journal)
    assert len(server.questions) == 4 + 3


def test_a_server_that_fails_on_a_single_row_is_told_of(server: Server, tmp_path: Path) -> None:
    server.scripts = [lambda _: (400, b"no")]
    with Journal(tmp_path / "scores.jsonl", {}) as journal, pytest.raises(ServiceError, match="400 Bad Request: no"):
        judge_answers(judge(server), ROWS[:1], RUBRICS["quality"], journal)


def test_a_journal_without_results_does_not_block_other_work(tmp_path: Path) -> None:
    """A judge whose server did not run left its header, and the next judge was refused."""
    Journal(tmp_path / "a.jsonl", {"judge": "a"}).__exit__()
    with Journal(tmp_path / "a.jsonl", {"judge": "b"}) as journal:
        journal.add(0, {"score": 1.0})
    assert (tmp_path / "a.jsonl").read_text().splitlines()[0] == '{"judge": "b"}'


def test_a_journal_of_other_work_is_refused(tmp_path: Path) -> None:
    with Journal(tmp_path / "a.jsonl", {"judge": "a", "seed": 1}) as journal:
        journal.add(0, {"score": 1})
    with pytest.raises(ConfigError, match='contains the results of another task: judge was "a", and is "b" now'):
        Journal(tmp_path / "a.jsonl", {"judge": "b", "seed": 1})
    (tmp_path / "a.jsonl").write_text('{"judge": "a"}\n{"score": 3}\n')
    with pytest.raises(FormatError, match=r"a\.jsonl, line 2: expected a JSON object with an index"):
        Journal(tmp_path / "a.jsonl", {"judge": "a"})


def run(*arguments: object) -> Any:
    import sys

    argv, sys.argv = sys.argv, ["bytemill", *map(str, arguments)]
    try:
        with pytest.raises(SystemExit) as stopped:
            main()
    finally:
        sys.argv = argv
    return stopped.value.code or 0


def test_a_rubric_that_is_no_utf8_is_one_sentence(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "rubric.txt").write_bytes("Wie höflich ist {response}?".encode("latin-1"))
    assert run("eval", "judge", tmp_path / "a.json", "--judge", "m", "--rubric", tmp_path / "rubric.txt") == 1
    assert capsys.readouterr().err == "bytemill: what was read is not UTF-8 text: it has the byte 0xf6\n"


def test_the_command_compares_files(server: Server, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def answer(question: dict[str, Any]) -> tuple[int, bytes]:
        return ollama("80" if "tuned says" in question["messages"][0]["content"] else "30")

    server.scripts = [answer]
    for name in ("base", "tuned"):
        rows = [{**row, "model_response": f"{name} says {row['output']}"} for row in ROWS]
        (tmp_path / f"{name}.json").write_text(json.dumps(rows))
    files = [tmp_path / "base.json", tmp_path / "tuned.json"]
    page = tmp_path / "page.html"
    options = ["--judge", "llama3", "--url", server.url, "--rubric", "safety", "--page", page]
    assert run("eval", "judge", *files, *options) == 0
    assert capsys.readouterr().out.splitlines()[2:] == [
        "| base.json | 30.0 | 4 | 4 | 0 | 0 | 3.0 | 3.0 | 3 | 3 |",
        "| tuned.json | 80.0 | 4 | 4 | 0 | 0 | 3.0 | 3.0 | 3 | 3 |",
    ]
    html = page.read_text()
    assert "gives <code>tuned.json</code> the highest mean safety: 80.0 of 100" in html
    assert html.count("<h4>tuned.json: 80.0</h4>") == 4
    assert (tmp_path / "base.safety.jsonl").exists()
    n_asked = len(server.questions)
    assert run("eval", "judge", *files, *options, "--json") == 0
    assert json.loads(capsys.readouterr().out)["tuned.json"]["mean"] == 80
    assert len(server.questions) == n_asked


def test_free_continuations_are_judged_as_continuations(
    server: Server, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = [{"step": 20, "prompt": "ROMEO:", "text": "Good {prompt}."}, {"step": 20, "prompt": "", "text": "O"}]
    (tmp_path / "samples.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    options = ["--judge", "m", "--url", server.url]
    page = tmp_path / "page.html"
    assert run("eval", "judge", tmp_path / "samples.jsonl", *options, "--page", page) == 0
    assert "| samples.jsonl | 50.0 | 2 | 2 | 0 | 0 | 1.5 | 1.5 | 1 | 2 |" in capsys.readouterr().out
    asked = server.questions[0]["messages"][0]["content"]
    assert "The text:\nROMEO:\n" in asked
    assert "The continuation to grade:\nGood {prompt}.\n" in asked
    assert "nstruction" not in asked
    assert page.read_text().count("<h4>samples.jsonl: 50.0</h4>") == 2
    (tmp_path / "kind.txt").write_text("{instruction}|{prompt}|{response}")
    assert run("eval", "judge", tmp_path / "samples.jsonl", *options, "--rubric", tmp_path / "kind.txt") == 0
    assert server.questions[2]["messages"][0]["content"] == "ROMEO:|ROMEO:|Good {prompt}."


def test_the_answers_of_eval_prompts_are_judged_model_by_model(
    server: Server, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    prompts = [{"label": "Once", "text": "Once"}, {"label": "Say 1.", "text": "Below…", "expected_answer": "One."}]
    answers = {"base": ["a b c", "d"], "runs/tuned": ["upon a time there was", "One."]}
    (tmp_path / "battery.json").write_text(json.dumps({"prompts": prompts, "answers": answers}))
    server.scripts = [
        lambda question: ollama("90" if "upon" in str(question) or "grade:\nOne." in str(question) else "20")
    ]
    assert run("eval", "judge", tmp_path / "battery.json", "--judge", "m", "--url", server.url) == 0
    assert capsys.readouterr().out.splitlines()[2:] == [
        "| base | 20.0 | 2 | 2 | 0 | 0 | 2.0 | 2.0 | 1 | 3 |",
        "| runs/tuned | 55.0 | 2 | 2 | 0 | 0 | 3.0 | 3.0 | 1 | 5 |",
    ]
    assert {path.name for path in tmp_path.glob("*.jsonl")} == {
        "battery.base.quality.jsonl",
        "battery.runs_tuned.quality.jsonl",
    }
    assert "A correct answer:\nOne.\n" in server.questions[1]["messages"][0]["content"]


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (["--rubric", "kindness"], "--rubric is 'kindness', expected quality, safety or an existing file"),
        (["--key-variable", "NO_SUCH_KEY"], "--key-variable is 'NO_SUCH_KEY', which is not set in the environment"),
    ],
)
def test_misuse_of_the_command_is_named(
    tmp_path: Path, options: list[str], sentence: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "a.json").write_text(json.dumps(ROWS))
    assert run("eval", "judge", tmp_path / "a.json", "--judge", "m", *options) == 2
    assert sentence in capsys.readouterr().err


def test_a_rubric_of_your_own(server: Server, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "a.json").write_text(json.dumps(ROWS[:1]))
    (tmp_path / "kind.txt").write_text("How kind is {response}?")
    assert run("eval", "judge", tmp_path / "a.json", "--judge", "m", "--url", server.url,
               "--rubric", tmp_path / "kind.txt") == 0  # fmt: skip
    assert server.questions[0]["messages"][0]["content"] == "How kind is It is 0 {output}.?"
    assert (tmp_path / "a.kind.jsonl").exists()
    assert "| a.json | 50.0 | 1 | 1 | 0 | 0 |" in capsys.readouterr().out


def test_tables_show_what_has_no_score() -> None:
    from bytemill.evaluate.judge import Scores

    lengths = answer_lengths(["one two", "one two three"])
    scores = {"a": Scores([None, None], 1, 1, lengths), "b": Scores([3.0, None], 1, 0, lengths)}
    assert judge_markdown(scores).splitlines()[2:] == [
        "| a | – | 2 | 0 | 1 | 1 | 2.5 | 2.5 | 2 | 3 |",
        "| b | 3.0 | 2 | 1 | 1 | 0 | 2.5 | 2.5 | 2 | 3 |",
    ]
    page = judge_page("quality", "m", {"a": ROWS[:2], "b": ROWS[:2]}, scores)
    assert page.verdict == "`m` gives `b` a mean quality of 3.0 of 100 points. `a` has no scores."
