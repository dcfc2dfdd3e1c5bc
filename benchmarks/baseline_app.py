"""Baseline: a minimal Flask page with the server settings of Kairan: `python -m benchmarks.baseline_app HOST:PORT`."""

import sys

from flask import Flask

from cli.web_server import _WebServer

app = Flask(__name__)


@app.post("/hello")
def hello() -> str:
    return "hello"


if __name__ == "__main__":
    _WebServer(app, {"bind": sys.argv[1], "workers": 2, "threads": 4, "worker_class": "gthread"}).run()
