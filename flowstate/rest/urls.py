"""`path("api/", include("flowstate.rest.urls"))` gives `api/runs/`; names are `flowstate:run-list` and so on."""

from __future__ import annotations

from django.urls import path
from rest_framework.routers import SimpleRouter

from flowstate.rest.approvals import ApprovalViewSet
from flowstate.rest.events import EventTokenView, EventView
from flowstate.rest.runs import RunViewSet

app_name = "flowstate"

router = SimpleRouter()
router.register("runs", RunViewSet, basename="run")
router.register("approvals", ApprovalViewSet, basename="approval")

urlpatterns = [
    *router.urls,
    path("events/tokens/<str:token>/", EventTokenView.as_view(), name="event-token"),
    path("events/<str:name>/", EventView.as_view(), name="event"),
]
