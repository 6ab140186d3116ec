"""Language models of the Llama family: files, tokenizer, network, cache, and what a server asks of them."""
