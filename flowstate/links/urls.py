"""`path("approvals/", include("flowstate.links.urls"))` gives the page that links in mails and chats lead to."""

from __future__ import annotations

from django.urls import path

from flowstate.links.views import confirm

app_name = "flowstate_links"

urlpatterns = [path("<str:token>/", confirm, name="approval")]
