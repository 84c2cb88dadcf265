"""Asks each Pod behind a headless Service for its readiness; exits with 1 and the answer unless all are ready."""

import socket
import sys
import urllib.error
import urllib.request

host, port = sys.argv[1], int(sys.argv[2])
addresses = sorted({str(found[4][0]) for found in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)})
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
