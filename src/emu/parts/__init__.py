"""What a model is built from when it is trained from nothing: tokenizers, text encoders, losses of an autoencoder."""
