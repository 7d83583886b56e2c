"""A small web server whose requests are served as the client of its Unix socket.

    guise run files -- /usr/bin/python3 web.py /run/web.sock /srv/files
    curl --unix-socket /run/web.sock http://localhost/plan          # what curl's user may read
    curl --unix-socket /run/web.sock --upload-file new http://localhost/plan

There is no access check in here, and none is missing: open() gets what the client may have, or PermissionError.
"""

import http.server
import os
import socketserver
import sys

import guise

LARGEST = 1 << 20


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def setup(self):
        super().setup()
        # Who connected, for all requests of the connection.
        self.client = guise.Client(self.connection)

    def finish(self):
        super().finish()
        self.client.close()

    def do_GET(self):
        if self.path == "/whoami":
            token = self.client.token()
            return self.answer(200, f"{token.name or token.user}\n".encode())

        def read(path):
            with open(path, "rb") as file:
                return file.read()

        self.carry_out(read)

    def do_PUT(self):
        length = int(self.headers.get("Content-Length", "-1"))
        if not 0 <= length <= LARGEST:
            self.close_connection = True
            return self.answer(413, b"a body of at most 1 MiB, and its length\n")
        body = self.rfile.read(length)

        def write(path):
            with open(path, "wb") as file:
                file.write(body)
            return b""

        self.carry_out(write)

    def carry_out(self, action):
        try:
            path = self.server.path(self.path)
            with self.client.impersonate():
                body = action(path)
        except PermissionError as error:
            # By a rule about the file, or about this service and this client.
            self.log_error("%s", error)
            return self.answer(403, b"not for you\n")
        except (FileNotFoundError, IsADirectoryError, NotADirectoryError, ValueError):
            return self.answer(404, b"no such file\n")
        except OSError as error:
            self.log_error("%s", error)
            return self.answer(503, b"try later\n")
        # As the service again: what is sent does not depend on who sends it.
        self.answer(200, body)

    def answer(self, status, body):
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def address_string(self):
        # A Unix socket's peer has no address.
        return f"process {self.client.process}"


class Server(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    daemon_threads = True
    request_queue_size = 128

    def __init__(self, path, root):
        super().__init__(path, Handler)
        self.root = root
        # Who may connect; the umask usually lets nobody.
        os.chmod(path, 0o666)

    def path(self, text):
        parts = text.split("?")[0].lstrip("/").split("/")
        if ".." in parts:
            raise ValueError(text)
        return os.path.join(self.root, *parts)

    def handle_error(self, request, client_address):
        # A client that left, or may not be served; the next one may.
        print(f"web: {sys.exc_info()[1]}", file=sys.stderr)


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit("usage: web.py SOCKET DIRECTORY")
    guise.attach()
    with Server(sys.argv[1], sys.argv[2]) as server:
        print(f"web: serving {sys.argv[2]} at {sys.argv[1]} as process {os.getpid()}", file=sys.stderr, flush=True)
        server.serve_forever()
