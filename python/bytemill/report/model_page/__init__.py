"""One HTML page that contains a small GPT-2 and runs it in the browser, without a network."""
