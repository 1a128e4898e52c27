//! The sandbox's kubelet: pods, probes, restarts, volumes, logs.
