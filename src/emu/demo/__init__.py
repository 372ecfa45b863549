"""The embedded default: three tiny bases, two judges, and a tour of the whole path that needs no network."""
