"""Object store: known objects, their claims, and live jobs."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from tests.logic.builders import ACCOUNT, ARN, NAME, NAMESPACE, REGION, UID, WANTED, body, remembered
from trainingjob_operator.aws.gateway import Target
from trainingjob_operator.logic.jobs.observation import Observation
from trainingjob_operator.logic.naming import Identity
from trainingjob_operator.logic.state.outcomes import Described
from trainingjob_operator.object_store import Live, ObjectStore, StoredObject

OWN = "trainingjob-operator"
KEY = (NAMESPACE, NAME)
HERE, THERE = Target(ACCOUNT, REGION), Target(ACCOUNT, "eu-central-1")


def jobs() -> ObjectStore:
    return ObjectStore(OWN)


def seen(tracked: ObjectStore, **members: Any) -> StoredObject:
    found = tracked.see(body(**members), 1.0)
    assert found is not None
    return found


def test_an_object_is_stored_unchanged_except_for_managed_fields() -> None:
    raw = body(held=True)
    raw["metadata"]["managedFields"] = [{"manager": "kubectl"}]
    tracked = jobs().see(raw, 1.0)
    assert tracked is not None
    assert tracked.resource().spec == raw["spec"]
    assert tracked.resource().holds_finalizer
    assert b"kubectl" not in tracked.packed


def test_only_newer_versions_are_stored() -> None:
    known = jobs()
    first = seen(known, version=10)
    assert known.see(body(version=10), 2.0) is None
    assert known.see(body(version=9, held=True), 2.0) is None
    assert not first.resource().holds_finalizer
    assert seen(known, version=11, held=True) is first
    assert first.resource().holds_finalizer
    assert (len(known), known.get(KEY), list(known)) == (1, first, [first])


def test_a_recreated_object_of_the_name_has_new_memory() -> None:
    known = jobs()
    old = seen(known, version=10)
    old.memory = remembered(arn="x")
    known.claim(old, WANTED.slot, is_owner=True)
    known.watch(old, Live(HERE, WANTED, Observation()))
    new = seen(known, version=12, uid="another")
    assert new is not old
    assert new.memory.job.arn is None
    assert known.claimants(WANTED.slot) == []
    assert known.live_targets() == []


def test_a_late_event_about_a_recreated_object_is_ignored() -> None:
    known = jobs()
    new = seen(known, version=12, uid="another")
    assert known.see(body(version=11), 2.0) is None
    assert known.get(KEY) is new


@pytest.mark.parametrize(("known_before", "is_taken"), [(12, True), (11, False), (0, False)])
def test_an_older_state_is_accepted_only_from_an_answer_to_a_later_request(
    known_before: int, *, is_taken: bool
) -> None:
    known = jobs()
    seen(known, version=12, held=True).memory = remembered(arn=ARN)
    assert known.versions() == {KEY: 12}
    restored = known.see(body(version=10), 2.0, known_before=known_before)
    assert (restored is not None) is is_taken
    tracked = known.get(KEY)
    assert tracked is not None
    assert tracked.resource().holds_finalizer is not is_taken
    assert (tracked.memory.job.arn is None) is is_taken, "memory since the backup may be obsolete"


def test_an_object_is_forgotten_only_by_its_uid() -> None:
    known = jobs()
    seen(known)
    assert not known.forget(KEY, "another")
    assert known.forget(KEY, UID)
    assert not known.forget(KEY, UID)
    assert known.get(KEY) is None


def test_the_answer_to_a_write_does_not_restore_a_deleted_object() -> None:
    known = jobs()
    known.see_answer(body(version=10), 1.0)
    assert known.get(KEY) is None
    tracked = seen(known, version=10)
    known.see_answer(body(version=11, held=True), 1.0)
    assert tracked.resource().holds_finalizer


def test_the_object_with_proof_is_the_rival_of_all_others() -> None:
    known = jobs()
    first, second = seen(known, name="a"), seen(known, name="b")
    for tracked, owner in ((first, False), (second, False)):
        known.claim(tracked, WANTED.slot, is_owner=owner)
    assert known.find_rival(first.key, WANTED.slot) is None
    known.claim(second, WANTED.slot, is_owner=True)
    assert known.find_rival(first.key, WANTED.slot) == second.key
    assert known.find_rival(second.key, WANTED.slot) is None
    assert {tracked.key for tracked in known.claimants(WANTED.slot)} == {first.key, second.key}


def test_a_claim_moves_with_the_job_of_the_object() -> None:
    known = jobs()
    tracked = seen(known)
    other = Identity(ACCOUNT, REGION, "other")
    known.claim(tracked, WANTED.slot, is_owner=True)
    known.claim(tracked, other.slot, is_owner=True)
    assert known.claimants(WANTED.slot) == []
    assert known.claimants(other.slot) == [tracked]
    known.claim(tracked, None, is_owner=False)
    assert known.claimants(other.slot) == []


def test_two_objects_may_watch_one_job_and_leave_independently() -> None:
    known = jobs()
    first, second = seen(known, name="a"), seen(known, name="b")
    for tracked in (first, second):
        known.watch(tracked, Live(HERE, WANTED, Observation()))
    assert known.live_jobs(HERE) == {"churn-2026": {first.key, second.key}}
    last_seen = known.last_seen(HERE)
    assert dict(last_seen) == {"churn-2026": Observation()}
    known.watch(first, None)
    assert known.live_jobs(HERE) == {"churn-2026": {second.key}}
    known.forget(second.key, UID)
    assert known.live_targets() == []
    assert known.live_jobs(HERE) == {}
    assert "churn-2026" not in last_seen
    assert len(last_seen) == 0


def test_a_job_with_a_changed_target_is_watched_only_there() -> None:
    known = jobs()
    first, second = seen(known, name="a"), seen(known, name="b")
    other = Identity(ACCOUNT, REGION, "other")
    known.watch(first, Live(HERE, WANTED, Observation()))
    known.watch(second, Live(HERE, other, Observation()))
    known.watch(first, Live(THERE, WANTED, Observation()))
    assert known.live_jobs(HERE) == {"other": {second.key}}
    assert known.live_jobs(THERE) == {"churn-2026": {first.key}}


def test_the_observation_of_a_live_job_is_the_newest_one() -> None:
    known = jobs()
    tracked = seen(known)
    assert not tracked.seen
    reported = Observation({"trainingJobStatus": "InProgress"})
    known.watch(tracked, Live(HERE, WANTED, reported))
    assert tracked.seen is reported
    tracked.note(Described(Observation({"trainingJobStatus": "Stopping"}), 0.0, Observation()))
    assert tracked.seen is tracked.memory.job.observation


@pytest.mark.parametrize("version", ["", "x1", None, 7])
def test_a_non_numeric_resource_version_does_not_hide_a_new_object(version: object) -> None:
    raw = body()
    raw["metadata"]["resourceVersion"] = version
    assert jobs().see(raw, 1.0) is not None


def written(version: int, **by: str) -> dict[str, Any]:
    """Object in this version; `by` has the time of the last status write by field manager."""
    raw = body(version=version)
    raw["metadata"]["managedFields"] = [
        {"manager": OWN, "subresource": "status", "time": "2026-11-21T12:00:00Z"},
        *({"manager": manager, "subresource": "status", "time": at} for manager, at in by.items()),
    ]
    return raw


def test_each_status_write_of_another_writer_is_detected() -> None:
    known = jobs()
    tracked = known.see(written(1, backup="2026-11-21T11:00:00Z", controller="2026-11-21T10:00:00Z"), 1.0)
    assert tracked is not None

    def detected() -> list[object]:
        return [*tracked.memory.rival.foreign_writes, tracked.memory.rival.foreign_writer]

    assert detected() == [""], "the writes may be older than this process"
    known.see(written(2, controller="2026-11-21T10:00:00Z"), 2.0)
    assert detected() == [""], "the operator has overwritten one write, and the other is older"
    known.see(written(3, controller="2026-11-21T10:00:00Z", backup="2026-11-21T12:05:00Z"), 3.0)
    assert detected() == [3.0, "backup"]
    known.see(written(4, controller="2026-11-21T12:04:00Z"), 4.0)
    assert detected() == [3.0, 4.0, "controller"], "with a slow clock"


@pytest.mark.parametrize(("by", "subresource"), [("kubectl", ""), (OWN, "status")])
def test_edits_of_users_and_own_writes_are_not_another_writer(by: str, subresource: str) -> None:
    known = jobs()
    tracked = seen(known)
    raw = body(version=2)
    raw["metadata"]["managedFields"] = [{"manager": by, "subresource": subresource, "time": "2026-11-21T12:05:00Z"}]
    known.see(raw, 2.0)
    assert tracked.memory.rival.foreign_writes == ()


def test_the_newest_modification_of_a_region_is_read_from_the_objects() -> None:
    known = jobs()
    for number, (arn, modified) in enumerate(
        [(ARN, "2026-11-21T10:00:02.5Z"), (ARN, "2026-11-21T10:00:01Z"), (ARN, "soon"), (ARN, None), (None, None)], 1
    ):
        raw = body(name=f"o{number}", uid=str(number))
        raw["status"] = {"lastModifiedTime": modified}
        if arn:
            raw["status"]["ackResourceMetadata"] = {"arn": arn, "ownerAccountID": ACCOUNT, "region": REGION}
        known.see(raw, 1.0)
    assert known.last_modified(ACCOUNT, REGION) == datetime(2026, 11, 21, 10, 0, 2, 500_000, tzinfo=UTC)
    assert known.last_modified(ACCOUNT, "eu-central-1") is None
