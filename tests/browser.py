"""A headless Chromium for tests, driven through two pipes: nothing has to be installed but it."""

import json
import os
import shutil
import subprocess
from select import select

CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")

#: It reads commands from file 3, and writes to file 4. A container lacks the rights of a sandbox.
COMMAND = (
    'exec "$0" --headless --no-sandbox --disable-gpu --no-first-run --user-data-dir="$1" '
    '--disable-background-networking --remote-debugging-pipe about:blank 3<&"$2" 4>&"$3"'
)
#: After so many seconds without a word it is taken for hung.
SILENT = 60
SAYS = ("Runtime.consoleAPICalled", "Runtime.exceptionThrown", "Log.entryAdded")


class Browser:
    """A browser with one page.

    Parameters
    ----------
    folder : Path
        Where it keeps what it keeps.

    Attributes
    ----------
    requests, said : list
        What its pages have asked for, and what came to the console.
    opened : int
        How many pages were opened.
    asked : list of str
        The questions that its pages have asked.
    answer : bool
        What they are answered.
    """

    def __init__(self, folder):
        commands, self._commands = os.pipe()
        self._events, events = os.pipe()
        self._process = subprocess.Popen(
            ["bash", "-c", COMMAND, CHROMIUM, str(folder), str(commands), str(events)],
            pass_fds=(commands, events),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        os.close(commands)
        os.close(events)
        self._unread, self._came = b"", []
        self._sent = 0
        self._session = None
        self.asked, self.answer = [], True
        self.requests, self.said, self.opened = [], [], 0
        pages = self.call("Target.getTargets")["targetInfos"]
        self._attach(next(page["targetId"] for page in pages if page["type"] == "page"))

    def new_tab(self):
        """Open a tab, and close the one before."""
        before = self._target
        self._attach(self.call("Target.createTarget", url="about:blank")["targetId"])
        self.call("Target.closeTarget", targetId=before)

    def _attach(self, target):
        self._target = target
        attached = self.call("Target.attachToTarget", targetId=target, flatten=True)
        self._session = attached["sessionId"]
        for domain in ("Page", "Runtime", "Network", "Log", "DOM"):
            self.call(f"{domain}.enable")

    def close(self):
        """End the browser."""
        self._process.terminate()
        self._process.wait()
        os.close(self._commands)
        os.close(self._events)

    def call(self, method, **parameters):
        """Call a method of the DevTools protocol, and return its result."""
        sent = self._send(method, **parameters)
        while True:
            answer = self._read()
            if answer.get("id") == sent:
                assert "error" not in answer, answer
                return answer["result"]
            self._came.append(answer)

    def wait_for(self, method, **parameters):
        """Read events up to one of a kind, which may have come since a page was opened."""
        while True:
            event = self._came.pop(0) if self._came else self._read()
            if event.get("method") == method and parameters.items() <= event["params"].items():
                return

    def open(self, path):
        """Open a page, and wait until its script has started."""
        self.opened += 1
        self._came.clear()
        self.call("Page.navigate", url=path.as_uri())
        self.wait_for("Page.loadEventFired")
        self.run("started")

    def choose(self, name, path):
        """Choose a file for an input of the page."""
        root = self.call("DOM.getDocument")["root"]["nodeId"]
        node = self.call("DOM.querySelector", nodeId=root, selector=f"#{name}")["nodeId"]
        self.call("DOM.setFileInputFiles", files=[str(path)], nodeId=node)

    def run(self, script):
        """Return the value of an expression of JavaScript."""
        answer = self.call(
            "Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True
        )
        assert "exceptionDetails" not in answer, answer["exceptionDetails"]
        return answer["result"].get("value")

    def _send(self, method, **parameters):
        self._sent += 1
        message = {"id": self._sent, "method": method, "params": parameters}
        if self._session is not None and not method.startswith(("Browser.", "Target.")):
            message["sessionId"] = self._session
        os.write(self._commands, json.dumps(message).encode() + b"\0")
        return self._sent

    def _read(self):
        while b"\0" not in self._unread:
            assert select([self._events], [], [], SILENT)[0], "the browser says nothing"
            more = os.read(self._events, 1 << 20)
            assert more, "the browser has ended"
            self._unread += more
        message, _, self._unread = self._unread.partition(b"\0")
        event = json.loads(message)
        if event.get("method") == "Network.requestWillBeSent":
            self.requests.append(event["params"]["request"]["url"])
        if event.get("method") == "Page.javascriptDialogOpening":  # which waits for its answer
            self.asked.append(event["params"]["message"])
            self._send("Page.handleJavaScriptDialog", accept=self.answer)
        if event.get("method") in SAYS:
            self.said.append(event["params"])
        return event
