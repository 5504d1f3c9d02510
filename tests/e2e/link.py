"""A link of so many bytes a second between a client and a server: what stands between an agent and a gateway, so that a test
knows how fast a backlog can drain at best."""

import contextlib
import socket
import threading
import time


class Link:
    """Takes TCP connections and passes them on to `port`, all of them together at `bytes_per_s` in the client's direction.
    While nothing listens there, it hangs up."""

    def __init__(self, port, bytes_per_s):
        self._port, self._bytes_per_s = port, bytes_per_s
        self._lock = threading.Lock()
        self._free_at = 0.0  # when all that was let through is through
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.address = "127.0.0.1:%d" % self._listener.getsockname()[1]

    def __enter__(self):
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *_):
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _accept(self):
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                try:
                    server = socket.create_connection(("127.0.0.1", self._port))
                except OSError:
                    client.close()
                    continue
                threading.Thread(target=self._pass, args=(client, server, self._take_time), daemon=True).start()
                threading.Thread(target=self._pass, args=(server, client, lambda size: None), daemon=True).start()

    def _take_time(self, size):
        with self._lock:
            self._free_at = max(self._free_at, time.monotonic()) + size / self._bytes_per_s
            wait = self._free_at - time.monotonic()
        time.sleep(max(0, wait))

    def _pass(self, source, target, take_time):
        """Until either side hangs up, then both are hung up on."""
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                take_time(len(data))
                target.sendall(data)
        for end in (source, target):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
