"""Losses, each with its gradient: (loss, dinput), summed over features and averaged over the batch.

`pixel` compares numbers one by one, `image` looks at their neighbours too, `adversarial` has the two sides of a game,
`gradient_penalty` the slope of a critic, and `likelihood` the distributions p(x|z) of a decoder.
"""

from .pixel import LOG_2PI, bce_with_logits, cross_entropy_with_logits, gaussian_nll, l1, laplace_nll, mse

__all__ = ["LOG_2PI", "bce_with_logits", "cross_entropy_with_logits", "gaussian_nll", "l1", "laplace_nll", "mse"]
