"""The numbers behind the figures: one module per figure, pure functions of its controls."""
