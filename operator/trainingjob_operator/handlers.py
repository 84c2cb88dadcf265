"""Kopf handlers: login, settings, and one event handler that forwards every event.

Only low-level handlers: Kopf's others write annotations with the whole spec, keep a task per object, and add Kopf's
finalizer. `register` registers them; the import has no effect.
"""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import kopf

from trainingjob_operator.kube.client import Credentials
from trainingjob_operator.kube.objects import GROUP, PLURAL, VERSION

Intake = Callable[[str | None, Mapping[str, Any]], None]
"""Callback with an event's type (None for a listed object) and the object."""

SERVER_TIMEOUT, CONNECT_TIMEOUT, INACTIVITY_TIMEOUT = 240, 10.0, 70.0


class _NoProgress(kopf.ProgressStorage):
    """Empty storage: low-level handlers have no progress, and Kopf's default storage deep-copies every event."""

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
    """Empty storage: low-level handlers use no diff of the object."""

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
    """Register the handlers."""

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
        # kube/events.py posts Events; Kopf's own Events describe handlers, not jobs.
        settings.posting.enabled = False
        # No scanning of CRDs and namespaces: a forbidden watch terminates Kopf.
        settings.scanning.disabled = True
        # Timeouts detect dead connections of the watch.
        settings.watching.server_timeout = SERVER_TIMEOUT
        settings.watching.connect_timeout = CONNECT_TIMEOUT
        settings.watching.inactivity_timeout = INACTIVITY_TIMEOUT
        settings.watching.chunk_size = 500
        if label_selector:
            settings.watching.label_selectors[GROUP, VERSION, PLURAL] = label_selector
        settings.networking.request_timeout = 30.0
        settings.networking.error_backoffs = (0.5, 1, 2)
        # Kopf's task per object ends soon after the last event.
        settings.queueing.idle_timeout = 0.5
        settings.queueing.exit_timeout = 0.5
        settings.persistence.progress_storage = _NoProgress()
        settings.persistence.diffbase_storage = _NoDiffBase()
        # Kopf removes this finalizer from every object; it must not be the operator's own.
        settings.persistence.finalizer = "kopf.zalando.org/unused"
        settings.process.ultimate_exiting_timeout = None

    @kopf.on.event(GROUP, VERSION, PLURAL, registry=registry)
    async def pass_on(event: kopf.RawEvent, **_: Any) -> None:
        intake(event["type"], event["object"])
