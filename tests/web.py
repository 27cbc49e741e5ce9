"""A web server on this machine that can cut connections, refuse, and change its file."""

import re
import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@dataclass
class Server:
    """Serves one file under every path; its behaviour may be changed between requests."""

    data: bytes = b""
    ranges: bool = True
    etag: str | None = '"1"'
    last_modified: str | None = None
    length_known: bool = True
    length: str | None = None  # what it says instead of the true one
    check_if_range: bool = True
    status: int | None = None
    cuts: list[int] = field(default_factory=list)  # bytes before each of the next cuts
    asked: list[str | None] = field(default_factory=list)  # the Range of each request
    url: str = ""

    def __enter__(self):
        self._http = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self._thread = threading.Thread(
            target=self._http.serve_forever, kwargs={"poll_interval": 0.01}
        )
        self._thread.start()
        self.url = f"http://127.0.0.1:{self._http.server_port}/sets/archive.zip"
        return self

    def __exit__(self, *_):
        self._http.shutdown()
        self._http.server_close()
        self._thread.join()


def _handler(server):
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            wanted = self.headers.get("Range")
            server.asked.append(wanted)
            start = int(re.match(r"bytes=(\d+)-", wanted)[1]) if wanted else 0
            unchanged = self.headers.get("If-Range") in {server.etag, server.last_modified}
            if server.status:
                self.send_error(server.status)
                return
            if not server.ranges or (server.check_if_range and not unchanged):
                start = 0
            if start and start >= len(server.data):
                self.send_error(416)
                return
            body = server.data[start:]
            self.send_response(206 if start else 200)
            if server.length_known:
                self.send_header("Content-Length", server.length or str(len(body)))
            if start:
                last, length = len(server.data) - 1, server.length or len(server.data)
                self.send_header("Content-Range", f"bytes {start}-{last}/{length}")
            if server.etag:
                self.send_header("ETag", server.etag)
            if server.last_modified:
                self.send_header("Last-Modified", server.last_modified)
            self.end_headers()
            self.wfile.write(body[: server.cuts.pop(0)] if server.cuts else body)

        def log_message(self, *_):
            pass

    return Handler
