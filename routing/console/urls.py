"""Pages of the console that are no list of rows: below the admin, and for whoever is signed in there."""

from django.contrib import admin
from django.urls import path

from routing.console import handbook, pool_deeds, pools, start_page
from routing.console.all_tasks import view as all_tasks

app_name = "console"
_view = admin.site.admin_view

urlpatterns = [
    path("overview/", _view(start_page.fragment), name="overview"),
    path("tasks/", _view(all_tasks.page), name="tasks"),
    path("pools/", _view(pools.page), name="pools"),
    path("pools/topology/", _view(pools.topology), name="topology"),
    path("pools/queue/<str:queue>/pause/", _view(pool_deeds.pause), name="pause"),
    path("pools/queue/<str:queue>/resume/", _view(pool_deeds.resume), name="resume"),
    path("pools/worker/<int:process_id>/resize/", _view(pool_deeds.resize), name="resize"),
    path("handbook/<path:name>/", _view(handbook.page), name="handbook"),
]
