"""Where things are: the shop at /, the API at /api/, the staff at /admin/."""

from __future__ import annotations

from django.conf import settings
from django.contrib import admin
from django.contrib.auth.views import LoginView, LogoutView
from django.templatetags.static import static
from django.urls import include, path
from django.views.generic import RedirectView

from example_shop import views
from example_shop.api import router

# The names and passwords of the demo are shown only where it runs.
login = LoginView.as_view(template_name="shop/login.html", extra_context={"demo": settings.DEBUG})

urlpatterns = [
    path("", views.products, name="products"),
    path("orders/", views.orders, name="orders"),
    path("orders/<int:pk>/", views.order, name="order"),
    path("orders/<int:pk>/now/", views.order_fragment, name="order-fragment"),
    path("orders/<int:pk>/arrived/", views.arrived, name="order-arrived"),
    path("orders/<int:pk>/<slug:name>/", views.act, name="order-action"),
    path("login/", login, name="login"),
    path("logout/", LogoutView.as_view(), name="logout"),
    path("api/", include(router.urls)),
    path("api/", include("flowstate.rest.urls")),
    # Where the links in mails to managers and finance lead.
    path("approvals/", include("flowstate.links.urls")),
    path("admin/", admin.site.urls),
    path("favicon.ico", RedirectView.as_view(url=static("shop/icon.svg"))),
]
