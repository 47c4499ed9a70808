"""The training step in PyTorch: eager with its default Adam, eager with fused Adam, and compiled."""

import torch
import torch.nn.functional as F

from .dense_vae import BATCH, LATENT, LR


class Step:
    """`fused` Adam is one kernel for all parameters; the default is one kernel per operation for all ("foreach")."""

    def __init__(self, data, weights, fused=False, compiled=False):
        self.data = torch.from_numpy(data)
        self.params = [torch.from_numpy(array.T.copy()).requires_grad_() for array in weights.values()]
        self.adam = torch.optim.Adam(self.params, LR, fused=True if fused else None)
        self.loss = torch.compile(loss) if compiled else loss

    def __call__(self, rows, noise=None):
        batch = self.data[torch.from_numpy(rows)].float() * (1 / 255)
        noise = torch.randn(BATCH, LATENT) if noise is None else torch.from_numpy(noise)
        self.adam.zero_grad()
        value = self.loss(self.params, batch, noise)
        value.backward()
        self.adam.step()
        return value.detach()

    def wait(self):
        """PyTorch has finished on a CPU when it returns."""


def loss(params, x, noise):
    """Negative ELBO in nats, averaged over the batch."""
    w1, b1, w2, b2, w3, b3, w4, b4 = params
    mu, logvar = F.linear(F.relu(F.linear(x, w1, b1)), w2, b2).chunk(2, dim=1)
    z = mu + torch.exp(0.5 * logvar) * noise
    logits = F.linear(F.relu(F.linear(z, w3, b3)), w4, b4)
    reconstruction = F.binary_cross_entropy_with_logits(logits, x, reduction="sum")
    kl = 0.5 * (mu.square() + logvar.exp() - 1 - logvar).sum()
    return (reconstruction + kl) / x.shape[0]
