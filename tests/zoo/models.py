"""Models with everything that makes undoing hard, for the tests of the entity steps."""

from __future__ import annotations

import uuid
from datetime import timedelta
from decimal import Decimal
from typing import Any

from django.contrib.contenttypes.fields import GenericForeignKey, GenericRelation
from django.contrib.contenttypes.models import ContentType
from django.core.serializers.json import DjangoJSONEncoder
from django.db import models
from django.db.models import F, Q
from django.db.models.functions import Now
from django.utils import timezone


class Everything(models.Model):
    """One column of each type."""

    flag = models.BooleanField(default=False)
    maybe = models.BooleanField(null=True)
    char = models.CharField(max_length=50, default="")
    text = models.TextField(default="")
    slug = models.SlugField(default="", db_index=False)
    email = models.EmailField(default="")
    url = models.URLField(default="")
    path = models.FilePathField(path="/", default="")
    file = models.FileField(default="")
    maybe_file = models.FileField(null=True)
    integer = models.IntegerField(default=0)
    small = models.SmallIntegerField(default=0)
    big = models.BigIntegerField(default=0)
    positive = models.PositiveIntegerField(default=0)
    positive_small = models.PositiveSmallIntegerField(default=0)
    positive_big = models.PositiveBigIntegerField(default=0)
    maybe_integer = models.IntegerField(null=True)
    decimal = models.DecimalField(max_digits=10, decimal_places=2, default=Decimal(0))
    real = models.FloatField(default=0.0)
    date = models.DateField(null=True)
    moment = models.DateTimeField(null=True)
    time = models.TimeField(null=True)
    duration = models.DurationField(null=True)
    uuid = models.UUIDField(null=True)
    ip = models.GenericIPAddressField(null=True)
    binary = models.BinaryField(null=True)
    json = models.JSONField(default=dict)
    maybe_json = models.JSONField(null=True, encoder=DjangoJSONEncoder)
    defaulted = models.IntegerField(db_default=7)
    stamped = models.DateTimeField(db_default=Now())
    doubled = models.GeneratedField(
        expression=F("integer") * 2, output_field=models.IntegerField(), db_persist=True
    )
    created = models.DateTimeField(auto_now_add=True)
    updated = models.DateTimeField(auto_now=True)


class Keeper(models.Model):
    name = models.CharField(max_length=50)
    email = models.EmailField(unique=True)


def nobodys() -> Keeper:
    """The keeper of what has none; made when somebody first needs one."""
    return Keeper.objects.get_or_create(name="nobody", email="nobody@example.org")[0]


class Cage(models.Model):
    house = models.CharField(max_length=20)
    number = models.PositiveIntegerField()
    keeper = models.ForeignKey(Keeper, null=True, on_delete=models.SET_NULL, related_name="cages")
    deputy = models.ForeignKey(
        Keeper, null=True, default=None, on_delete=models.SET_DEFAULT, related_name="deputised"
    )
    inspector = models.ForeignKey(
        Keeper, null=True, default=None, on_delete=models.SET(nobodys), related_name="inspected"
    )
    stickers = GenericRelation("zoo.Sticker")

    class Meta:
        unique_together = [("house", "number")]


class Sticker(models.Model):
    """Hangs on a row of any model."""

    text = models.CharField(max_length=50)
    content_type = models.ForeignKey(ContentType, on_delete=models.CASCADE)
    object_id = models.PositiveBigIntegerField()
    on = GenericForeignKey()


class Feed(models.Model):
    """A counter with limits."""

    name = models.CharField(max_length=50, unique=True)
    stock = models.PositiveIntegerField(default=0)
    price = models.DecimalField(max_digits=8, decimal_places=2, default=Decimal(0))
    soak = models.DurationField(default=timedelta)
    batch = models.IntegerField(null=True)

    class Meta:
        constraints = [models.CheckConstraint(condition=Q(stock__lte=1000), name="zoo_feed_stock_fits")]


class Tag(models.Model):
    name = models.CharField(max_length=50, unique=True)


class Animal(models.Model):
    """The root of a multi-table inheritance, with links of every sort."""

    name = models.CharField(max_length=50)
    weight = models.IntegerField(default=0)
    cage = models.ForeignKey(Cage, null=True, on_delete=models.CASCADE, related_name="animals")
    mother = models.ForeignKey("self", null=True, on_delete=models.SET_NULL, related_name="young")
    tags = models.ManyToManyField(Tag, related_name="animals")
    feeds = models.ManyToManyField(Feed, through="Meal", related_name="animals")
    friends = models.ManyToManyField("self")
    created = models.DateTimeField(auto_now_add=True)
    updated = models.DateTimeField(auto_now=True)


