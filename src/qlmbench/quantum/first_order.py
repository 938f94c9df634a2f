"""What hand-written gradients have in common."""

from collections.abc import Callable
from functools import wraps
from typing import Any

import torch


def first_order(backward: Callable[..., Any]) -> Callable[..., Any]:
    """Refuse to build a graph of a hand-written backward pass, which keeps no history.

    PyTorch's own guard leaves the gradient without history where the incoming gradient is a
    constant, so that a second derivative would be lost silently.

    Parameters
    ----------
    backward : callable
        The ``backward`` of a ``torch.autograd.Function``.

    Returns
    -------
    callable
        The same, raising RuntimeError under ``create_graph=True``.
    """

    @wraps(backward)
    def guarded(ctx: Any, *grads: Any) -> Any:
        if torch.is_grad_enabled():
            raise RuntimeError(
                "photonic circuits can be differentiated once; call backward or grad without "
                "create_graph=True"
            )
        return backward(ctx, *grads)

    return guarded
