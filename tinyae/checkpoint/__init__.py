"""What a model and a run are kept in: files, their layout, and the schema of their text. No model is imported here."""
