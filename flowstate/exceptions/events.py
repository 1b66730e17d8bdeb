"""The errors of events from outside: those that cannot be kept, and those that nobody may send."""

from __future__ import annotations

from flowstate.exceptions import FlowstateError


class EventInvalid(FlowstateError, ValueError):
    """An event's name, key, id or payload cannot be stored; the message says which and what it may be."""

    code = "event_invalid"
    status_code = 400


class InboxFull(FlowstateError):
    """Nobody waits for so many events of this name and key that no more are kept."""

    code = "inbox_full"
    status_code = 429


class EventSignatureInvalid(FlowstateError):
    """The signature or the timestamp of a sent event is missing, wrong or too old, or nobody may send it."""

    code = "event_signature_invalid"
    status_code = 403


class EventReplayed(FlowstateError):
    """This very request was received before; to send an event again, sign it anew under the same id."""

    code = "event_replayed"
    status_code = 409


class EventTokenUnknown(FlowstateError, LookupError):
    """No step of a run has given out this token."""

    code = "event_token_unknown"
    status_code = 404


class EventTokenSpent(FlowstateError):
    """The token was used already, or its step waits for nothing any more."""

    code = "event_token_spent"
    status_code = 410
