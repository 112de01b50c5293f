"""Student's distribution; infinite degrees of freedom: the normal one.

scipy is imported at the first call: planning a study imports what defines its tables, and need not wait for it.
"""

from collections.abc import Sequence

import numpy as np


def quantile(df: float | Sequence[float], share: float) -> np.ndarray | float:
    """The value below which `share` of the distribution lies, for each number of degrees of freedom."""
    from scipy.special import stdtrit

    return stdtrit(df, share)


def share_below(df: float, value: float) -> float:
    """The share of the distribution below `value`."""
    from scipy.special import stdtr

    return float(stdtr(df, value))
