"""What is shown of approvals over HTTP, and what people send who decide."""

from __future__ import annotations

from typing import Any

from django.contrib.contenttypes.models import ContentType
from rest_framework import serializers
from rest_framework.metadata import SimpleMetadata

from flowstate.engine.approvals.inbox import standing_of
from flowstate.engine.approvals.judge import Voice
from flowstate.engine.loading import workflow_step
from flowstate.models import Approval, Vote
from flowstate.rest.serializers import StrictSerializer
from flowstate.rest.values import plain
from flowstate.workflows.approvals import ApprovalStep


class ApproveSerializer(StrictSerializer):
    """What goes with a yes: `form` as the step asks for it, and the `digest` of what one was shown."""

    comment = serializers.CharField(required=False, allow_blank=True, default="")
    form = serializers.JSONField(required=False, default=None)
    digest = serializers.CharField(required=False, allow_blank=True, default="", max_length=64)


class RejectSerializer(StrictSerializer):
    """What goes with a no; that a reason is missing the engine says, and the history keeps it."""

    reason = serializers.CharField(required=False, allow_blank=True, default="")
    digest = serializers.CharField(required=False, allow_blank=True, default="", max_length=64)


class ReassignSerializer(StrictSerializer):
    """To whom the decision passes, instead of whom (oneself by default), by their names, and why."""

    to = serializers.CharField(max_length=254)
    instead_of = serializers.CharField(required=False, allow_blank=True, default="", max_length=254)
    reason = serializers.CharField(required=False, allow_blank=True, default="", max_length=500)


class VoteSerializer(serializers.ModelSerializer[Vote]):
    """What one person said."""

    who = serializers.CharField(source="user_label", read_only=True)
    instead_of = serializers.SerializerMethodField()
    vote = serializers.CharField(source="ballot", read_only=True)

    class Meta:
        model = Vote
        fields = ("who", "instead_of", "vote", "comment", "at")
        read_only_fields = fields

    def get_instead_of(self, vote: Vote) -> str | None:
        """Name the person whose right to decide was used, where it was not their own."""
        return None if vote.voice_id == vote.user_id else vote.voice_label


class ApprovalSerializer(serializers.ModelSerializer[Approval]):
    """An approval as it is listed. Needs its run, and its votes prefetched."""

    run = serializers.UUIDField(source="run_id", read_only=True)
    action = serializers.CharField(source="run.action", read_only=True)
    workflow = serializers.CharField(source="run.workflow", read_only=True)
    entity = serializers.SerializerMethodField()
    requested_by = serializers.CharField(source="run.requested_by_label", read_only=True)
    shown = serializers.SerializerMethodField()
    votes = VoteSerializer(source="counting_votes", many=True, read_only=True)
    decided_by = serializers.CharField(source="decided_by_label", read_only=True)

    class Meta:
        model = Approval
        fields: tuple[str, ...] = (
            "id",
            "run",
            "step",
            "action",
            "workflow",
            "entity",
            "requested_by",
            "status",
            "shown",
            "digest",
            "quorum",
            "votes",
            "opened_at",
            "expires_at",
            "escalated_at",
            "decided_at",
            "decided_by",
        )
        read_only_fields = fields

    def get_entity(self, approval: Approval) -> dict[str, str] | None:
        """Model and key of the row that the run works on."""
        run = approval.run
        if run.content_type_id is None:
            return None
        content_type = ContentType.objects.get_for_id(run.content_type_id)  # cached by Django
        return {"model": f"{content_type.app_label}.{content_type.model}", "pk": run.object_id}

    def get_shown(self, approval: Approval) -> list[dict[str, Any]]:
        """What the decision is about, in its order: name, label, text for people, value for programs."""
        texts = approval.shown_texts
        return [
            {**text, "value": plain(item["value"])}
            for text, item in zip(texts, approval.shown_json, strict=True)
        ]


class ApprovalDetailSerializer(ApprovalSerializer):
    """An approval, with whether the one who asks may vote now, and the fields of the form that goes with a yes."""

    may_decide = serializers.SerializerMethodField()
    form = serializers.SerializerMethodField()

    class Meta(ApprovalSerializer.Meta):
        fields = (*ApprovalSerializer.Meta.fields, "may_decide", "form")
        read_only_fields = fields

    def get_may_decide(self, approval: Approval) -> bool:
        """Whether the one who asks may vote now; it is judged again when they do."""
        return approval.pending and isinstance(standing_of(self.context["request"].user, approval), Voice)

    def get_form(self, approval: Approval) -> dict[str, Any] | None:
        """The fields of what the approver fills in, as OPTIONS describes fields; null where there is nothing."""
        step = workflow_step(approval.run, approval.step)
        if not isinstance(step, ApprovalStep) or step.form is None:
            return None
        described: dict[str, Any] = SimpleMetadata().get_serializer_info(step.form(context=self.context))
        return described
