"""The same pipeline on a Kubeflow Pipelines cluster: its specification, and what a task does in its container.

What is different from `keraspipe run`:

- The steps' executions are in Kubeflow's ML Metadata, not in the workspace's, so `keraspipe lineage` shows a version's
  run, data and code but no executions. The files of the artifacts are in the workspace, and `keraspipe gc` does not
  free those of Kubeflow's runs.
- Each step is executed again; a training continues from its checkpoint, and the gate's decision on a model is kept.
- A model that is not blessed, that is: does not pass the gate, ends the run at the task `gate`, with the reasons in its
  log; so it is shown as failed.
- A run that finds another champion (live version) when it publishes fails there, where `keraspipe run` evaluates
  the gate again.
- In MLflow the run is shown as killed from the end of one task to the beginning of the next.
- Nobody is notified by KERASPIPE_NOTIFY: Kubeflow has its own notifications.
"""
