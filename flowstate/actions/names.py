"""Names of actions: which ones would collide with Python, with a DRF viewset or with `order.actions` itself."""

from __future__ import annotations

import keyword

from flowstate.exceptions import DeclarationInvalid

MAX_LENGTH = 60

VIEWSET_ACTIONS = frozenset({"list", "create", "retrieve", "update", "partial_update", "destroy"})

# Written down because importing DRF needs the app registry, which is not there when models are imported.
# A test compares this with the DRF that is installed.
VIEWSET_ATTRIBUTES = frozenset(
    """
    action action_map allowed_methods args as_view authentication_classes basename check_object_permissions
    check_permissions check_throttles content_negotiation_class default_response_headers delete description
    detail determine_version dispatch filter_backends filter_queryset finalize_response format_kwarg get
    get_authenticate_header get_authenticators get_content_negotiator get_exception_handler
    get_exception_handler_context get_extra_action_url_map get_extra_actions get_format_suffix get_object
    get_paginated_response get_parser_context get_parsers get_permissions get_queryset get_renderer_context
    get_renderers get_serializer get_serializer_class get_serializer_context get_success_headers get_throttles
    get_view_description get_view_name handle_exception head headers http_method_names http_method_not_allowed
    initial initialize_request kwargs lookup_field lookup_url_kwarg metadata_class name options
    paginate_queryset pagination_class paginator parser_classes patch perform_authentication
    perform_content_negotiation perform_create perform_destroy perform_update permission_classes
    permission_denied post put queryset raise_uncaught_exception renderer_classes request response
    reverse_action schema serializer_class settings setup suffix throttle_classes throttled trace
    versioning_class view_is_async
    """.split()  # noqa: SIM905 - names in a paragraph, not ninety lines
)

# What `order.actions` offers itself.
OWN = frozenset({"available", "names"})


def check_name(name: str) -> None:
    """Raise DeclarationInvalid, saying with what it collides, for a name that no action can have."""
    problem = _problem(name)
    if problem:
        message = f"An action cannot be named {name!r}: {problem}."
        raise DeclarationInvalid(message)


def _problem(name: str) -> str:
    if not name.isidentifier() or keyword.iskeyword(name) or name.startswith("_"):
        return "it must be a Python name without an underscore in front"
    if len(name) > MAX_LENGTH:
        return f"it is longer than {MAX_LENGTH} characters"
    if name in VIEWSET_ACTIONS:
        return "DRF's viewsets have an action of that name"
    if name in VIEWSET_ATTRIBUTES:
        return "DRF's viewsets have an attribute of that name"
    if name in OWN:
        return f"`order.actions.{name}` is something else"
    return ""
