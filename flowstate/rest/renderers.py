"""How a diagram is sent to who asks for Mermaid rather than JSON."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rest_framework.renderers import BaseRenderer


class MermaidRenderer(BaseRenderer):
    """Sends the text alone, as `curl -H 'Accept: text/vnd.mermaid'` wants it for a file."""

    media_type = "text/vnd.mermaid"
    format = "mermaid"
    charset = "utf-8"

    def render(
        self,
        data: Any,
        accepted_media_type: str | None = None,
        renderer_context: Mapping[str, Any] | None = None,
    ) -> str:
        """Return the text of the diagram; what is no diagram is an error, and said as a comment."""
        if "mermaid" in data:
            return str(data["mermaid"])
        return f"%% {' '.join(str(data.get('detail', '')).split())}\n"
