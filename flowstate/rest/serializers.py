"""What is shown of runs and their steps: no undo records, no keys, no tracebacks, no classes of errors."""

from __future__ import annotations

import logging
from typing import Any

from django.contrib.contenttypes.models import ContentType
from rest_framework import serializers

from flowstate.actions import find_action
from flowstate.exceptions import WorkflowUnknown
from flowstate.models import Run, RunStatus, StepRun, StepStatus
from flowstate.models.values import decode, masked
from flowstate.rest.errors import public_error
from flowstate.rest.values import plain

logger = logging.getLogger("flowstate.rest")


class StrictSerializer(serializers.Serializer[Any]):
    """Refuses fields that it does not declare, so that a misspelt one is not silently without effect."""

    def to_internal_value(self, data: Any) -> Any:
        """Return the validated values. Raises ValidationError naming each unknown field."""
        values = super().to_internal_value(data)
        unknown = [name for name in data if name not in self.fields]
        if unknown:
            raise serializers.ValidationError({name: ["Unknown field."] for name in unknown})
        return values


class CancelSerializer(StrictSerializer):
    """What one may say when cancelling a run."""

    reason = serializers.CharField(required=False, allow_blank=True, default="", max_length=500)


class RetrySerializer(StrictSerializer):
    """Retrying takes no input: the run keeps the one it was started with."""


class WaiveSerializer(StrictSerializer):
    """Which step stays as it is, and why."""

    step = serializers.CharField(max_length=100)
    reason = serializers.CharField(max_length=500)


class ForceSerializer(StrictSerializer):
    """Which step is undone over what somebody else wrote, and perhaps why."""

    step = serializers.CharField(max_length=100)
    reason = serializers.CharField(required=False, allow_blank=True, default="", max_length=500)


class StepRunSerializer(serializers.ModelSerializer[StepRun]):
    """One step of a run."""

    attempts = serializers.SerializerMethodField()
    error = serializers.SerializerMethodField()
    result = serializers.SerializerMethodField()
    compensation_error = serializers.SerializerMethodField()
    duration = serializers.FloatField(read_only=True, allow_null=True, help_text="Seconds.")

    child = serializers.UUIDField(
        source="child_id", read_only=True, allow_null=True, help_text="The run that works for the step."
    )
    undone_by = serializers.UUIDField(
        source="undone_by_id", read_only=True, allow_null=True, help_text="The run that undoes the child."
    )

    class Meta:
        model = StepRun
        fields = (
            "name",
            "kind",
            "status",
            "reason",
            "optional",
            "depends_on",
            "attempts",
            "started_at",
            "ended_at",
            "duration",
            "result",
            "error",
            "compensation",
            "compensation_error",
            "compensation_started_at",
            "compensation_ended_at",
            "child",
            "undone_by",
        )
        read_only_fields = fields

    def get_attempts(self, step: StepRun) -> int:
        """How often the step was tried, lost workers included."""
        ongoing = step.status in {StepStatus.RUNNING, StepStatus.DONE}
        return step.failures + step.lost + ongoing

    def get_error(self, step: StepRun) -> dict[str, str] | None:
        """Code and detail of what failed the step."""
        return None if step.error is None else public_error(step.error, step.name)

    def get_result(self, step: StepRun) -> Any:
        """What the step returned, if it is done."""
        return plain(step.result_json)

    def get_compensation_error(self, step: StepRun) -> dict[str, str] | None:
        """Code and detail of what failed the step's undoing."""
        error = step.compensation_error
        return None if error is None else public_error(error, step.name)


class RunSerializer(serializers.ModelSerializer[Run]):
    """A run as it is listed. Needs its steps, so read them along: `Run.objects.with_steps()`."""

    entity = serializers.SerializerMethodField()
    requested_by = serializers.CharField(source="requested_by_label", read_only=True)
    error = serializers.SerializerMethodField()
    compensated_steps = serializers.ListField(child=serializers.CharField(), read_only=True)
    finished = serializers.BooleanField(read_only=True)
    success = serializers.BooleanField(read_only=True)
    progress = serializers.IntegerField(read_only=True, help_text="Percent of the steps that have settled.")
    duration = serializers.FloatField(read_only=True, allow_null=True, help_text="Seconds.")
    retry_of = serializers.UUIDField(source="retry_of_id", read_only=True, allow_null=True)
    undo_of = serializers.UUIDField(
        source="undo_of_id", read_only=True, allow_null=True, help_text="The child run that this one undoes."
    )

    class Meta:
        model = Run
        fields: tuple[str, ...] = (
            "id",
            "action",
            "workflow",
            "version",
            "entity",
            "status",
            "waiting_for",
            "finished",
            "success",
            "progress",
            "error",
            "failed_step",
            "compensated_steps",
            "requested_by",
            "started_at",
            "ended_at",
            "duration",
            "retry_of",
            "parent",
            "parent_step",
            "undo_of",
        )
        read_only_fields = fields

    def get_entity(self, run: Run) -> dict[str, str] | None:
        """Model and key of the row that the run works on."""
        if run.content_type_id is None:
            return None
        content_type = ContentType.objects.get_for_id(run.content_type_id)  # cached by Django
        return {"model": f"{content_type.app_label}.{content_type.model}", "pk": run.object_id}

    def get_error(self, run: Run) -> dict[str, str] | None:
        """Code and detail of what failed the run."""
        return None if run.error is None else public_error(run.error, run.failed_step)


class RunDetailSerializer(RunSerializer):
    """A run with its value and its steps."""

    value = serializers.SerializerMethodField("shown_value")
    steps = StepRunSerializer(many=True, read_only=True)

    class Meta(RunSerializer.Meta):
        fields = (*RunSerializer.Meta.fields, "value", "steps")
        read_only_fields = fields

    def shown_value(self, run: Run) -> Any:
        """What the run came to, in the shape of the action's `output` serializer where it has one."""
        output = _output_serializer(run)
        if output is None or run.status != RunStatus.SUCCEEDED or run.value_json is None:
            return plain(run.value_json)
        try:
            value = decode(masked(run.value_json))
            return output(value, many=isinstance(value, list), context=self.context).data
        except Exception:
            # The run has ended well. An error now would read like a failure, and be answered by doing it twice.
            logger.exception("run=%s action=%s value does not fit its output serializer", run.pk, run.action)
            return None


def _output_serializer(run: Run) -> type[serializers.BaseSerializer[Any]] | None:
    try:
        return find_action(run.action).output_serializer if run.action else None
    except (WorkflowUnknown, ImportError):
        # The code has moved on; the run still says what it came to.
        return None
