//! Statements that hold on the sandbox and on a real cluster.
