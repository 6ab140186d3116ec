"""Shared by the serving benchmarks: models, requests, and one module per server that keraspipe is compared with."""
