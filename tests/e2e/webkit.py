"""The engine of Safari, as Debian ships it (webkit2gtk-driver), driven by plain W3C WebDriver over HTTP."""

import json
import os
import shutil
import socket
import subprocess
import time
import urllib.error
import urllib.request
from glob import glob
from typing import Any

DRIVER = shutil.which("WebKitWebDriver") or ""
DISPLAY = shutil.which("Xvfb") or ""
BROWSER = next(iter(sorted(glob("/usr/lib/*/webkit2gtk-4.*/MiniBrowser"), reverse=True)), "")
ELEMENT = "element-6066-11e4-a52e-4f735466cecf"


def is_installed() -> bool:
    """Say whether this machine has the driver, the browser and a screen to draw on."""
    return bool(DRIVER and DISPLAY and BROWSER)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class WebKit:
    """One window of the second engine."""

    def __init__(self) -> None:
        reading, writing = os.pipe()
        self._screen = subprocess.Popen(
            [DISPLAY, "-displayfd", str(writing), "-screen", "0", "800x1000x24", "-nolisten", "tcp"],
            pass_fds=(writing,),
            stderr=subprocess.DEVNULL,
        )
        number = os.read(reading, 16).decode().strip()
        port = _free_port()
        self._url = f"http://127.0.0.1:{port}"
        drawing = {"LIBGL_ALWAYS_SOFTWARE": "1", "WEBKIT_DISABLE_COMPOSITING_MODE": "1", "NO_AT_BRIDGE": "1"}
        self._driver = subprocess.Popen(
            [DRIVER, f"--port={port}"],
            env={**os.environ, "DISPLAY": f":{number}", **drawing},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        self._session = self._begin()

    def _begin(self) -> str:
        options = {"binary": BROWSER, "args": ["--automation"]}
        wanted = {"browserName": "MiniBrowser", "webkitgtk:browserOptions": options}
        deadline = time.monotonic() + 60
        while True:
            try:
                return self._ask("POST", "/session", {"capabilities": {"alwaysMatch": wanted}})["sessionId"]
            except ConnectionError:
                assert time.monotonic() < deadline, "WebKitWebDriver does not answer"
                time.sleep(0.1)
            except urllib.error.URLError:
                assert time.monotonic() < deadline, "WebKitWebDriver does not answer"
                time.sleep(0.1)

    def _ask(self, method: str, path: str, body: dict | None = None) -> Any:
        request = urllib.request.Request(
            self._url + path,
            method=method,
            data=json.dumps(body).encode() if body is not None else None,
            headers={"Content-Type": "application/json"},
        )
        return json.load(urllib.request.urlopen(request, timeout=100))["value"]

    def _do(self, method: str, path: str, body: dict | None = None) -> Any:
        return self._ask(method, f"/session/{self._session}{path}", body)

    def open(self, url: str) -> None:
        """Load a page and wait for it."""
        self._do("POST", "/url", {"url": url})

    def script(self, text: str) -> Any:
        """Run a script in the page and return its value."""
        return self._do("POST", "/execute/sync", {"script": text, "args": []})

    def text(self) -> str:
        """Return what the page says."""
        return self.script("return document.body.innerText")

    def find(self, css: str) -> str:
        """Return a handle of the first element that fits."""
        return self._do("POST", "/element", {"using": "css selector", "value": css})[ELEMENT]

    def click(self, css: str) -> None:
        """Press an element as a person would."""
        self._do("POST", f"/element/{self.find(css)}/click", {})

    def type(self, css: str, text: str) -> None:
        """Type into a field."""
        self._do("POST", f"/element/{self.find(css)}/value", {"text": text})

    def close(self) -> None:
        """End the window, the driver and the screen."""
        try:
            self._ask("DELETE", f"/session/{self._session}")
        finally:
            self._driver.terminate()
            self._screen.terminate()
            self._driver.wait(10)
            self._screen.wait(10)
