//! A small Kubernetes in one process, with pods as real processes.
