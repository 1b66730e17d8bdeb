"""The Django app: registers the system checks, the log receivers and the Celery tasks."""

from __future__ import annotations

from django.apps import AppConfig
from django.utils.module_loading import autodiscover_modules
from django.utils.translation import gettext_lazy as _


class FlowstateConfig(AppConfig):
    """Actions on models as durable runs."""

    name = "flowstate"
    label = "flowstate"
    verbose_name = _("Actions and runs")
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        # Late: checks look at models, which are loaded only now.
        from flowstate import checks, logs, redaction  # noqa: PLC0415
        from flowstate.carriers import celery, sweeper  # noqa: F401, PLC0415 - register with Celery
        from flowstate.links import mail  # noqa: PLC0415

        # A workflow under a name of its own is found by being imported, in every process.
        autodiscover_modules("workflows")
        checks.register_all()
        logs.connect()
        redaction.scrub_logs()
        mail.connect()
