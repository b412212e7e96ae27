"""What a simulated run depends on: traffic, checkpoints, network and failure; its files."""
