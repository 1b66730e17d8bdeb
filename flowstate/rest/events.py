"""Events over HTTP: sent by other programs under a signature, or by whoever was given a step's token."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, NoReturn

from rest_framework import serializers, status
from rest_framework.exceptions import ParseError, UnsupportedMediaType
from rest_framework.parsers import JSONParser
from rest_framework.permissions import AllowAny
from rest_framework.response import Response
from rest_framework.views import APIView

from flowstate.engine.events import deliver_by_token, deliver_event
from flowstate.rest.errors import ErrorAnswers
from flowstate.rest.event_signatures import SIGNATURE, TIMESTAMP, verified
from flowstate.rest.transactions import outside_transactions

if TYPE_CHECKING:
    from rest_framework.request import Request


class EventSerializer(serializers.Serializer[Any]):
    """What a sender says of an event."""

    key = serializers.CharField(
        max_length=255, help_text="Which runs it is for: those that wait for this key."
    )
    payload = serializers.JSONField(
        required=False, default=None, help_text="The result of the step that waits."
    )
    id = serializers.CharField(
        max_length=255, required=False, help_text="Two events of one name and id count once."
    )
    once = serializers.BooleanField(
        required=False, default=False, help_text="Only the oldest run that waits gets it."
    )


class _EventView(ErrorAnswers, APIView):
    """The secret in the request is all that counts: no session is asked, so no CSRF token either."""

    authentication_classes = ()
    permission_classes = (AllowAny,)
    parser_classes = (JSONParser,)

    @classmethod
    def as_view(cls, **initkwargs: Any) -> Any:
        """Return the view function, without a transaction around it."""
        return outside_transactions(super().as_view(**initkwargs))


class EventView(_EventView):
    """`POST events/{name}/`: deliver an event, signed by a secret of FLOWSTATE["EVENT_SECRETS"].

    202 when it was stored; 200 and `Idempotency-Replayed: true` for an `id` that is known already.
    """

    serializer_class = EventSerializer

    def post(self, request: Request, name: str) -> Response:
        """Check who sends it, then what it says, and deliver it."""
        body: bytes = request.body
        signature = verified(
            name,
            body,
            timestamp=request.headers.get(TIMESTAMP, ""),
            signature=request.headers.get(SIGNATURE, ""),
        )
        said = _object(body)
        _refuse_unknown(said)
        event = EventSerializer(data=said)
        event.is_valid(raise_exception=True)
        given = event.validated_data
        stored = deliver_event(
            name,
            given["key"],
            given["payload"],
            event_id=given.get("id"),
            once=given["once"],
            signature=signature,
        )
        if stored.replayed:
            return Response({"event": name, "key": given["key"]}, headers={"Idempotency-Replayed": "true"})
        return Response({"event": name, "key": given["key"]}, status=status.HTTP_202_ACCEPTED)


class EventTokenView(_EventView):
    """`POST events/tokens/{token}/`: bring the step that gave out the token its event; the body is the payload."""

    def post(self, request: Request, token: str) -> Response:
        """Deliver the event, once."""
        body: bytes = request.body
        if body and request.content_type.partition(";")[0].strip().lower() != JSONParser.media_type:
            raise UnsupportedMediaType(request.content_type)
        event = deliver_by_token(token, _parsed(body) if body.strip() else None)
        return Response({"event": event.name}, status=status.HTTP_202_ACCEPTED)


def _object(body: bytes) -> dict[str, Any]:
    said = _parsed(body)
    if isinstance(said, dict):
        return said
    message = "The body is a JSON object with key, payload, id and once."
    raise ParseError(message)


def _refuse_unknown(said: dict[str, Any]) -> None:
    unknown = sorted(said.keys() - EventSerializer().fields.keys())
    if unknown:
        message = f"There is no such field; there are {', '.join(EventSerializer().fields)}."
        raise serializers.ValidationError({name: [message] for name in unknown})


def _parsed(body: bytes) -> Any:
    # Of the very bytes that were signed, strictly: DRF's parser would read the request again.
    try:
        return json.loads(body, parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as err:
        message = f"The body is not JSON: {err}"
        raise ParseError(message) from err


def _refuse_constant(word: str) -> NoReturn:
    message = f"{word} is no JSON"
    raise ValueError(message)
