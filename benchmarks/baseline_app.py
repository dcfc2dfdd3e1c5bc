"""Baseline: a minimal Flask page with the server settings of Kairan: `python -m benchmarks.baseline_app HOST:PORT`."""

import sys

from flask import Flask

from cli.web_server import serve

app = Flask(__name__)


@app.post("/hello")
def hello() -> str:
    return "hello"


if __name__ == "__main__":
    host, _, port = sys.argv[1].rpartition(":")
    serve(app, host, int(port), 2**20)
