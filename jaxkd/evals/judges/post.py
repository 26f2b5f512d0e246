"""JSON sent to a server, again after failures that pass.

The standard library is enough for it: the HTTP client of huggingface_hub is another package in each of its major
versions, and refuses all addresses, local ones too, where HF_HUB_OFFLINE is set.
"""

import datetime
import email.utils
import http.client
import itertools
import json
import logging
import threading
import urllib.error
import urllib.request
from collections.abc import Mapping
from typing import Any

_log = logging.getLogger(__name__)

_PASSING = frozenset({408, 425, 429, 500, 502, 503, 504, 529})
"""Statuses after which the same request may succeed."""
_FIRST_WAIT_S = 1.0
"""Seconds before the second attempt; doubled for each further one, up to a minute."""
_LONGEST_WAIT_S = 600.0
"""Longest wait for which a server may ask."""
_SHOWN = 300
"""Characters of a body that an error shows."""


class _NoRedirects(urllib.request.HTTPRedirectHandler):
    """Redirects are errors: followed, they would carry the key to another host, and turn POST into GET."""

    def redirect_request(
        self, req: urllib.request.Request, fp: Any, code: int, msg: str, headers: Any, newurl: str
    ) -> None:
        return None


def post(
    url: str,
    body: Mapping[str, Any],
    *,
    key: str = "",
    seconds: float,
    attempts: int,
    stopped: threading.Event | None = None,
) -> Any:
    """Send JSON, and return the JSON that the server answers with.

    A status that passes (429, 5xx), a timeout and a lost connection are tried again, after 1, 2, 4, ... seconds or
    after what the server's Retry-After says.

    Args:
        url: address to send to.
        body: JSON object to send.
        key: bearer token; none is sent if it is empty.  No error or log shows it.
        seconds: longest wait for the server to accept, or to send something.
        attempts: maximum number of times that the request is sent.
        stopped: event after which nothing is sent again.

    Raises:
        ValueError: no success; the error has the URL, the status and the beginning of the body.
    """
    stopped = threading.Event() if stopped is None else stopped
    headers = {"Content-Type": "application/json", "Accept": "application/json", "User-Agent": "jaxkd"}
    request = urllib.request.Request(url, json.dumps(body).encode(), headers, method="POST")
    if key:
        request.add_unredirected_header("Authorization", f"Bearer {key}")
    for attempt in itertools.count(1):
        wait = min(60.0, _FIRST_WAIT_S * 2 ** (attempt - 1))
        try:
            with urllib.request.build_opener(_NoRedirects).open(request, timeout=seconds) as response:
                return _parsed(url, response.status, response.read(), key)
        except urllib.error.HTTPError as error:
            failure, advice = f"status {error.code} ({beginning(_body(error), key)})", _advice(error.code)
            passes = error.code in _PASSING
            wait = _retry_after(error.headers.get("Retry-After"), wait)
        except (OSError, http.client.HTTPException) as error:
            reason = error.reason if isinstance(error, urllib.error.URLError) else error
            if isinstance(reason, TimeoutError):
                failure, advice = f"nothing within {seconds:g} s", "Allow more seconds, or ask less in parallel."
            else:
                failure = f"no answer ({type(reason).__name__}: {_redacted(str(reason), key)})"
                advice = "Start the server, or correct the URL."
            passes = True
        if wait > _LONGEST_WAIT_S:
            passes, failure = False, f"{failure}, and a Retry-After of {wait:.0f} s"
        if passes and attempt < attempts and not stopped.is_set():
            _log.warning("%s: %s at attempt %d of %d; the next in %.3g s", url, failure, attempt, attempts, wait)
            if not _pause(wait, stopped):
                continue
        raise ValueError(f"{url} must answer with status 200, got {failure} at attempt {attempt}. {advice}")


def _pause(seconds: float, stopped: threading.Event) -> bool:
    """Wait, and return whether it was stopped."""
    return stopped.wait(seconds)


def _parsed(url: str, status: int, content: bytes, key: str) -> Any:
    try:
        return json.loads(content)
    except (ValueError, RecursionError) as error:
        raise ValueError(
            f"{url} must answer with JSON, got status {status} and {beginning(content, key)}. Is it the URL of an API?"
        ) from error


def _body(error: urllib.error.HTTPError) -> bytes:
    try:
        return error.read()
    except (OSError, http.client.HTTPException):
        return b""


def beginning(content: bytes, key: str) -> str:
    """Return the beginning of a body for an error, on one line and without the key."""
    text = _redacted(" ".join(content.decode("utf-8", "replace").split()), key)
    return repr(text[:_SHOWN] + ("..." if len(text) > _SHOWN else "")) if text else "an empty body"


def _redacted(text: str, key: str) -> str:
    """Hide a key that a server repeats; a short one, as local servers have it, is no secret."""
    return text.replace(key, "[key]") if len(key) >= 8 else text


def _retry_after(value: str | None, otherwise: float) -> float:
    """Seconds that a Retry-After header asks for, as a number or a date."""
    if value is None:
        return otherwise
    if value.strip().isdecimal():
        return float(value)
    try:
        then = email.utils.parsedate_to_datetime(value)
    except ValueError:
        return otherwise
    then = then if then.tzinfo else then.replace(tzinfo=datetime.UTC)
    return max(0.0, (then - datetime.datetime.now(datetime.UTC)).total_seconds())


def _advice(status: int) -> str:
    if status in (401, 403):
        return "Set the environment variable of the key to one that this server accepts."
    if 300 <= status < 400 or status == 404:
        return "Give the base of the API, such as http://127.0.0.1:8000/v1, and a model that the server has."
    if status == 429:
        return "Ask less in parallel, or run the same command again later."
    return "See the server's log." if status >= 500 else "Correct what the server rejects."
