"""Jobs older than their objects: adopted, or only read; never created twice, never changed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.e2e.objects import training_job

if TYPE_CHECKING:
    from tests.e2e.conftest import NewOperator, Shared
    from tests.e2e.objects import Body, Jobs
    from tests.sagemaker.stand_in import StandIn

FINALIZER = "finalizers.sagemaker.services.k8s.aws/TrainingJob"
POLICY = "services.k8s.aws/adoption-policy"
FIELDS = "services.k8s.aws/adoption-fields"
ADOPTED = "services.k8s.aws/adopted"
READ_ONLY = "services.k8s.aws/read-only"
REQUEST = "services.k8s.aws/reconcile-requested-at"
CHANGING = ("CreateTrainingJob", "UpdateTrainingJob", "AddTags", "DeleteTags")


def by_name(name: str, job: str, policy: str = "adopt") -> Body:
    """An object without a spec that names its job in an annotation alone."""
    body = training_job(name, annotations={POLICY: policy, FIELDS: f'{{"trainingJobName": "{job}"}}'})
    del body["spec"]
    return body


def make_job(shared: Shared, name: str, status: str = "Training", **request: object) -> str:
    arn = shared.sagemaker.create_job(name, **request)
    shared.sagemaker.enter(name, status)
    return arn


def calls(shared: Shared, job: str) -> list[str]:
    """The operator's calls for the job; the record omits the test's own console commands."""
    return [call["operation"] for call in shared.sagemaker.calls(job=job)]


def test_an_annotation_with_a_name_adopts_a_running_job_and_no_spec_is_written(shared: Shared) -> None:
    arn = make_job(shared, "named")
    shared.jobs.apply(by_name("by-name", "named"))
    condition = shared.jobs.wait_condition("by-name", "ACK.Adopted")
    assert condition["reason"] == "Adopted"
    body = shared.jobs.wait("by-name", "is followed", lambda body: body["status"].get("secondaryStatus") == "Training")
    assert "spec" not in body
    assert body["metadata"]["finalizers"] == [FINALIZER]
    assert body["status"]["ackResourceMetadata"]["arn"] == arn
    assert "ACK.Advisory" not in [one["type"] for one in body["status"]["conditions"]]
    shared.sagemaker.complete_job("named")
    shared.jobs.wait_condition("by-name", "Complete")
    body = shared.jobs.wait("by-name", "loses its finalizer", lambda body: "finalizers" not in body["metadata"])
    assert "spec" not in body
    assert set(calls(shared, "named")) == {"DescribeTrainingJob", "ListTags"}
    assert calls(shared, "named").count("ListTags") == 1


def test_an_adopted_job_is_stopped_with_its_object(shared: Shared) -> None:
    shared.sagemaker.plan("to-stop", stop_seconds=0.2)
    make_job(shared, "to-stop")
    shared.jobs.apply(by_name("to-stop", "to-stop"))
    shared.jobs.wait_condition("to-stop", "ACK.Adopted")
    shared.jobs.delete("to-stop")
    shared.jobs.wait_gone("to-stop")
    assert calls(shared, "to-stop").count("StopTrainingJob") == 1


def test_a_different_spec_is_reported_by_its_fields_and_the_job_is_not_changed(shared: Shared) -> None:
    make_job(shared, "differs", HyperParameters={"eta": "0.2"}, ResourceConfig={
        "InstanceType": "ml.m5.large", "InstanceCount": 1, "VolumeSizeInGB": 5, "KeepAlivePeriodInSeconds": 60,
    })  # fmt: skip
    resources = {"instanceType": "ml.m5.large", "instanceCount": 2, "volumeSizeInGB": 5, "keepAlivePeriodInSeconds": 90}
    body = training_job(
        "differs",
        annotations={POLICY: "adopt"},
        hyperParameters={"eta": "0.3"},
        resourceConfig=resources,
        tags=[{"key": "team", "value": "ml"}],
    )
    shared.jobs.apply(body)
    reported = shared.jobs.wait_condition("differs", "ACK.Advisory")
    assert reported["reason"] == "SpecDiffers"
    for path in ("hyperParameters", "resourceConfig.instanceCount", "resourceConfig.keepAlivePeriodInSeconds"):
        assert f"spec.{path}" in reported["message"]
    assert "0.3" not in reported["message"]
    assert shared.jobs.condition("differs", "ACK.Adopted")["status"] == "True"
    shared.sagemaker.complete_job("differs")
    shared.jobs.wait_condition("differs", "Complete")
    assert shared.jobs.condition("differs", "ACK.Advisory")["reason"] == "SpecDiffers"
    assert not set(calls(shared, "differs")) & set(CHANGING)


def test_a_job_with_an_equal_spec_is_adopted_without_an_advisory(shared: Shared) -> None:
    make_job(shared, "same")
    shared.jobs.apply(training_job("same", annotations={POLICY: "adopt"}))
    shared.jobs.wait_condition("same", "ACK.Adopted")
    body = shared.jobs.wait("same", "is followed", lambda body: body["status"].get("secondaryStatus") == "Training")
    assert "ACK.Advisory" not in [one["type"] for one in body["status"]["conditions"]]


def test_an_ended_job_is_adopted_with_its_outcome(shared: Shared) -> None:
    shared.sagemaker.create_job("ended")
    shared.sagemaker.fail_job("ended")
    shared.jobs.apply(by_name("ended", "ended"))
    assert shared.jobs.wait_condition("ended", "Failed")["reason"] == "JobFailed"
    body = shared.jobs.get("ended")
    assert body is not None
    assert "finalizers" not in body["metadata"]


def test_adopt_or_create_adopts_an_existing_job_and_creates_a_missing_one_once(shared: Shared) -> None:
    make_job(shared, "there")
    shared.sagemaker.plan("not-there", outcome="Running", seconds=1)
    annotations = {POLICY: "adopt-or-create"}
    shared.jobs.apply(
        training_job("there", annotations=annotations), training_job("not-there", annotations=annotations)
    )
    shared.jobs.wait_condition("there", "ACK.Adopted")
    shared.jobs.wait("not-there", "trains", lambda body: body["status"].get("secondaryStatus") == "Training")
    shared.operator.restart()
    for name in ("there", "not-there"):
        shared.sagemaker.complete_job(name)
        shared.jobs.wait_condition(name, "Complete")
    assert calls(shared, "there").count("CreateTrainingJob") == 0
    assert calls(shared, "not-there").count("CreateTrainingJob") == 1


def test_a_missing_job_is_reported_and_adopted_once_it_exists(shared: Shared) -> None:
    shared.jobs.apply(
        by_name("no-job", "missing"),
        training_job("missing-too", annotations={ADOPTED: "true"}),
        training_job("missing-three", annotations={READ_ONLY: "true"}),
    )
    for name, job in (("no-job", "missing"), ("missing-too", "missing-too"), ("missing-three", "missing-three")):
        reported = shared.jobs.wait_condition(name, "ACK.Terminal")
        assert reported["reason"] == "JobNotFound"
        assert f"/{job} " in reported["message"]
        assert shared.jobs.condition(name, "Stalled")["status"] == "True"
    earlier = len(calls(shared, "missing"))
    make_job(shared, "missing")
    shared.jobs.kubectl("annotate", "trainingjob", "no-job", f"{REQUEST}=1")
    shared.jobs.wait_condition("no-job", "ACK.Adopted")
    assert shared.jobs.condition("no-job", "ACK.Terminal") == {}
    assert len(calls(shared, "missing")) <= earlier + 2
    assert shared.sagemaker.calls("CreateTrainingJob", job="missing") == []
    assert shared.sagemaker.calls("CreateTrainingJob", job="missing-too") == []


def test_a_read_only_object_gets_only_a_status(shared: Shared) -> None:
    make_job(shared, "watched")
    body = training_job("watched", annotations={READ_ONLY: "True"}, hyperParameters={"other": "1"})
    shared.jobs.apply(body)
    shared.jobs.wait("watched", "is followed", lambda body: body["status"].get("secondaryStatus") == "Training")
    shared.sagemaker.complete_job("watched")
    shared.jobs.wait_condition("watched", "Complete")
    found = shared.jobs.get("watched")
    assert found is not None
    assert "finalizers" not in found["metadata"]
    assert found["spec"] == body["spec"]
    make_job(shared, "watched-on")
    shared.jobs.apply(training_job("watched-on", annotations={READ_ONLY: "true"}))
    shared.jobs.wait("watched-on", "is followed", lambda body: body["status"].get("secondaryStatus") == "Training")
    shared.jobs.delete("watched-on")
    shared.jobs.wait_gone("watched-on")
    for name in ("watched", "watched-on"):
        assert set(calls(shared, name)) == {"DescribeTrainingJob"}


def test_one_job_has_one_owner_and_any_number_of_readers(shared: Shared) -> None:
    make_job(shared, "one")
    shared.jobs.apply(by_name("first", "one"))
    shared.jobs.wait_condition("first", "ACK.Adopted")
    reader = training_job("reader", annotations={READ_ONLY: "true"})
    reader["spec"]["trainingJobName"] = "one"
    shared.jobs.apply(by_name("second", "one"), reader)
    reported = shared.jobs.wait_condition("second", "ACK.Terminal")
    assert reported["reason"] == "NameClash"
    assert f"{shared.namespace}/first" in reported["message"]
    shared.jobs.wait("reader", "is followed", lambda body: body["status"].get("secondaryStatus") == "Training")
    shared.jobs.kubectl("delete", "trainingjob", "second", "reader", "--timeout=15s")
    assert "StopTrainingJob" not in calls(shared, "one")


def test_only_the_namespaces_of_the_flag_may_adopt(new_operator: NewOperator, jobs: Jobs, sagemaker: StandIn) -> None:
    operator = new_operator("--adoption-namespaces=elsewhere")
    operator.start()
    sagemaker.create_job("theirs")
    sagemaker.create_job("watched")
    jobs.apply(by_name("theirs", "theirs"), training_job("watched", annotations={READ_ONLY: "true"}))
    for name in ("theirs", "watched"):
        reported = jobs.wait_condition(name, "ACK.Terminal")
        assert reported["reason"] == "InvalidAnnotation"
        assert "--adoption-namespaces" in reported["message"]
        assert "trainingJobStatus" not in jobs.status(name)
        assert sagemaker.calls(job=name) == []