class Bird(Animal):
    wingspan = models.IntegerField(default=0)


class Parrot(Bird):
    words = models.JSONField(default=list)


class RareAnimal(Animal):
    class Meta:
        proxy = True


class Meal(models.Model):
    animal = models.ForeignKey(Animal, on_delete=models.CASCADE, related_name="meals")
    feed = models.ForeignKey(Feed, on_delete=models.PROTECT, related_name="meals")
    grams = models.PositiveIntegerField(default=0)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["animal", "feed"], name="zoo_meal_once")]


class Passport(models.Model):
    id = models.UUIDField(primary_key=True, default=uuid.uuid4)
    animal = models.OneToOneField(Animal, on_delete=models.CASCADE, related_name="passport")
    issued = models.DateField(auto_now_add=True)


class Stamp(models.Model):
    """Two cascades deep, with a listener-free fast delete."""

    passport = models.ForeignKey(Passport, on_delete=models.CASCADE, related_name="stamps")
    country = models.CharField(max_length=2)


class Loan(models.Model):
    """Keeps its animal from being deleted, unless it goes too."""

    animal = models.ForeignKey(Animal, on_delete=models.RESTRICT, related_name="loans")
    keeper = models.ForeignKey(Keeper, on_delete=models.CASCADE, related_name="loans")
    cage = models.ForeignKey(Cage, null=True, on_delete=models.CASCADE, related_name="loans")


class Node(models.Model):
    """A tree that cascades, with a second link that makes cycles."""

    name = models.CharField(max_length=20)
    parent = models.ForeignKey("self", null=True, on_delete=models.CASCADE, related_name="children")
    twin = models.OneToOneField("self", null=True, on_delete=models.CASCADE, related_name="twin_of")


class Code(models.Model):
    """A natural key; and rows that refer to another unique column than the key."""

    code = models.CharField(max_length=20, primary_key=True)
    alias = models.CharField(max_length=20, unique=True)
    meaning = models.CharField(max_length=50, default="")


class CodeUse(models.Model):
    code = models.ForeignKey(Code, to_field="alias", on_delete=models.CASCADE, related_name="uses")


class Glossary(models.Model):
    """Linked by rows that refer to another column than the key, and to which others refer."""

    name = models.CharField(max_length=20, default="")
    codes = models.ManyToManyField(Code, through="Entry", related_name="glossaries")


class Entry(models.Model):
    """May be there twice for one pair."""

    glossary = models.ForeignKey(Glossary, on_delete=models.CASCADE, related_name="entries")
    code = models.ForeignKey(Code, to_field="alias", on_delete=models.CASCADE, related_name="entries")
    line = models.CharField(max_length=50, default="")


class Remark(models.Model):
    entry = models.ForeignKey(Entry, on_delete=models.CASCADE, related_name="remarks")
    text = models.CharField(max_length=50, default="")


class Berth(models.Model):
    """A key of two columns."""

    pk = models.CompositePrimaryKey("dock", "number")
    dock = models.CharField(max_length=10)
    number = models.IntegerField()
    ship = models.CharField(max_length=50, default="")


class Verse(models.Model):
    keeper = models.ForeignKey(Keeper, on_delete=models.CASCADE, related_name="verses")
    line = models.CharField(max_length=50)

    class Meta:
        order_with_respect_to = "keeper"


class KeptNotes(models.Manager["Note"]):
    def get_queryset(self) -> models.QuerySet[Note]:
        return super().get_queryset().filter(deleted_at=None)


class Note(models.Model):
    """Deleted softly: `delete()` only marks the row, and the manager hides it."""

    text = models.CharField(max_length=50)
    slug = models.SlugField(default="", db_index=False)
    deleted_at = models.DateTimeField(null=True)
    keepers = models.ManyToManyField(Keeper, related_name="notes")

    objects = KeptNotes()
    everything = models.Manager()  # noqa: DJ012 - ruff takes it for a field

    def delete(self, using: Any = None, keep_parents: bool = False) -> tuple[int, dict[str, int]]:
        self.deleted_at = timezone.now()
        self.save(using=using, update_fields=["deleted_at"])
        return 1, {"zoo.Note": 1}


class Page(models.Model):
    """Its `save()` derives a second column, in the way that Django's documentation shows."""

    title = models.CharField(max_length=50)
    slug = models.SlugField(default="", db_index=False)
    hits = models.IntegerField(default=0)

    def save(self, *args: Any, update_fields: Any = None, **kwargs: Any) -> None:
        self.slug = self.title.lower().replace(" ", "-")
        if update_fields is not None and "title" in update_fields:
            update_fields = {"slug", *update_fields}
        super().save(*args, update_fields=update_fields, **kwargs)
