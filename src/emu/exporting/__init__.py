"""What leaves emu: a checkpoint as files that other programs load, a cascade as one folder."""
