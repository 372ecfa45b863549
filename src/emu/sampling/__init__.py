"""Drawing apart from training: a folder of pictures by one model, by a cascade, or from small pictures."""
