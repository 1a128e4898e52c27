//! workloads on a real cluster
fn main() {}
