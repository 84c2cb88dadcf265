"""What Kopf sees: a login, its settings, and one handler that passes every event on.

Only low-level handlers: the others write annotations with the whole spec, keep a task per object, and tie deletion to
a finalizer of Kopf's. Nothing is registered at import.
"""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import kopf

from trainingjob_operator.kube.client import Credentials
from trainingjob_operator.kube.objects import GROUP, PLURAL, VERSION

Intake = Callable[[str | None, Mapping[str, Any]], None]
"""Takes an event's type (None for what a list showed) and the object."""

SERVER_TIMEOUT, CONNECT_TIMEOUT, INACTIVITY_TIMEOUT = 240, 10.0, 70.0


class _NoProgress(kopf.ProgressStorage):
    """Kopf keeps no progress of low-level handlers; the default storage costs deep copies for every event."""

    def fetch(self, *, key: str, body: kopf.Body) -> None:
        return None

    def store(self, *, key: str, record: Any, body: kopf.Body, patch: kopf.Patch) -> None:
        pass

    def purge(self, *, key: str, body: kopf.Body, patch: kopf.Patch) -> None:
        pass

    def touch(self, *, body: kopf.Body, patch: kopf.Patch, value: str | None) -> None:
        pass

    def clear(self, *, essence: Any) -> Any:
        return essence


class _NoDiffBase(kopf.DiffBaseStorage):
    """Nor is the last state of an object compared with the new one."""

    def build(self, *, body: kopf.Body, extra_fields: Any = None) -> Any:
        return {}

    def fetch(self, *, body: kopf.Body) -> None:
        return None

    def store(self, *, body: kopf.Body, patch: kopf.Patch, essence: Any) -> None:
        pass


def register(
    registry: kopf.OperatorRegistry,
    *,
    load_credentials: Callable[[], Awaitable[Credentials]],
    label_selector: str,
    intake: Intake,
) -> None:
    """Put the handlers on a registry."""

    @kopf.on.login(registry=registry)
    async def login(**_: Any) -> kopf.ConnectionInfo:
        credentials = await load_credentials()
        return kopf.ConnectionInfo(
            server=credentials.server,
            ca_path=credentials.ca_path,
            insecure=credentials.insecure,
            scheme=credentials.scheme,
            token=credentials.token,
            certificate_path=credentials.certificate_path,
            private_key_path=credentials.private_key_path,
            proxy_url=credentials.proxy_url,
            default_namespace=credentials.default_namespace,
        )

    @kopf.on.startup(registry=registry)
    async def configure(settings: kopf.OperatorSettings, **_: Any) -> None:
        # Events are ours (kube/events.py); Kopf's own would name handlers, not jobs.
        settings.posting.enabled = False
        # CRDs and namespaces are not Kopf's to watch: a watch that is forbidden would end the operator.
        settings.scanning.disabled = True
        # A connection that died without a word must not keep the watch waiting.
        settings.watching.server_timeout = SERVER_TIMEOUT
        settings.watching.connect_timeout = CONNECT_TIMEOUT
        settings.watching.inactivity_timeout = INACTIVITY_TIMEOUT
        settings.watching.chunk_size = 500
        if label_selector:
            settings.watching.label_selectors[GROUP, VERSION, PLURAL] = label_selector
        settings.networking.request_timeout = 30.0
        settings.networking.error_backoffs = (0.5, 1, 2)
        # A task per object lives only while there are events for it.
        settings.queueing.idle_timeout = 0.5
        settings.queueing.exit_timeout = 0.5
        settings.persistence.progress_storage = _NoProgress()
        settings.persistence.diffbase_storage = _NoDiffBase()
        # Kopf strips this from every object it sees: never ours.
        settings.persistence.finalizer = "kopf.zalando.org/unused"
        settings.process.ultimate_exiting_timeout = None

    @kopf.on.event(GROUP, VERSION, PLURAL, registry=registry)
    async def pass_on(event: kopf.RawEvent, **_: Any) -> None:
        intake(event["type"], event["object"])
