"""The errors of approvals: why somebody may not decide, or not any more, and what a step says that was rejected."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from django.core.exceptions import PermissionDenied

from flowstate.exceptions import FlowstateError, StepError


class ApprovalDenied(FlowstateError, PermissionDenied):
    """This person may not decide; `why` says in one word what stands against it.

    "not_allowed", "inactive", "own_request", "stands_in_for_requester" or "no_person".
    """

    code = "approval_denied"
    status_code = 403

    def __init__(self, message: str, why: str = "not_allowed") -> None:
        super().__init__(message, why)
        self.why = why

    def __str__(self) -> str:
        return str(self.args[0])


class AlreadyDecided(FlowstateError):
    """The approval was decided before, or is over with its run; `outcome` says how."""

    code = "already_decided"
    status_code = 409

    def __init__(self, message: str, outcome: str = "") -> None:
        super().__init__(message, outcome)
        self.outcome = outcome

    def __str__(self) -> str:
        return str(self.args[0])


class AlreadyVoted(FlowstateError):
    """This person has voted, or somebody has for them."""

    code = "already_voted"
    status_code = 409


class ApprovalChanged(FlowstateError):
    """What is shown is not what was shown: look again, and decide then.

    `old` and `new` hold `{"name", "label", "text"}` of what is shown, each in its order; `old` is empty where
    nobody knows what was seen. `digest` is that of what is shown now.
    """

    code = "approval_changed"
    status_code = 409

    def __init__(
        self,
        message: str,
        old: Sequence[Mapping[str, Any]] = (),
        new: Sequence[Mapping[str, Any]] = (),
        digest: str = "",
    ) -> None:
        super().__init__(message, list(old), list(new), digest)
        self.old = [dict(item) for item in old]
        self.new = [dict(item) for item in new]
        self.digest = digest

    def __str__(self) -> str:
        return str(self.args[0])


class ApprovalExpired(FlowstateError):
    """Nobody had decided in time, and the run has gone its way."""

    code = "approval_expired"
    status_code = 410


class ReasonMissing(FlowstateError, ValueError):
    """A rejection says why."""

    code = "reason_missing"
    status_code = 400


class ReassignmentInvalid(FlowstateError, ValueError):
    """The approval cannot be handed to this person, or not by that one."""

    code = "reassignment_invalid"
    status_code = 400


class DelegationInvalid(FlowstateError, ValueError):
    """Nobody can stand in for somebody else like this."""

    code = "delegation_invalid"
    status_code = 400


# --- what a step fails with ------------------------------------------------------------------------


class ApprovalRejected(StepError):
    """Somebody has rejected; the message says who and why."""

    status_code = 409
    default_code = "approval_rejected"


class ApprovalTimeout(ApprovalRejected):
    """Too few people approved in time; the message names step and limit."""

    default_code = "approval_timeout"


class ApproversMissing(StepError):
    """There are fewer people to ask than must approve, or more than one approval asks."""

    status_code = 500
    default_code = "approvers_missing"
