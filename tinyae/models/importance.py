"""Training with the importance-weighted bound of k draws (Burda, Grosse & Salakhutdinov 2016), a tighter one than ELBO.

    L_k = E[log 1/k sum_i w_i],   w_i = p(x|z_i) p(z_i) / q(z_i|x),   z_i = mu + sigma e_i        (their equation 8)
    dL_k = sum_i v_i dlog w_i,    v = w / sum w, the normalised importance weights                (their equation 13)

Written through the noise e_i, q's density is -1/2 sum(log 2 pi + logvar + e_i^2), which moves with logvar alone. So

    log w_i = log p(x|z_i) + 1/2 sum(logvar + e_i^2 - z_i^2)
    dz_i = v_i (dlog p(x|z_i)/dz_i - z_i),   dmu = sum_i dz_i,   dlogvar = sum_i dz_i sigma e_i / 2 + 1/2
"""

from ..backend import array_module
from ..latent import gaussian


def step(model, batch, rng, grads=None, train=True, batch_size=None):
    """`VAE.step` with -L_k as the loss, k = model.samples. The noise "z" is (N, k, D).

    The terms are those of the ELBO, so that they compare for every k, and what the bound gains on it (negative):

        loss = reconstruction + kl + gain,   reconstruction = -1/k sum_i log p(x|z_i),   kl = KL(q(z|x) || N(0, I))
    """
    x, version, k = batch["x"], model.store.version, model.samples
    n, batch_size = len(x), batch_size or len(x)
    scale = 1 / batch_size
    copies = x.repeat(k, axis=0)  # (N k, ...), an example's k draws one after another

    h, c_enc = model.forward("encoder", x, train, rng)
    mu, logvar = model.split(h)
    noise = rng.normal("z", (n, k, model.latent_dim), mu.dtype)
    z, c_z = gaussian.sample(mu[:, None], logvar[:, None], noise)
    out, c_dec = model.forward("decoder", z.reshape(n * k, -1), train, rng)
    log_p = model.likelihood.log_prob(out, copies).reshape(n, k)
    log_w = log_p + 0.5 * (logvar[:, None] + noise * noise - z * z).sum(axis=2)
    bound, v = log_mean_exp(log_w)

    loss, rec = -scale * bound.sum(), -(scale / k) * log_p.sum()
    kl, _, _ = gaussian.kl_standard(mu, logvar, batch_size)

    if grads is not None:
        model.store.check(version)
        _, dout = model.likelihood.nll(out, copies, batch_size)
        dout *= v.reshape(n * k, *(1,) * (dout.ndim - 1))
        dz = model.backward("decoder", c_dec, dout, grads).reshape(z.shape) + scale * v[:, :, None] * z
        dmu, dlogvar = gaussian.sample_backward(c_z, dz)
        dh = array_module(h).concatenate((dmu.sum(axis=1), dlogvar.sum(axis=1) - 0.5 * scale), axis=1)
        model.add_grads("encoder", c_enc, dh, grads)
    terms = {"loss": loss, "reconstruction": rec, "kl": kl, "gain": loss - rec - kl}
    return terms, {"encoder": c_enc, "decoder": c_dec}


def log_mean_exp(a):
    """log 1/k sum_i exp(a_i) over the last axis, (N, k) -> (N,), and its gradient exp(a) / sum exp(a), (N, k)."""
    xp = array_module(a)
    largest = a.max(axis=1, keepdims=True)
    weights = xp.exp(a - largest)
    total = weights.sum(axis=1, keepdims=True)
    return (largest + xp.log(total / a.shape[1]))[:, 0], weights / total
