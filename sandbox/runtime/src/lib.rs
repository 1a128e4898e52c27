//! Processes in namespaces: containers, their network, their limits.
