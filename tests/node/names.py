"""DNS of the node: names of Services, with the answers of the cluster's DNS. Other names do not exist here."""

from __future__ import annotations

import ipaddress
import socketserver
import struct
import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

HEADER = struct.Struct(">6H")
ANSWER, NO_SUCH_NAME = 0x8580, 0x8583
"""Flags of an authoritative answer."""
IPV4 = 1
SECONDS = 1
"""TTL of an answer."""


def answer(query: bytes, lookup: Callable[[str], Sequence[str] | None]) -> bytes:
    """Return the answer to a query with one question.

    :param lookup: the IPv4 addresses of a name in lower case; None for an unknown name
    """
    number = HEADER.unpack_from(query)[0]
    labels, end = [], HEADER.size
    while length := query[end]:
        labels.append(query[end + 1 : end + 1 + length].decode())
        end += 1 + length
    end += 5  # the root, type and class
    (kind,) = struct.unpack_from(">H", query, end - 4)
    addresses = lookup(".".join(labels).lower())
    records = [
        struct.pack(">3HIH", 0xC000 | HEADER.size, IPV4, 1, SECONDS, 4) + ipaddress.IPv4Address(address).packed
        for address in (addresses or ())
        if kind == IPV4
    ]
    flags = NO_SUCH_NAME if addresses is None else ANSWER
    return HEADER.pack(number, flags, 1, len(records), 0, 0) + query[HEADER.size : end] + b"".join(records)


class Names:
    """A DNS server at an address until it is closed."""

    def __init__(self, address: str, port: int, lookup: Callable[[str], Sequence[str] | None]) -> None:
        """Listen in separate threads. Raises OSError if the address is unavailable."""

        class Handler(socketserver.BaseRequestHandler):
            def handle(self) -> None:
                query, socket = self.request
                socket.sendto(answer(query, lookup), self.client_address)

        self._server = socketserver.ThreadingUDPServer((address, port), Handler)
        self.address = self._server.server_address
        self._thread = threading.Thread(target=self._server.serve_forever, name="names", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stop answering."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(10)
