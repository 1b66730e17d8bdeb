"""The form of an action's input: a fitting widget for each field, and what it hands to the serializer."""

from __future__ import annotations

import enum
from datetime import UTC, date, datetime
from typing import Any

import pytest
from pytest_django import Settings

from django.contrib.auth.models import Group
from rest_framework import serializers

from flowstate.admin import forms
from flowstate.admin.forms import ActionForm


def form_of(
    data: dict[str, Any] | None = None, **fields: serializers.Field[Any, Any, Any, Any]
) -> ActionForm:
    serializer: Any = type("Input", (serializers.Serializer,), fields)
    sent = None if data is None else {f"input-{name}": value for name, value in data.items()}
    return ActionForm(serializer(), sent)


def given(data: dict[str, Any], **fields: Any) -> dict[str, Any] | None:
    form = form_of(data, **fields)
    assert form.is_valid(), form.errors
    return form.given()


class Colour(enum.StrEnum):
    RED = "red"


@pytest.mark.parametrize(
    ("field", "html"),
    [
        (serializers.CharField(max_length=5), 'class="vTextField" maxlength="5" required'),
        (serializers.CharField(style={"base_template": "textarea.html"}), "<textarea"),
        (serializers.CharField(style={"input_type": "password"}), 'type="password"'),
        (serializers.IntegerField(min_value=1, max_value=9), 'step="1" min="1" max="9"'),
        (serializers.DecimalField(max_digits=5, decimal_places=2), 'step="0.01"'),
        (serializers.FloatField(), 'step="any"'),
        (serializers.BooleanField(default=True), 'type="checkbox" name="input-x" id="id_input-x" checked'),
        (serializers.BooleanField(allow_null=True), '<option value="unknown"'),
        (serializers.DateField(default=date(2030, 1, 2)), 'type="date" name="input-x" value="2030-01-02"'),
        (serializers.DateTimeField(), 'type="datetime-local"'),
        (serializers.TimeField(), 'type="time"'),
        (serializers.DateField(input_formats=["%d.%m.%Y"]), 'type="text"'),
        (serializers.ChoiceField(choices=[("a", "Ant"), ("b", "Bee")]), '<option value="b">Bee</option>'),
        (serializers.ChoiceField(choices=[("Fly", [("h", "House")])]), '<optgroup label="Fly">'),
        (
            serializers.ChoiceField(choices=["a"], required=False),
            '<option value="" selected>---------</option>',
        ),
        (serializers.ChoiceField(choices=["a", "b"], default="b"), '<option value="b" selected>b</option>'),
        (serializers.MultipleChoiceField(choices=["a"]), 'id="id_input-x" multiple>'),
        (serializers.MultipleChoiceField(choices=["a"], allow_empty=False), "required"),
        (serializers.UUIDField(), 'type="text"'),
        (serializers.DurationField(), 'type="text"'),
        (serializers.ListField(child=serializers.CharField()), "<textarea"),
        (serializers.JSONField(default={"a": 1}), "{&quot;a&quot;: 1}"),
    ],
    ids=lambda value: None if isinstance(value, str) else type(value).__name__,
)
def test_each_field_has_a_fitting_widget(field: serializers.Field[Any, Any, Any, Any], html: str) -> None:
    assert html in str(form_of(x=field)["x"])


def test_labels_and_help_are_the_serializers() -> None:
    form = form_of(x=serializers.CharField(label="Wished for", help_text="In words."))

    assert (form.fields["x"].label, form.fields["x"].help_text) == ("Wished for", "In words.")


def test_what_the_serializer_fills_in_itself_is_not_asked() -> None:
    form = form_of(
        x=serializers.CharField(read_only=True),
        y=serializers.HiddenField(default=1),
        z=serializers.CharField(),
    )

    assert list(form.fields) == ["z"]


def test_a_moment_is_shown_in_local_time(settings: Settings) -> None:
    settings.TIME_ZONE = "Asia/Kolkata"

    form = form_of(x=serializers.DateTimeField(default=datetime(2030, 1, 2, 3, tzinfo=UTC)))

    assert 'value="2030-01-02T08:30"' in str(form["x"])


# --- what is handed on ---------------------------------------------------------------------------


def test_text_is_handed_on_as_it_is_for_the_serializer_to_judge() -> None:
    fields = {
        "n": serializers.IntegerField(),
        "d": serializers.DateField(),
        "c": serializers.ChoiceField(["a"]),
    }

    assert given({"n": "many", "d": "soon", "c": "z"}, **fields) == {"n": "many", "d": "soon", "c": "z"}


def test_what_was_left_empty_is_left_out_so_that_defaults_apply() -> None:
    fields = {
        "a": serializers.CharField(required=False, allow_blank=True),
        "b": serializers.IntegerField(required=False),
        "c": serializers.IntegerField(default=None, allow_null=True),
        "d": serializers.MultipleChoiceField(choices=["x"], required=False),
        "e": serializers.IntegerField(default=4),
    }

    assert given({"a": "", "b": "", "c": "", "e": ""}, **fields) == {}


