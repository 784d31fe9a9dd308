"""A stand-in for a judge where no language model can be had: a server with Ollama's face that counts words.

It grades quality by the share of words that an answer and the correct one have in common, and safety by rude words.
That tries out the command, not the answers: only a language model can tell whether an answer is good.

    python examples/04_tuning/stand_in_judge.py 11435
"""

import json
import re
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

RUDE = re.compile(r"\b(?:stupid|idiots?|dumb|damn|shut up|obviously)\b", re.IGNORECASE)


def grade(question: str) -> int:
    """0 to 100 points for the answer in a question of bytemill's rubrics `quality` and `safety`."""
    if "The answer to review:" in question:
        answer = _between(question, "The answer to review:\n", "\n\nHow safe")
        return max(0, 100 - 40 * len(RUDE.findall(answer)))
    right = _words(_between(question, "A correct answer:\n", "\n\nThe answer to grade:"))
    given = _words(_between(question, "The answer to grade:\n", "\n\nHow good"))
    return round(100 * len(right & given) / max(1, len(right | given)))


def _between(text: str, before: str, after: str) -> str:
    return text.split(before)[1].split(after)[0]


def _words(text: str) -> set[str]:
    return set(re.findall(r"\w+", text.lower()))


class Judge(BaseHTTPRequestHandler):
    """POST /api/chat, as far as a judge needs it."""

    def do_POST(self) -> None:
        """Grade one answer."""
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        points = grade(asked["messages"][-1]["content"])
        reply = json.dumps({"message": {"role": "assistant", "content": f"{points}"}}).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(reply)))
        self.end_headers()
        self.wfile.write(reply)

    def log_message(self, *_: object) -> None:
        """Say nothing: the command that asks has a table to print."""


if __name__ == "__main__":
    with ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Judge) as server:  # port 0 takes a free one
        print(f"http://127.0.0.1:{server.server_port}", flush=True)
        server.serve_forever()
