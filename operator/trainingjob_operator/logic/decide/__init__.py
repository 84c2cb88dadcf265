"""Next step for one object: a pure function from its known state to one step.

The reconciler executes the step, records the outcome in `Memory` and calls decide() again until it returns
`WriteStatus` or `Idle`. Each room is a module with an ordered tuple of rules; the first rule with a step decides.

    phases.py ── which phase the object is in
       ├─ deletion.py ── retain / ended / not ours ──► RemoveFinalizer; a running job ──► Stop once, wait for its end
       ├─ following.py ── an ARN of ours: something changed ──► Describe ──► WriteStatus; ended ──► RemoveFinalizer
       │     ├─ edits.py ── ReadTags, SetTags, Update
       │     ├─ aftermath.py ── changes of a job after its end
       │     ├─ succession.py ── a failure of the service ──► WriteStatus (next attempt)
       │     └─ absence.py ── NotFound twice ──► WriteStatus (vanished)
       └─ creation.py ── no ARN of ours yet: JoinQueue ──► RecordIntent ──► Create
             ├─ attempts.py ── an unsettled attempt ──► Describe ──► TakeOwnership or ClearIntent
             ├─ adoption.py ── adopt, read-only ──► Describe ──► TakeOwnership
             ├─ refusals.py ── invalid annotation, invalid spec ──► WriteStatus (Terminal)
             ├─ turns.py ── waits before and in the create queue
             └─ claims.py ── name in use? ──► TakeOwnership or WriteStatus (Terminal)

    evidence.py (whose job is it), advisories.py and retries.py serve several of these.

Not here: the execution of a step (reconciler) and the conversion of `WriteStatus` to conditions (logic/status/).
"""
