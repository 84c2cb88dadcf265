"""stop, adopt, retry: changes that the operator and AWS support."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import click

from kubectl_trainingjob.commands.reading import show_objects
from kubectl_trainingjob.errors import CommandError, NoCredentials
from kubectl_trainingjob.following import open_account
from kubectl_trainingjob.kubectl import NotFound
from kubectl_trainingjob.logic.job import KIND, Job, Outcome
from kubectl_trainingjob.logic.successor import make_successor, propose_name
from kubectl_trainingjob.options import (
    get_screen,
    job_argument,
    open_kubectl,
    output_option,
    profile_option,
    scope_options,
)
from trainingjob_operator.logic.naming import is_job_name
from trainingjob_operator.logic.objects.annotations import (
    ADOPT_FROM_CLUSTER,
    ADOPTION_FIELDS,
    ADOPTION_POLICY,
    DELETION_POLICY,
    NAMESPACE_DELETION_POLICY,
    READ_ONLY,
    REGION,
    Adoption,
    Deletion,
)

if TYPE_CHECKING:
    from kubectl_trainingjob.kubectl import Kubectl


@click.command
@job_argument
@click.option("--delete", "deletes", is_flag=True, help="Delete the object: the operator stops the job.")
@profile_option
@scope_options
def stop(name: str, deletes: bool, profile: str) -> None:
    """Stop the job of a TrainingJob.

    Without --delete: calls StopTrainingJob with your own AWS credentials; the object stays, and shows Stopped.
    With --delete: deletes the object; the operator stops the job with its rights. The record in Kubernetes is lost,
    and an object that GitOps owns comes back: remove it from git first.

    \b
    Examples:
      kubectl trainingjob stop churn
      kubectl trainingjob stop churn --delete
    """
    kubectl, screen = open_kubectl(), get_screen()
    [job] = kubectl.get([name])
    if deletes:
        _refuse_spared(kubectl, job)
        kubectl.delete(job)
        screen.tell(f"{KIND}/{job.name} deletion requested; the object goes after its job has stopped.")
        return
    _stop_by_aws(job, profile)
    screen.tell(f"Stop of {job.arn} requested. Follow it with: kubectl trainingjob wait {job.name}")


def _refuse_spared(kubectl: Kubectl, job: Job) -> None:
    """Refuse a deletion that would leave the job running."""
    if job.outcome.is_final and job.outcome is not Outcome.REFUSED:
        raise CommandError(f"{job.name} has ended already. To delete the object: kubectl delete trainingjob {job.name}")
    of_namespace = kubectl.read_namespace(job.namespace).get(NAMESPACE_DELETION_POLICY, Deletion.DELETE.value)
    policy = job.annotations.get(DELETION_POLICY, of_namespace)
    if job.is_read_only or policy != Deletion.DELETE.value:
        why = READ_ONLY if job.is_read_only else f"{DELETION_POLICY}: {policy}"
        raise CommandError(f"Deletion would not stop the job of {job.name} ({why}). Use stop without --delete.")


def _stop_by_aws(job: Job, profile: str) -> None:
    identity = job.identity
    if identity is None:
        raise CommandError(
            f"{job.name} has no training job. Withdraw it with: kubectl trainingjob stop {job.name} --delete"
        )
    if job.outcome.is_final:
        raise CommandError(f"{job.name} has ended already.")
    if job.is_read_only or job.is_unproven:
        raise CommandError(f"{job.name} does not own {job.arn}. Stop that job where it was started.")
    try:
        account = open_account(identity, profile)
        account.check_account()
        account.stop_job(job.job_name)
    except NoCredentials as error:
        advice = f"Without AWS access: kubectl trainingjob stop {job.name} --delete lets the operator stop the job."
        raise CommandError(f"{error} {advice}") from error


@click.command
@job_argument
@click.option("--job", "job_name", help="Name of the job in SageMaker; by default the name of the object.")
@click.option("--region", help="Region of the job; by default that of the namespace or of the operator.")
@click.option("--from-cluster", help="ID of the cluster whose object the job was created for; the operator names it.")
@click.option("--read-only", is_flag=True, help="Only show the job: never change or stop it.")
@output_option("json", "yaml", "name")
@scope_options
def adopt(
    name: str, job_name: str | None, region: str | None, from_cluster: str | None, read_only: bool, output: str | None
) -> None:
    """Manage an existing training job by a TrainingJob.

    Creates an object without a spec, or sets the annotations for adoption on the object if there is one (after
    NameClash or OwnershipUnproven). Deletion of the object then stops the job, except with --read-only.

    \b
    Examples:
      kubectl trainingjob adopt churn --job churn-2026-11-02
      kubectl trainingjob adopt churn --read-only
    """
    kubectl, screen = open_kubectl(), get_screen()
    if not is_job_name(job_name or name):
        raise CommandError(f"{job_name or name} is not the name of a training job. Name it with --job.")
    wanted = {READ_ONLY: "true"} if read_only else {ADOPTION_POLICY: Adoption.ADOPT.value}
    wanted |= {key: value for key, value in ((REGION, region), (ADOPT_FROM_CLUSTER, from_cluster)) if value}
    try:
        [existing] = kubectl.get([name])
    except NotFound:
        job = _create_adopting(kubectl, name, job_name or name, wanted)
    else:
        if job_name and job_name != existing.job_name:
            raise CommandError(f"{name} is the object of job {existing.job_name}. Choose another name for the object.")
        job = kubectl.annotate(existing, wanted)
    if output:
        show_objects([job], output, values=False, is_list=False)
    else:
        screen.tell(
            f"{KIND}/{job.name} requests the job {job_name or job.job_name or name}. "
            f"See the answer with: kubectl trainingjob why {job.name}"
        )


def _create_adopting(kubectl: Kubectl, name: str, job_name: str, annotations: dict[str, str]) -> Job:
    fields = json.dumps({"trainingJobName": job_name})
    return kubectl.create(
        {
            "apiVersion": "sagemaker.services.k8s.aws/v1alpha1",
            "kind": "TrainingJob",
            "metadata": {"name": name, "annotations": {**annotations, ADOPTION_FIELDS: fields}},
        }
    )


@click.command
@job_argument
@click.argument("new_name", required=False)
@output_option("json", "yaml", "name")
@scope_options
def retry(name: str, new_name: str | None, output: str | None) -> None:
    """Run the spec of a TrainingJob again under a new name.

    SageMaker never runs a name twice. Without NEW_NAME: NAME-r2, NAME-r3, …. Labels and policies are kept, except
    those by which Argo CD, Flux or Helm find their objects.

    \b
    Examples:
      kubectl trainingjob retry churn
      kubectl trainingjob retry churn churn-more-memory
    """
    kubectl, screen = open_kubectl(), get_screen()
    [job] = kubectl.get([name])
    if not job.spec.get("algorithmSpecification"):
        raise CommandError(f"{name} has no spec of its own: it only names a job that somebody else started.")
    if new_name is None:
        taken = [each for other in kubectl.inside(job.namespace).list_jobs() for each in (other.name, other.job_name)]
        new_name = propose_name(name, taken)
    if not is_job_name(new_name):
        raise CommandError(f"{new_name} is no name of a training job: use at most 63 letters, digits and hyphens.")
    created = kubectl.create(make_successor(job.body, new_name))
    if output:
        show_objects([created], output, values=False, is_list=False)
    else:
        screen.tell(f"{KIND}/{created.name} created. Follow it with: kubectl trainingjob logs -f {created.name}")
