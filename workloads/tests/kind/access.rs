use crate::harness::Test;

pub fn tests() -> Vec<(String, Test)> {
    Vec::new()
}
