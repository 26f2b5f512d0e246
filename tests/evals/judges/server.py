"""A local server that speaks OpenAI's chat completions, and misbehaves where a test wants it to."""

import contextlib
import dataclasses
import http.server
import json
import threading
from collections.abc import Callable, Iterator
from typing import Any, TypeAlias


@dataclasses.dataclass(frozen=True, kw_only=True)
class Response:
    body: bytes
    status: int = 200
    headers: tuple[tuple[str, str], ...] = ()


def said(content: str | None) -> Response:
    """A completion."""
    message = {"role": "assistant", "content": content}
    return Response(body=json.dumps({"choices": [{"index": 0, "message": message, "finish_reason": "stop"}]}).encode())


def failing(status: int, text: str = "overloaded", **headers: str) -> Response:
    """An error, as OpenAI words it; underscores in names of headers are hyphens."""
    named = tuple((name.replace("_", "-"), value) for name, value in headers.items())
    return Response(body=json.dumps({"error": {"message": text}}).encode(), status=status, headers=named)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Request:
    path: str
    key: str | None
    """The header Authorization."""
    body: dict[str, Any]
    number: int
    """How many requests came before."""

    @property
    def text(self) -> str:
        """The last message."""
        return self.body["messages"][-1]["content"]


Behaviour: TypeAlias = Callable[[Request], Response]


@dataclasses.dataclass
class Server:
    url: str
    behaviour: Behaviour
    requests: list[Request]


@contextlib.contextmanager
def serving() -> Iterator[Server]:
    lock = threading.Lock()

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            with lock:
                request = Request(
                    path=self.path, key=self.headers["Authorization"], body=body, number=len(server.requests)
                )
                server.requests.append(request)
            response = server.behaviour(request)
            with contextlib.suppress(OSError):  # a client that has given up
                self.send_response(response.status)
                for name, value in response.headers:
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(response.body)))
                self.end_headers()
                self.wfile.write(response.body)

        def log_message(self, *_: Any) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as listening:
        server = Server(f"http://127.0.0.1:{listening.server_port}/v1", lambda request: said(request.text), [])
        thread = threading.Thread(target=listening.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield server
        finally:
            listening.shutdown()
            thread.join()
