"""What a trained model is worth: likelihoods, image quality, codes, disentanglement. One question per file."""
