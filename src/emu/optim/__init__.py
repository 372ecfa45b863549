"""What happens to weights at a step: their average, rounding, the rate, steps that are left out."""
