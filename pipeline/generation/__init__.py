"""Answers that a network gives step by step, as words of a sentence: greedy, sampled, or by beam search."""
