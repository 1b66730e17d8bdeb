"""ActionsMixin: a route on the viewset for each action of its model."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any, ClassVar, cast

from rest_framework import serializers
from rest_framework.decorators import action

from flowstate import verbs
from flowstate.actions import actions_of
from flowstate.exceptions import ActionDenied, DeclarationInvalid, IdempotencyKeyRefused
from flowstate.rest.answers import answer
from flowstate.rest.errors import ErrorAnswers
from flowstate.rest.requests import caller_of, input_of, key_of, scope_of
from flowstate.rest.transactions import outside_transactions

if TYPE_CHECKING:
    from collections.abc import Mapping

    from django.db.models import Model
    from rest_framework.request import Request
    from rest_framework.response import Response

    from flowstate.actions import BoundAction


class ActionsMixin(ErrorAnswers):
    """Before a GenericViewSet: `POST /orders/7/checkout/`, `POST /orders/import-orders/`.

    The model is that of `actions_model`, `queryset` or `serializer_class`. The viewset's own permissions,
    `get_queryset` and `get_object` apply first (404 for what one may not see), then the action's rules.
    Answers 200 and the run when it ended well, 202 with `Location` when it goes on, otherwise the error's
    status with `code, detail, failed_step, compensated_steps, run`. `Idempotency-Key` names an attempt.
    """

    actions_model: ClassVar[type[Model] | None] = None

    @classmethod
    def as_view(cls, actions: dict[str, Any] | None = None, **initkwargs: Any) -> Any:
        """Return the view function, as DRF does; routes of actions get no transaction around them."""
        own = cls.model_actions()
        view = super().as_view(actions, **initkwargs)  # type: ignore[misc]
        return outside_transactions(view) if own.keys() & set((actions or {}).values()) else view

    @classmethod
    def get_extra_actions(cls) -> list[Any]:
        """Return the handlers that routers make routes for, those of the model's actions among them."""
        own = cls.model_actions()
        found = super().get_extra_actions()  # type: ignore[misc]
        # A base class with another model hands its routes down; they are not this model's.
        extra = [handler for handler in found if _bound(handler) in (None, own.get(handler.__name__))]
        _refuse_shared_routes(cls, extra)
        return extra

    @classmethod
    def model_actions(cls) -> Mapping[str, BoundAction]:
        """Return the actions that this viewset has routes for, by name, each with its handler in place."""
        own = actions_of(_model_of(cls))
        for name, bound in own.items():
            present = _bound(getattr(cls, name, None))
            if hasattr(cls, name) and present is None:
                message = (
                    f"{cls.__name__}.{name} stands where the action {bound.key} has its route: rename one."
                )
                raise DeclarationInvalid(message)
            if present != bound:
                setattr(cls, name, _handler(bound))
        return own

    def get_serializer_class(self) -> type[serializers.BaseSerializer[Any]]:
        """Return the input serializer on the routes of actions, for the browsable API and OPTIONS."""
        bound = self._bound_route()
        if bound is None:
            found: type[serializers.BaseSerializer[Any]] = super().get_serializer_class()  # type: ignore[misc]
            return found
        return bound.input_serializer or serializers.Serializer

    def run_action(self, bound: BoundAction, request: Request) -> Response:
        """Run an action for this request and answer with what came of it."""
        entity = self.get_object() if bound.action.detail else None  # type: ignore[attr-defined]
        target = bound if entity is None else bound.bind(entity)
        user, key = caller_of(request), key_of(request)
        try:
            run = verbs.start(
                workflow=bound.workflow,
                action=target,
                entity=entity,
                user=user,
                input=input_of(request),
                idempotency_key=key,
                inline=True,
                scope=scope_of(request) if key is not None else "",
            )
        except (ActionDenied, IdempotencyKeyRefused) as refusal:
            # A key that cannot be used is no reason to answer somebody who may not do it anyway with less.
            if isinstance(refusal, ActionDenied) or not target.allows(user):
                self.permission_denied(request)  # type: ignore[attr-defined]
            raise
        return answer(run, self)

    def _bound_route(self) -> BoundAction | None:
        # Also in OPTIONS and for the forms of the browsable API, where DRF sets another `action` or none.
        names = set(getattr(self, "action_map", {}).values())
        own = type(self).model_actions()
        return next((bound for name, bound in own.items() if name in names), None)


def _model_of(viewset: Any) -> type[Model]:
    meta = getattr(getattr(viewset, "serializer_class", None), "Meta", None)
    queryset = getattr(viewset, "queryset", None)
    for model in (viewset.actions_model, getattr(queryset, "model", None), getattr(meta, "model", None)):
        if model is not None:
            return cast("type[Model]", model)
    message = (
        f"{viewset.__name__} uses ActionsMixin without a model: set queryset, a serializer_class with Meta.model, "
        "or actions_model."
    )
    raise DeclarationInvalid(message)


def _bound(handler: Any) -> BoundAction | None:
    return getattr(handler, "bound_action", None)


def _handler(bound: BoundAction) -> Any:
    def handler(self: ActionsMixin, request: Request, *args: Any, **kwargs: Any) -> Response:
        return self.run_action(bound, request)

    handler.__name__ = handler.__qualname__ = bound.name
    handler.__doc__ = bound.action.summary or None
    handler.bound_action = bound  # type: ignore[attr-defined]
    # DRF's own decorator, so that routers, OPTIONS, the browsable API and schema generators see what they know.
    route = action(
        methods=cast("Any", bound.action.methods),
        detail=bound.action.detail,
        url_path=bound.path,
        url_name=bound.name.replace("_", "-"),
    )
    return route(handler)


def _refuse_shared_routes(viewset: type, handlers: list[Any]) -> None:
    counted = Counter((handler.detail, handler.url_path) for handler in handlers)
    for handler in handlers:
        if _bound(handler) is not None and counted[handler.detail, handler.url_path] > 1:
            message = (
                f"{viewset.__name__} has more than one route {handler.url_path!r}, and only the first would be "
                f"found: give {handler.bound_action.key} another path=."
            )
            raise DeclarationInvalid(message)
