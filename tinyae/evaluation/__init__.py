"""Measures of trained models: likelihoods, image quality, sample quality, codes, disentanglement, clusters."""
