"""Views whose runs commit step by step, also in a project that wraps each request in a transaction."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.db import connections, transaction

if TYPE_CHECKING:
    from collections.abc import Callable


def outside_transactions(view: Callable[..., Any]) -> Callable[..., Any]:
    """Mark a view so that ATOMIC_REQUESTS leaves it alone, on every database."""
    for alias in connections:
        view = transaction.non_atomic_requests(using=alias)(view)
    return view


class OwnTransactions:
    """Makes all views of a viewset non-atomic: an outer transaction could take a run's journal away."""

    @classmethod
    def as_view(cls, actions: dict[str, Any] | None = None, **initkwargs: Any) -> Any:
        """Return the view function, as DRF does."""
        return outside_transactions(super().as_view(actions, **initkwargs))  # type: ignore[misc]
