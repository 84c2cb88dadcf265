"""Connections that show their socket to the call, so that the deadline of the call can close it.

Botocore's timeouts apply to each read: a peer that sends single bytes would occupy a thread forever.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from botocore.awsrequest import (
    AWSHTTPConnection,
    AWSHTTPConnectionPool,
    AWSHTTPSConnection,
    AWSHTTPSConnectionPool,
)

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable


def show_sockets(client: Any, show: Callable[[socket.socket], None]) -> None:
    """Call `show` with every socket before its use, in the thread of the call."""

    class Shown:
        sock: Any

        def _new_conn(self) -> Any:  # before a TLS handshake, which may hang, too
            sock = super()._new_conn()  # type: ignore[misc]  # of urllib3's connection
            show(sock)
            return sock

        def request(self, *args: Any, **kwargs: Any) -> Any:
            if self.sock is not None:
                show(self.sock)
            return super().request(*args, **kwargs)  # type: ignore[misc]

    plain = type("Connection", (Shown, AWSHTTPConnection), {})
    secure = type("SecureConnection", (Shown, AWSHTTPSConnection), {})
    # botocore has no public way to another connection class
    client._endpoint.http_session._pool_classes_by_scheme.update(  # noqa: SLF001
        http=type("Pool", (AWSHTTPConnectionPool,), {"ConnectionCls": plain}),
        https=type("SecurePool", (AWSHTTPSConnectionPool,), {"ConnectionCls": secure}),
    )
