"""A diffusers pipeline on a disk: the folder, its components, the files that their weights lie in."""
