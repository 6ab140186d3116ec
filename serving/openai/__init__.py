"""Language models as OpenAI's clients speak to them: chat, completions, embeddings, models."""
