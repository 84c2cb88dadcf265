"""Asks each Pod behind a headless Service for its readiness; exits with 1 and the answer unless all are ready."""

import socket
import sys
import time
import urllib.error
import urllib.request

SECONDS = 30
"""Time for the name of a new Service to appear in DNS."""


def resolve(host: str, port: int) -> list[str]:
    """Return the addresses of the host. Raises OSError if it has none after SECONDS."""
    deadline = time.monotonic() + SECONDS
    while True:
        try:
            return sorted({str(found[4][0]) for found in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)})
        except OSError:
            if time.monotonic() > deadline:
                raise
        time.sleep(1)


host, port = sys.argv[1], int(sys.argv[2])
addresses = resolve(host, port)
unready = 0
for address in addresses:
    literal = f"[{address}]" if ":" in address else address
    try:
        with urllib.request.urlopen(f"http://{literal}:{port}/readyz", timeout=10) as answer:
            status, text = answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        status, text = error.code, error.read().decode()
    except OSError as error:
        status, text = 0, f"does not answer: {error}"
    unready += status != 200
    print(f"{address}: {text.strip()}")
sys.exit(1 if unready else 0)
