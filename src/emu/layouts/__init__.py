"""The folders that commands share: their file names, and the schema of each document in them."""
