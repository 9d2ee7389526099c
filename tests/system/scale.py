# SPDX-License-Identifier: MIT
"""How large a proof is: short within `make test`, full with `make prove-NAME`."""

import os

IS_FULL = os.environ.get("BATON_FULL") == "1"


def scale(short, full):
    """The size of this run."""
    return full if IS_FULL else short
