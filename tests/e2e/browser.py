"""Chromium for tests, driven through chromedriver: the few calls of the WebDriver protocol that a page's test needs, over urllib."""
import base64
import json
import os
import pathlib
import shutil
import subprocess
import tempfile
import time
import unittest
import urllib.error
import urllib.request

import gateway

START_SECONDS_MAX = 90
CALL_SECONDS_MAX = 150
ELEMENT = "element-6066-11e4-a52e-4f735466cecf"


def _program(name):
    path = shutil.which(name, path="/usr/bin:/bin:/usr/lib/chromium")
    if path is None:
        raise unittest.SkipTest(f"{name} is not installed (Debian packages chromium, chromium-driver)")
    return path


class Browser:
    """One headless Chromium with a profile of its own. Use as a context."""

    def __init__(self, insecure=False):
        """insecure: certificates that nobody has signed are believed."""
        self.insecure = insecure
        self.chromium, driver = _program("chromium"), _program("chromedriver")
        self.directory = tempfile.TemporaryDirectory(prefix="archipel-browser-")
        port = gateway.free_port()
        self.base = f"http://127.0.0.1:{port}"
        self.log = open(pathlib.Path(self.directory.name) / "driver.log", "wb")
        env = {**os.environ, "HOME": self.directory.name, "LC_ALL": "C.UTF-8"}
        self.process = subprocess.Popen([driver, f"--port={port}"], stdin=subprocess.DEVNULL, stdout=self.log, stderr=self.log, env=env)
        self.session = None

    def __enter__(self):
        try:
            self._wait_for_driver()
            self._open_session()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, *_):
        self.close()

    def _wait_for_driver(self):
        deadline = time.monotonic() + START_SECONDS_MAX
        while True:
            try:
                if self._call("GET", "/status")["ready"]:
                    return
            except (urllib.error.URLError, ConnectionError):
                pass
            if self.process.poll() is not None or time.monotonic() > deadline:
                raise unittest.SkipTest(f"chromedriver does not start: {self._driver_log()}")
            time.sleep(0.05)

    def _open_session(self):
        # As root there is no sandbox of Chromium's own; the page is ours and loads nothing.
        arguments = ["--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--hide-scrollbars", "--no-first-run",
                     "--force-color-profile=srgb", "--disable-background-networking", f"--user-data-dir={self.directory.name}/profile"]
        options = {"binary": self.chromium, "args": arguments}
        wanted = {"capabilities": {"alwaysMatch": {"browserName": "chrome", "acceptInsecureCerts": self.insecure, "goog:chromeOptions": options, "goog:loggingPrefs": {"browser": "ALL"}}}}
        try:
            self.session = self._call("POST", "/session", wanted)["sessionId"]
        except RuntimeError as error:
            raise unittest.SkipTest(f"chromium does not start here: {str(error).splitlines()[0]}") from None

    def _driver_log(self):
        self.log.flush()
        return pathlib.Path(self.log.name).read_text(errors="replace")[-300:]

    def _call(self, method, path, body=None):
        data = json.dumps(body).encode() if body is not None else None
        request = urllib.request.Request(self.base + path, data, {"Content-Type": "application/json"}, method=method)
        try:
            with urllib.request.urlopen(request, timeout=CALL_SECONDS_MAX) as answer:
                return json.load(answer)["value"]
        except urllib.error.HTTPError as error:
            value = json.load(error)["value"]
            raise RuntimeError(f"{value.get('error')}: {value.get('message')}") from None

    def call(self, method, path, body=None):
        return self._call(method, f"/session/{self.session}{path}", body)

    def size(self, width, height):
        """Of the page, as a phone or a desk shows it: windows cannot be narrower than 500 pixels, pages can."""
        self.devtools("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False)

    def devtools(self, command, **parameters):
        return self.call("POST", "/goog/cdp/execute", {"cmd": command, "params": parameters})

    def open(self, address):
        self.call("POST", "/url", {"url": address})

    def run(self, script, *arguments):
        return self.call("POST", "/execute/sync", {"script": script, "args": list(arguments)})

    def messages(self):
        """What the console said since the last call."""
        return self.call("POST", "/se/log", {"type": "browser"})

    def keys(self, text):
        """Types into what has the focus. Special keys: the WebDriver code points (Tab is U+E004, Enter U+E007, the arrows U+E012 to U+E015)."""
        actions = [{"type": kind, "value": letter} for letter in text for kind in ("keyDown", "keyUp")]
        self.call("POST", "/actions", {"actions": [{"type": "key", "id": "keyboard", "actions": actions}]})

    def picture(self, file, whole=False):
        """A PNG of what is seen, or of the whole page."""
        if whole:
            metrics = self.devtools("Page.getLayoutMetrics")["cssContentSize"]
            clip = {"x": 0, "y": 0, "width": metrics["width"], "height": metrics["height"], "scale": 1}
            data = self.devtools("Page.captureScreenshot", format="png", captureBeyondViewport=True, clip=clip)["data"]
        else:
            data = self.call("GET", "/screenshot")
        pathlib.Path(file).write_bytes(base64.b64decode(data))

    def close(self):
        if self.session:
            try:
                self.call("DELETE", "")
            except (RuntimeError, urllib.error.URLError, ConnectionError):
                pass
        self.process.terminate()
        try:
            self.process.wait(60)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.log.close()
        self.directory.cleanup()
