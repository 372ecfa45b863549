"""Models that are no pipeline folder where they lie, made one once: a single file, or a swapped autoencoder."""

from emu.single_files.making import describing, folder_of, is_file

__all__ = ["describing", "folder_of", "is_file"]
