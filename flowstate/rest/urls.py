"""`path("api/", include("flowstate.rest.urls"))` gives `api/runs/`; names are `flowstate:run-list` and so on."""

from __future__ import annotations

from rest_framework.routers import SimpleRouter

from flowstate.rest.runs import RunViewSet

app_name = "flowstate"

router = SimpleRouter()
router.register("runs", RunViewSet, basename="run")

urlpatterns = router.urls
