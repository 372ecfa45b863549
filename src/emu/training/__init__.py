"""The commands that train: what is asked before the first step, and how a run goes on."""
