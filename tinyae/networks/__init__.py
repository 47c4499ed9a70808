"""The networks of the systems: layers put together, without a loss and without a training step."""
