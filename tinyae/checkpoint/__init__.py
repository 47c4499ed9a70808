"""Checkpoints: the files of models and runs, their layout, and the schema of their text. No model is imported here."""
