"""The systems, one file each, by the names of the command line."""

from .aae import AAE
from .ae import AE
from .beta_vae import BetaVAE
from .class_mean_vae import ClassMeanVAE
from .conv_ae import ConvAE
from .conv_vae import ConvVAE
from .cvae import CVAE
from .denoising_ae import DenoisingAE
from .gan import GAN
from .masked_ae import MaskedAE
from .mixture_vae import MixtureVAE
from .model import Model
from .pixelcnn import PixelCNN
from .semi_aae import SemiAAE
from .sparse_ae import SparseAE
from .vae import VAE
from .vae_gan import VAEGAN
from .vq_vae import VQVAE

SYSTEMS = (
    AE, SparseAE, ConvAE, DenoisingAE, MaskedAE, VAE, ConvVAE, BetaVAE, CVAE, ClassMeanVAE, MixtureVAE, VQVAE, PixelCNN,
    GAN, AAE, SemiAAE, VAEGAN,
)  # fmt: skip
NAMES = {model.name: model for model in SYSTEMS}

__all__ = [
    "AAE",
    "AE",
    "GAN",
    "NAMES",
    "VAE",
    "BetaVAE",
    "CVAE",
    "ClassMeanVAE",
    "ConvAE",
    "ConvVAE",
    "DenoisingAE",
    "MaskedAE",
    "MixtureVAE",
    "Model",
    "PixelCNN",
    "SemiAAE",
    "SparseAE",
    "VAEGAN",
    "VQVAE",
]
