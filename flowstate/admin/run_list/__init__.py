"""The list of runs, for tables of any size: filters, search, numbers, and what is done with several at once."""

from __future__ import annotations

from flowstate.admin.run_list.change_list import CappedPaginator, RunChangeList
from flowstate.admin.run_list.filters import FILTERS
from flowstate.admin.run_list.numbers import numbers_of
from flowstate.admin.run_list.search import found

__all__ = ["FILTERS", "CappedPaginator", "RunChangeList", "found", "numbers_of"]
