"""Files as emu keeps them: whole or not there, locked, read by their shapes."""
