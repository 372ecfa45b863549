"""Classes that a text names: found and made, their arguments read, their code trusted."""
