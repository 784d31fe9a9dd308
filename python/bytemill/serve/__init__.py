"""Serve models over HTTP, in the form of OpenAI's interface.

`run.py` opens the address and runs until a signal, `app.py` has the routes, `guard.py` what every request must pass,
`requests.py` the fields of requests, `replies.py` the forms of answers, `streams.py` the way from the engine's thread
to the connection, `pages.py` and `page/` the chat in the browser, and `models.py` loads what is served. The engine is
`bytemill.inference.engine`.
"""
