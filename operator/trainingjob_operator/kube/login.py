"""Login: the source of the credentials for the API server."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import proxy_bypass_environment  # type: ignore[attr-defined]  # typeshed lacks it

from trainingjob_operator.kube.credentials import Credentials, read_pem, read_token
from trainingjob_operator.kube.kubeconfig import read_kubeconfig

SERVICE_ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")


class LoginError(Exception):
    """No usable credentials; the message names the sources and the cause."""


class Login:
    """Loader of credentials from $KUBECONFIG, else the pod's service account, else ~/.kube/config.

    Each load reads files and runs exec plugins anew.
    """

    def __init__(self, environ: Mapping[str, str], service_account: Path = SERVICE_ACCOUNT) -> None:
        self._environ = environ
        self._service_account = service_account

    async def load(self) -> Credentials:
        """Load the credentials. Raises LoginError."""
        kubeconfig = self._environ.get("KUBECONFIG")
        try:
            if not kubeconfig and self._environ.get("KUBERNETES_SERVICE_HOST"):
                credentials = self._from_pod()
            else:
                credentials = await read_kubeconfig(kubeconfig or str(Path.home() / ".kube" / "config"), self._environ)
            _check_url(credentials.server)
        except Exception as error:  # a malformed file may raise any exception
            raise self.refuse(str(error) or type(error).__name__) from error
        if credentials.server.startswith("https") and not credentials.token and not credentials.certificate:
            # As system:anonymous every right would appear missing.
            raise self.refuse("neither a token nor a client certificate")
        return replace(credentials, proxy_url=credentials.proxy_url or self._find_proxy(credentials.server))

    def refuse(self, reason: str) -> LoginError:
        """Build the error for unusable credentials."""
        sources = self._environ.get("KUBECONFIG") or f"{self._service_account} or ~/.kube/config"
        short = " ".join(reason.split())[:300]
        return LoginError(f"No usable credentials for the API server ({sources}): {short}")

    def _from_pod(self) -> Credentials:
        host, port = self._environ["KUBERNETES_SERVICE_HOST"], self._environ["KUBERNETES_SERVICE_PORT"]
        token, ca, namespace = (self._service_account / name for name in ("token", "ca.crt", "namespace"))
        return Credentials(
            server=f"https://[{host}]:{port}" if ":" in host else f"https://{host}:{port}",
            ca=read_pem(ca.read_text(errors="replace"), ca),
            scheme="Bearer",
            token=read_token(token),
            token_path=token,
            default_namespace=namespace.read_text().strip() or None if namespace.is_file() else None,
        )

    def _find_proxy(self, url: str) -> str | None:
        """Return the proxy by HTTPS_PROXY, HTTP_PROXY and NO_PROXY; lower-case spellings take precedence."""
        variables = sorted(self._environ.items(), key=lambda variable: variable[0].islower())
        proxies = {name.lower()[:-6]: value for name, value in variables if name.lower().endswith("_proxy")}
        parts = urlsplit(url)
        return None if proxy_bypass_environment(parts.netloc, proxies) else proxies.get(parts.scheme) or None


def _check_url(server: str) -> None:
    parts = urlsplit(server)
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.port == 0:
        raise ValueError(f"the server {server!r} is not a URL such as https://host:6443")
