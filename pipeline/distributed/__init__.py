"""Training on several machines: `keraspipe node` waits on each, and the pipeline has them train together.

    pipeline (`cluster`) ── one TCP connection per node ── `keraspipe node` (`server`)
        journal, MLflow                                         └─ one process per training (`__main__`)
                                                                    └─ gradients ── TensorFlow's collectives ── others

All share the workspace, from which they take data and recipe and to which node 0 alone writes checkpoint and export.
"""
