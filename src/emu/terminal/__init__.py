"""What commands say: bars, tables and counts."""
