"""Credentials: everything that an HTTP client needs to connect to the API server."""

import re
import ssl
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

_BLOCK = re.compile(r"-----BEGIN [^-]+-----.*?-----END [^-]+-----", re.DOTALL)


@dataclass(frozen=True, slots=True, kw_only=True)
class Credentials:
    """Connection parameters of the API server; certificates and keys as PEM."""

    server: str
    ca: str | None = None
    """None: the system's certificate authorities."""
    insecure: bool = False
    tls_server_name: str | None = None
    scheme: str | None = None
    """Bearer or Basic, with `token`."""
    token: str | None = field(default=None, repr=False)
    token_path: Path | None = None
    """File with the current bearer token, which rotates."""
    certificate: str | None = None
    private_key: str | None = field(default=None, repr=False)
    proxy_url: str | None = None
    default_namespace: str | None = None

    def build_context(self) -> ssl.SSLContext:
        """Return the TLS settings; raises OSError for unusable certificates."""
        context = ssl.create_default_context(cadata=self.ca)
        if self.certificate and self.private_key:
            with tempfile.NamedTemporaryFile("w") as file:  # ssl loads a key from a file only
                file.write(self.certificate + self.private_key)
                file.flush()
                context.load_cert_chain(file.name)
        if self.insecure:
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        return context


def read_pem(text: str, source: object) -> str:
    """Return the PEM blocks of a text without its comments, which may be other than ASCII.

    Raises ValueError, which names `source`, for a text without any.
    """
    blocks = _BLOCK.findall(text)
    if not blocks:
        raise ValueError(f"{source} contains no PEM block")
    return "\n".join((*blocks, ""))


def read_token(path: Path) -> str:
    """Return the token in the file. Raises OSError, and ValueError for an empty file, as during a rotation."""
    token = path.read_text().strip()
    if not token:
        raise ValueError(f"{path} is empty")
    return token
