"""What is done to any network, knowing of it only its blocks: adapters, 4 bits, compiling."""
