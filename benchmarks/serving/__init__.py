"""What the serving benchmarks share: models, requests, and a file for each server that ours is measured against."""
