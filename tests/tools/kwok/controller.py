"""`python -m kwok.controller control`: the real controller on the test catalogue, and how long its work took.

The lists of what is built are widened first, and every reconcile is timed: a line with its seconds is appended to the
file RECONCILE_LOG, so that a kill loses nothing. All else is the command of the aggregator's image.
"""

from __future__ import annotations

import runpy

from kwok.catalogue import pretend_all_is_built

if __name__ == "__main__":
    pretend_all_is_built()
    runpy.run_module("disentanglement.services.aggregator", run_name="__main__", alter_sys=True)
