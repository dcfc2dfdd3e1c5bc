"""The barest page that Flask can serve, under the settings of our own pages: `python -m benchmarks.hello HOST:PORT`."""

import sys

from flask import Flask

from cli.pages import _Pages

app = Flask(__name__)


@app.post("/hello")
def hello() -> str:
    return "hello"


if __name__ == "__main__":
    _Pages(app, {"bind": sys.argv[1], "workers": 2, "threads": 4, "worker_class": "gthread"}).run()