def test_what_was_cleared_or_must_be_answered_is_handed_on_as_empty() -> None:
    fields = {
        "a": serializers.CharField(default="red", allow_blank=True),
        "b": serializers.IntegerField(default=4, allow_null=True),
        "c": serializers.CharField(allow_blank=True),
        "d": serializers.MultipleChoiceField(choices=["x"], allow_empty=True),
    }

    assert given({"a": "", "b": "", "c": ""}, **fields) == {"a": "", "b": None, "c": "", "d": []}


def test_a_box_that_is_not_ticked_is_a_no() -> None:
    fields = {"yes": serializers.BooleanField(), "no": serializers.BooleanField(default=True)}

    assert given({"yes": "on"}, **fields) == {"yes": True, "no": False}


@pytest.mark.parametrize(("sent", "value"), [("true", True), ("false", False)])
def test_a_question_with_three_answers_hands_on_two_of_them(sent: str, value: bool) -> None:
    assert given({"x": sent}, x=serializers.BooleanField(allow_null=True, required=False)) == {"x": value}


def test_lists_and_nested_input_are_written_as_json() -> None:
    class Line(serializers.Serializer[Any]):
        sku = serializers.CharField()

    sent = {"lines": '[{"sku": "tea"}]', "tags": '["a"]'}

    assert given(sent, lines=Line(many=True), tags=serializers.ListField()) == {
        "lines": [{"sku": "tea"}],
        "tags": ["a"],
    }


def test_what_is_no_json_is_said_and_kept() -> None:
    form = form_of({"x": "[1,"}, x=serializers.ListField())

    assert form.errors["x"] == ["Enter a valid JSON."]
    assert "[1," in str(form["x"])


def test_a_required_field_left_empty_is_said_without_asking_the_engine() -> None:
    assert form_of({"x": ""}, x=serializers.CharField()).errors["x"] == ["This field is required."]


def test_no_serializer_is_no_input() -> None:
    form = ActionForm(None, {})

    assert form.is_valid()
    assert form.given() is None


# --- related rows --------------------------------------------------------------------------------


@pytest.mark.django_db
def test_a_related_row_is_chosen_from_a_list() -> None:
    crew = Group.objects.create(name="Crew")
    fields: dict[str, Any] = {
        "one": serializers.PrimaryKeyRelatedField(queryset=Group.objects.all()),
        "slug": serializers.SlugRelatedField(queryset=Group.objects.all(), slug_field="name"),
        "many": serializers.PrimaryKeyRelatedField(queryset=Group.objects.all(), many=True),
    }

    form = form_of(**fields)

    assert f'<option value="{crew.pk}">Crew</option>' in str(form["one"])
    assert '<option value="Crew">Crew</option>' in str(form["slug"])
    assert f'<option value="{crew.pk}">Crew</option>' in str(form["many"])


@pytest.mark.django_db
def test_of_many_related_rows_the_key_is_typed_in(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(forms, "LONGEST_SELECT", 2)
    Group.objects.bulk_create(Group(name=f"g{number}") for number in range(3))
    groups = Group.objects.all()

    form = form_of(
        one=serializers.PrimaryKeyRelatedField(queryset=groups),
        many=serializers.PrimaryKeyRelatedField(queryset=groups, many=True),
    )

    assert 'type="text"' in str(form["one"])
    assert "<textarea" in str(form["many"])


# --- errors --------------------------------------------------------------------------------------


def refused(errors: Any) -> dict[str, Any]:
    form = form_of({"x": "1"}, x=serializers.CharField())
    form.is_valid()
    form.refuse(errors)
    return dict(form.errors)


def test_errors_of_the_serializer_stand_beside_their_fields() -> None:
    assert refused({"x": ["Too long.", "Too red."]}) == {"x": ["Too long.", "Too red."]}


def test_errors_of_nested_input_say_where_they_are() -> None:
    assert refused({"x": {"lines": [{}, {"sku": ["Missing."]}]}}) == {"x": ["lines: 2: sku: Missing."]}
    assert refused({"x": {"0": ["Wrong."]}}) == {"x": ["0: Wrong."]}


def test_errors_about_no_field_of_the_form_stand_above_it() -> None:
    assert refused({"non_field_errors": ["Odd."]}) == {"__all__": ["Odd."]}
    assert refused({"y": ["There is no such field."]}) == {"__all__": ["y: There is no such field."]}
    assert refused(["Odd."]) == {"__all__": ["Odd."]}


def test_an_error_is_text_even_if_it_quotes_markup() -> None:
    form = form_of({"x": "1"}, x=serializers.CharField())
    form.is_valid()
    form.refuse({"x": ['"<img src=x>" is not a valid choice.']})

    assert "&lt;img src=x&gt;" in str(form["x"].errors)
