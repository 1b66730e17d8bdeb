"""The form of an action's input, made from its serializer: the form collects, the serializer judges.

Every field is a plain one with a fitting widget. Whether the text in it is a number or a known choice is
asked once, by the engine, when the action is started; its answer is put beside the fields. What has no
widget of its own (lists, nested serializers, JSON) is written as JSON.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, TypeAlias

from django import forms
from django.contrib.admin import widgets
from django.utils.timezone import is_aware, localtime
from django.utils.translation import gettext_lazy as _
from rest_framework import ISO_8601, serializers
from rest_framework.fields import empty
from rest_framework.relations import ManyRelatedField
from rest_framework.settings import api_settings

SerializerField: TypeAlias = "serializers.Field[Any, Any, Any, Any]"
LONGEST_SELECT = 200
"""Rows that a field for related rows offers; where there are more, the key is typed in."""


class ActionForm(forms.Form):
    """Collects what an action's serializer takes; without a serializer it has no fields."""

    def __init__(
        self, serializer: serializers.Serializer[Any] | None, data: Mapping[str, Any] | None = None
    ) -> None:
        # A prefix, since a serializer's field may be called like one of the page's own.
        super().__init__(data, prefix="input")
        self.takes_input = serializer is not None
        self._sources: dict[str, SerializerField] = {}
        for name, source in serializer.fields.items() if serializer is not None else ():
            if not source.read_only and not isinstance(source, serializers.HiddenField):
                self._sources[name] = source
                self.fields[name] = _form_field(source)

    def given(self) -> dict[str, Any] | None:
        """Return the input for the action, after `is_valid`; None for an action that takes none.

        A field that is not required and was left empty is left out, so that its default applies.
        """
        if not self.takes_input:
            return None
        values: dict[str, Any] = {}
        for name, source in self._sources.items():
            value = self.cleaned_data[name]
            if value not in (None, "", []):
                values[name] = value
            elif source.required or self.fields[name].initial:
                values.update(_emptied(name, source))
        return values

    def refuse(self, errors: Mapping[str, Any] | Sequence[Any]) -> None:
        """Put the serializer's errors beside the fields they are about."""
        by_field = errors if isinstance(errors, Mapping) else {api_settings.NON_FIELD_ERRORS_KEY: errors}
        for name, problem in by_field.items():
            if name in self.fields:
                self.add_error(name, list(_texts(problem)))
            elif name == api_settings.NON_FIELD_ERRORS_KEY:
                self.add_error(None, list(_texts(problem)))
            else:
                self.add_error(None, [f"{name}: {text}" for text in _texts(problem)])


class JSONField(forms.JSONField):
    """JSON, with nothing shown where there is nothing."""

    def prepare_value(self, value: Any) -> Any:
        return "" if value is None else super().prepare_value(value)


def _emptied(name: str, source: SerializerField) -> dict[str, Any]:
    """Return what an empty field means where somebody had to fill it in or has cleared it."""
    if getattr(source, "allow_blank", False):
        return {name: ""}
    if source.allow_null:
        return {name: None}
    if getattr(source, "allow_empty", False):
        return {name: []}
    return {}


def _texts(problem: Any, where: str = "") -> Iterator[str]:
    if isinstance(problem, Mapping):
        for key, inner in problem.items():
            yield from _texts(inner, f"{where}{key}: ")
    elif isinstance(problem, (list, tuple)):
        for index, inner in enumerate(problem):
            nested = isinstance(inner, (Mapping, list, tuple))
            yield from _texts(inner, f"{where}{index + 1}: " if nested else where)
    else:
        yield f"{where}{problem}"


def _form_field(source: SerializerField) -> forms.Field:
    field = _make_field(source)
    field.label = source.label
    field.help_text = field.help_text or source.help_text or ""
    if field.initial is None:
        field.initial = _initial(source)
    return field


def _initial(source: SerializerField) -> Any:
    if source.default is empty or callable(source.default):
        return source.get_initial()
    value = source.default
    return localtime(value) if isinstance(value, datetime) and is_aware(value) else value


def _make_field(source: SerializerField) -> forms.Field:
    for kind, make in _MAKERS:
        if isinstance(source, kind):
            return make(source)
    return JSONField(
        required=source.required,
        widget=widgets.AdminTextareaWidget(attrs={"rows": 6, "class": "vLargeTextField flowstate-json"}),
        help_text=_("As JSON."),
    )


