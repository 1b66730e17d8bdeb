"""Links for mail and chat that lead one person to one approval, and the mails that carry them."""

from __future__ import annotations

from flowstate.links.tokens import approval_link

__all__ = ["approval_link"]
