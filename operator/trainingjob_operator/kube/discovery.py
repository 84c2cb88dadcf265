"""What must be there before the operator can work: the CustomResourceDefinition and the right to use it."""

from collections.abc import Sequence

from trainingjob_operator.kube.client import READ_SECONDS, ApiServer
from trainingjob_operator.kube.errors import NotFound
from trainingjob_operator.kube.objects import API_VERSION, GROUP, PLURAL

_NEEDED = (("list", ""), ("watch", ""), ("get", ""), ("patch", ""), ("patch", "status"))
"""(verb, subresource)"""


async def find_obstacle(api: ApiServer, namespaces: Sequence[str]) -> str | None:
    """One sentence on what is missing and what to do; None where nothing is. Raises Unavailable.

    `namespaces` are those to work in, empty for all of them.
    """
    try:
        group = await api.call("GET", f"/apis/{API_VERSION}", seconds=READ_SECONDS)
    except NotFound:
        group = {}
    served = {resource["name"] for resource in group.get("resources") or ()}
    if not {PLURAL, f"{PLURAL}/status"} <= served:
        return (
            f"The API server does not serve {PLURAL} of {API_VERSION} with a status subresource: "
            "apply the CustomResourceDefinition in crds/ (kubectl apply --server-side -k crds)."
        )
    for namespace in namespaces or ("",):
        for verb, subresource in _NEEDED:
            if not await _allows(api, namespace, verb, subresource):
                resource = f"{PLURAL}/{subresource}" if subresource else PLURAL
                return (
                    f"The operator may not {verb} {resource}.{GROUP} in {namespace or 'all namespaces'}: "
                    f"apply the roles in deploy/, or restrict it with --watch-namespace."
                )
    return None


async def _allows(api: ApiServer, namespace: str, verb: str, subresource: str) -> bool:
    review = {
        "apiVersion": "authorization.k8s.io/v1",
        "kind": "SelfSubjectAccessReview",
        "spec": {
            "resourceAttributes": {
                "namespace": namespace,
                "verb": verb,
                "group": GROUP,
                "resource": PLURAL,
                "subresource": subresource,
            }
        },
    }
    path = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"
    answer = await api.call("POST", path, body=review, seconds=READ_SECONDS)
    return bool(answer["status"]["allowed"])