def _plain(source: SerializerField, widget: forms.Widget) -> forms.Field:
    may_be_empty = getattr(source, "allow_blank", False) or source.allow_null
    return forms.Field(required=source.required and not may_be_empty, widget=widget)


def _text(source: Any) -> forms.Field:
    attrs = {"maxlength": source.max_length} if getattr(source, "max_length", None) else {}
    style = source.style
    if style.get("input_type") == "password":
        return _plain(source, forms.PasswordInput(attrs={"class": "vTextField", **attrs}))
    if style.get("base_template") == "textarea.html":
        return _plain(source, widgets.AdminTextareaWidget(attrs=attrs))
    return _plain(source, widgets.AdminTextInputWidget(attrs=attrs))


def _number(source: Any) -> forms.Field:
    places = getattr(source, "decimal_places", None)
    step = "any" if places is None else f"{10**-places:.{places}f}"
    limits = {"min": source.min_value, "max": source.max_value}
    attrs = {name: str(limit) for name, limit in limits.items() if limit is not None}
    whole = isinstance(source, serializers.IntegerField)
    return _plain(
        source, forms.NumberInput(attrs={"class": "vIntegerField", "step": "1" if whole else step, **attrs})
    )


def _boolean(source: SerializerField) -> forms.Field:
    return forms.NullBooleanField(required=False) if source.allow_null else forms.BooleanField(required=False)


def _moment(
    kind: Callable[..., forms.Widget], input_type: str, pattern: str, setting: str
) -> Callable[[Any], forms.Field]:
    def make(source: Any) -> forms.Field:
        formats = getattr(source, "input_formats", getattr(api_settings, setting))
        if ISO_8601 not in formats:  # the browser's own pickers send nothing else
            return _text(source)
        return _plain(source, kind(format=pattern, attrs={"type": input_type}))

    return make


def _choice(source: Any) -> forms.Field:
    field = _plain(source, forms.Select(choices=_options(source.grouped_choices)))
    if not field.required:
        field.widget.choices = [("", "---------"), *field.widget.choices]
    return field


def _choices(source: Any) -> forms.Field:
    required = source.required and not source.allow_empty
    return forms.Field(
        required=required, widget=forms.SelectMultiple(choices=_options(source.grouped_choices))
    )


def _options(grouped: Mapping[Any, Any]) -> list[tuple[Any, Any]]:
    return [(key, list(v.items()) if isinstance(v, Mapping) else v) for key, v in grouped.items()]


def _related(source: Any) -> forms.Field:
    rows = source.get_choices(cutoff=LONGEST_SELECT + 1)
    if len(rows) > LONGEST_SELECT:
        return _plain(source, widgets.AdminTextInputWidget())
    return _plain(source, forms.Select(choices=[("", "---------"), *rows.items()]))


def _many_related(source: Any) -> forms.Field:
    rows = source.child_relation.get_choices(cutoff=LONGEST_SELECT + 1)
    if len(rows) > LONGEST_SELECT:
        return JSONField(required=not source.allow_empty, help_text=_("A JSON list of keys."))
    required = source.required and not source.allow_empty
    return forms.Field(required=required, widget=forms.SelectMultiple(choices=list(rows.items())))


# The first that fits: a multiple choice is a choice as well.
_MAKERS: list[tuple[Any, Callable[[Any], forms.Field]]] = [
    (serializers.BooleanField, _boolean),
    (serializers.MultipleChoiceField, _choices),
    (serializers.ChoiceField, _choice),
    ((serializers.PrimaryKeyRelatedField, serializers.SlugRelatedField), _related),
    (ManyRelatedField, _many_related),
    (serializers.RelatedField, _text),
    ((serializers.IntegerField, serializers.FloatField, serializers.DecimalField), _number),
    (
        serializers.DateTimeField,
        _moment(forms.DateTimeInput, "datetime-local", "%Y-%m-%dT%H:%M", "DATETIME_INPUT_FORMATS"),
    ),
    (serializers.DateField, _moment(forms.DateInput, "date", "%Y-%m-%d", "DATE_INPUT_FORMATS")),
    (serializers.TimeField, _moment(forms.TimeInput, "time", "%H:%M", "TIME_INPUT_FORMATS")),
    ((serializers.CharField, serializers.UUIDField, serializers.DurationField), _text),
]
